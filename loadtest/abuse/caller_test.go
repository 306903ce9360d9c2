package abuse

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muster/allocator/allocatortest"
	"muster/api/callers"
	"muster/loadtest/installation"
)

// scene is a server, what is offered there, and who calls it.
type scene struct {
	*testing.T
	server *installation.Server
	world  *installation.World
	client *http.Client
	serial atomic.Int64 // of places, and of people
}

// reply is what came back.
type reply struct {
	status int
	code   string // of a problem
	header http.Header
	body   []byte
}

func (r reply) text(name string) string {
	var doc map[string]any
	if json.Unmarshal(r.body, &doc) != nil {
		return ""
	}
	text, _ := doc[name].(string)
	return text
}

// caller is somebody at an address, who may have a ticket and may be ready to work.
type caller struct {
	s       *scene
	address string
	ticket  string
	works   bool // answers challenges
	paid    []int
}

// call sends a request once, or twice where a proof is asked for and the caller works.
func (c *caller) call(method, path string, body any) reply {
	r := c.send(method, path, body, "")
	challenge, price, asked := strings.Cut(r.header.Get("Challenge"), ";bits=")
	bits, err := strconv.Atoi(price)
	if !asked || err != nil || !c.works {
		return r
	}
	c.paid = append(c.paid, bits)
	return c.send(method, path, body, callers.Solve(challenge, bits))
}

func (c *caller) send(method, path string, body any, proof string) reply {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			c.s.Error(err)
		}
		content = bytes.NewReader(data)
	}
	q, err := http.NewRequestWithContext(c.s.Context(), method, c.s.server.Base+path, content)
	if err != nil {
		c.s.Error(err)
		return reply{}
	}
	for name, value := range map[string]string{"X-Forwarded-For": c.address, "Visitor": c.ticket, "Proof": proof} {
		if value != "" {
			q.Header.Set(name, value)
		}
	}
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.s.client.Do(q)
	if err != nil {
		c.s.Errorf("%s: no answer: %v", method, err)
		return reply{}
	}
	defer answer.Body.Close()
	r := reply{status: answer.StatusCode, header: answer.Header}
	if r.body, err = io.ReadAll(answer.Body); err != nil {
		c.s.Errorf("%s: half an answer: %v", method, err)
	}
	if r.status >= 400 {
		r.code = r.text("code")
	}
	if ticket := r.header.Get("Visitor"); ticket != "" {
		c.ticket = ticket
	}
	return r
}

// claim is the n-th place of all.
func (s *scene) claim(n int64) map[string]any {
	sites, starts := int64(len(s.world.Sites)), int64(len(s.world.Starts))
	return map[string]any{"siteId": s.world.Sites[n%sites], "service": installation.ServiceA, "start": s.world.Starts[n/sites%starts].Format(time.RFC3339)}
}

// hold asks for the next place; "" where it is refused.
func (c *caller) hold() (token string, r reply) {
	r = c.call(http.MethodPost, "/v1/holds", c.s.claim(c.s.serial.Add(1)))
	return r.text("holdId"), r
}

func (c *caller) confirm(token string, person int) reply {
	return c.call(http.MethodPost, "/v1/holds/"+url.PathEscape(token)+"/confirm", map[string]any{"people": []any{map[string]any{
		"nhsNumber": allocatortest.NHSNumber(person), "givenName": "Ada", "familyName": "Example", "dateOfBirth": "1948-05-17",
	}}})
}

func (c *caller) search() reply {
	site := c.s.world.Sites[c.s.serial.Add(1)%int64(len(c.s.world.Sites))]
	return c.call(http.MethodGet, "/v1/sites/"+string(site)+"/availability?service="+url.QueryEscape(string(installation.ServiceA)), nil)
}

// book is what honest people do: look, hold, confirm. It says whether it came to a booking. Whoever is told to wait waits.
func (c *caller) book(person int) bool {
	if r := c.patient(c.search); r.status != http.StatusOK {
		return false
	}
	var token string
	if r := c.patient(func() (r reply) { token, r = c.hold(); return r }); r.status != http.StatusCreated {
		return false
	}
	return c.patient(func() reply { return c.confirm(token, person) }).status == http.StatusCreated
}

// patient tries again where somebody is told to come back, as often as people do.
func (c *caller) patient(try func() reply) (r reply) {
	for range 5 {
		if r = try(); r.status != http.StatusTooManyRequests && r.status != http.StatusServiceUnavailable {
			return r
		}
		seconds, _ := strconv.Atoi(r.header.Get("Retry-After"))
		wait, cancel := context.WithTimeout(c.s.Context(), time.Duration(min(seconds, 5))*time.Second)
		<-wait.Done()
		cancel()
	}
	return r
}

// each does something n times, many at once.
func each(n int, do func(i int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	all.Wait()
}
