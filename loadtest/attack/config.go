package attack

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"muster/loadtest/people"
	"muster/loadtest/profile"
	"muster/loadtest/result"
)

// The engines.
const (
	Vegeta = "vegeta"
	Lean   = "lean"
)

// Service is what people may come for. Ages of 0 are no limits.
type Service struct {
	Code           string
	MinAge, MaxAge int
}

func (s Service) suits(age int) bool {
	return age >= s.MinAge && (s.MaxAge == 0 || age <= s.MaxAge)
}

// Config says who goes where and how.
type Config struct {
	Target   *url.URL // scheme and host
	Engine   string   // Vegeta or Lean
	Profile  profile.Profile
	Crowd    *people.Crowd
	Services []Service
	From, To string // dates within which people search; "": the server's window
	Seed     uint64 // begins idempotency keys

	Generator, Generators int           // this one is the Generator-th, from 1
	MaxWorkers            int           // requests in flight at most; default 4096
	Timeout               time.Duration // of a request; default 10 s
	Grace                 time.Duration // that journeys have after the last arrival; default by Think
	Think                 time.Duration // as the crowd's; paces reloading and retrying
	Retry                 time.Duration // before a request without a definite answer is sent again, at first; default 200 ms
	Tries                 int           // of a request without a definite answer; default 5. 1: whoever is told to come back leaves
	MaxLag                time.Duration // the generator counts as the limit when its 99th percentile of lag is above; default 100 ms
	StartAt               time.Time     // zero: at once

	Hook     func(ctx context.Context) result.Hook // called half way; nil: nothing is
	Progress func(at time.Duration, live result.Live)
}

func (c Config) withDefaults() Config {
	if c.MaxWorkers == 0 {
		c.MaxWorkers = 4096
	}
	for field, value := range map[*time.Duration]time.Duration{
		&c.Timeout: 10 * time.Second, &c.Grace: 5*time.Second + 10*c.Think, &c.MaxLag: 100 * time.Millisecond,
		&c.Retry: 200 * time.Millisecond,
	} {
		if *field == 0 {
			*field = value
		}
	}
	if c.Tries == 0 {
		c.Tries = mostTries
	}
	c.Generators, c.Generator = max(1, c.Generators), max(1, c.Generator)
	return c
}

func (c Config) validate() error {
	switch {
	case c.Target == nil || c.Target.Host == "" || c.Target.Scheme != "http" && c.Target.Scheme != "https":
		return fmt.Errorf("the target %v is no http:// or https:// address", c.Target)
	case c.Engine != Vegeta && c.Engine != Lean:
		return fmt.Errorf("there is no engine %q: there are %s and %s", c.Engine, Vegeta, Lean)
	case c.Profile.Curve == nil || c.Crowd == nil:
		return errors.New("a load needs a profile and people")
	case len(c.Services) == 0:
		return errors.New("the server offers no service, so nobody has a reason to come")
	case c.Generator > c.Generators:
		return fmt.Errorf("this is generator %d of %d", c.Generator, c.Generators)
	case c.MaxWorkers < 1 || c.Timeout <= 0 || c.Grace < 0 || c.MaxLag <= 0 || c.Think < 0 || c.Tries < 1:
		return errors.New("workers, time-outs, tries and lag are not positive")
	}
	return nil
}
