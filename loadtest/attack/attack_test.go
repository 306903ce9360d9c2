package attack

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"muster/geo"
	"muster/loadtest/audit"
	"muster/loadtest/fakeserver"
	"muster/loadtest/people"
	"muster/loadtest/profile"
	"muster/loadtest/result"
)

var everything = profile.Mix{profile.Book: 40, profile.Browse: 8, profile.Poll: 6, profile.Abandon: 8, profile.Release: 8, profile.Extend: 8,
	profile.Duplicate: 10, profile.Cancel: 8, profile.Move: 8, profile.Family: 6}

// load is half a second against a server.
func load(t testing.TB, s *fakeserver.Server, engine string, arrivals float64) Config {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := profile.NewCurve(profile.Point{Rate: 2 * arrivals}, profile.Point{At: time.Second / 2, Rate: 2 * arrivals})
	if err != nil {
		t.Fatal(err)
	}
	return Config{Target: base, Engine: engine, Profile: profile.Profile{Name: "test", Curve: curve, Mix: everything}, Crowd: crowd(t, 11),
		Services: []Service{{Code: s.Service}}, Seed: 11, Retry: 5 * time.Millisecond, Think: 10 * time.Millisecond, MaxLag: time.Minute, Grace: 20 * time.Second}
}

func crowd(t testing.TB, seed uint64) *people.Crowd {
	t.Helper()
	postcodes, err := geo.EmbeddedPostcodes()
	if err != nil {
		t.Fatal(err)
	}
	c, err := people.NewCrowd(people.Options{Seed: seed, Postcodes: postcodes, Oldest: 90, Mix: everything, Think: 10 * time.Millisecond, Today: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Both engines walk everybody through, and what they count agrees with what the server keeps and with an audit.
func TestBothEnginesAgreeWithTheServer(t *testing.T) {
	for _, engine := range []string{Vegeta, Lean} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			s := fakeserver.New(30, 5)
			c := load(t, s, engine, 200)
			looks := 0
			c.Progress = func(time.Duration, result.Live) { looks++ }
			r, evidence, err := Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if r.Totals.Planned != 200 || r.Totals.Started != 200 || r.Totals.Finished != 200 || r.Totals.Cut != 0 {
				t.Errorf("of 200 people: %+v", r.Totals)
			}
			if r.Totals.Booked == 0 || int(r.Totals.Booked) != s.Kept() || evidence.Acknowledged() != s.Kept() {
				t.Errorf("%d bookings counted, %d acknowledged, %d kept", r.Totals.Booked, evidence.Acknowledged(), s.Kept())
			}
			for _, step := range result.Steps() {
				if r.Count(step, "") == 0 {
					t.Errorf("nobody did %s", step)
				}
			}
			if r.Totals.Wrong > 0 || r.Count("", result.Failed) > 0 || r.Totals.Unknown > 0 {
				t.Errorf("wrong: %v; steps %v", r.Wrong, r.Steps)
			}
			if r.Lag.Count() != r.Totals.Requests || r.Latency("").Count() != r.Totals.Requests || r.Generator.InFlight == 0 || looks == 0 {
				t.Errorf("%d requests, %d lags, looked %d times", r.Totals.Requests, r.Lag.Count(), looks)
			}
			checkAudit(t, s, c, evidence, func(a *result.Audit) bool { return a.Violations() == 0 && a.Checked == a.Acknowledged })
		})
	}
}

func checkAudit(t *testing.T, s *fakeserver.Server, c Config, evidence *audit.Evidence, as func(*result.Audit) bool) {
	t.Helper()
	api := &audit.API{Base: c.Target.String(), Token: "staff", Client: httptest.NewServer(s).Client()}
	a, err := audit.Run(t.Context(), evidence, audit.Options{API: api, Books: api, Exclusive: true, Settle: time.Millisecond})
	if err != nil || !as(a) {
		t.Errorf("the audit says %+v, %v", a, err)
	}
}

// A server that is fast and wrong is caught, by what it says or by the audit.
func TestWrongServersAreCaught(t *testing.T) {
	for name, c := range map[string]struct {
		faults fakeserver.Faults
		caught func(r *result.Result, a *result.Audit) bool
	}{
		"forgets":           {fakeserver.Faults{Forget: 7}, func(_ *result.Result, a *result.Audit) bool { return a.Lost > 0 }},
		"oversells":         {fakeserver.Faults{Oversell: true, Slow: 50 * time.Millisecond}, func(_ *result.Result, a *result.Audit) bool { return a.Oversold > 0 }},
		"books elsewhere":   {fakeserver.Faults{OtherSlot: true}, func(r *result.Result, _ *result.Audit) bool { return r.Totals.Wrong > 0 }},
		"secretly":          {fakeserver.Faults{SecretlySlot: true}, func(_ *result.Result, a *result.Audit) bool { return a.Altered > 0 }},
		"leaks":             {fakeserver.Faults{Leak: 1}, func(_ *result.Result, a *result.Audit) bool { return a.Leaked > 0 }},
		"does not cancel":   {fakeserver.Faults{KeepEnded: true}, func(_ *result.Result, a *result.Audit) bool { return a.NotEnded > 0 }},
		"books twice":       {fakeserver.Faults{NewBooking: true}, func(r *result.Result, a *result.Audit) bool { return r.Totals.Wrong > 0 && a.Twice > 0 }},
		"books secretly":    {fakeserver.Faults{Uncalled: 9}, func(_ *result.Result, a *result.Audit) bool { return a.Uncalled > 0 }},
		"answers garbage":   {fakeserver.Faults{Garbage: true}, func(r *result.Result, _ *result.Audit) bool { return r.Totals.Wrong > 0 && r.Totals.Booked == 0 }},
		"shares references": {fakeserver.Faults{SameForAll: true}, func(r *result.Result, a *result.Audit) bool { return r.Totals.Wrong > 0 && a.Twice > 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fakeserver.New(8, 5)
			if c.faults.Oversell {
				s = fakeserver.New(2, 1) // and slow: many see a place before the first has it
			}
			s.Faults = c.faults
			config := load(t, s, Lean, 150)
			r, evidence, err := Run(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			s.Faults = fakeserver.Faults{} // what it keeps stays wrong
			checkAudit(t, s, config, evidence, func(a *result.Audit) bool { return c.caught(r, a) })
		})
	}
}

// A server that answers 503 now and then is asked again, with the same key, and nothing is booked twice.
func TestFailuresAreRepeated(t *testing.T) {
	t.Parallel()
	s := fakeserver.New(30, 5)
	s.Faults.Unwell = 9
	c := load(t, s, Vegeta, 60)
	r, evidence, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if failed := r.Count("", result.Failed); failed == 0 || r.Totals.Failed != failed || r.Totals.Booked == 0 || r.Totals.Wrong > 0 {
		t.Errorf("%d failed, %d booked, wrong %v", failed, r.Totals.Booked, r.Wrong)
	}
	s.Faults.Unwell = 0
	checkAudit(t, s, c, evidence, func(a *result.Audit) bool { return a.Violations() == 0 })
}

// A server that is not there fails every request, and nobody waits for ever.
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{Vegeta, Lean} {
		s := fakeserver.New(1, 1)
		c := load(t, s, engine, 5)
		c.Target = &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
		c.Grace = 10 * time.Second
		r, evidence, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if r.Totals.Requests == 0 || r.Totals.Failed != r.Totals.Requests || r.Totals.Finished+r.Totals.Cut != 5 || evidence.Acknowledged() != 0 {
			t.Errorf("%s: %+v", engine, r.Totals)
		}
	}
}

// One worker cannot send what two hundred people want of a slow server, and says so.
func TestLimitedGeneratorsSaySo(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{Vegeta, Lean} {
		s := fakeserver.New(30, 5)
		s.Faults.Slow = 50 * time.Millisecond
		c := load(t, s, engine, 200)
		c.MaxWorkers, c.MaxLag, c.Grace = 1, 100*time.Millisecond, 500*time.Millisecond
		r, _, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Generator.Limited) == 0 || r.Totals.Unsent == 0 || r.Totals.Planned != 200 || r.Totals.Unsent+r.Totals.Started != 200 {
			t.Errorf("%s: limited by %v, %+v", engine, r.Generator.Limited, r.Totals)
		}
	}
}

// A run that is interrupted tells what it did not send.
func TestInterruption(t *testing.T) {
	t.Parallel()
	s := fakeserver.New(30, 5)
	ctx, cancel := context.WithCancel(t.Context())
	s.Faults.Slow = time.Millisecond
	c := load(t, s, Lean, 100)
	c.Hook = func(context.Context) result.Hook { cancel(); return result.Hook{Command: "interrupt"} }
	r, _, err := Run(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Run.Broken == "" || r.Totals.Unsent == 0 || r.Totals.Unsent+r.Totals.Started != 100 || r.Hook == nil || r.Hook.AtSeconds < 0.25 {
		t.Errorf("broken %q, %+v, hook %+v", r.Run.Broken, r.Totals, r.Hook)
	}
}

// Waiting counts from the plan, whenever the request was sent.
func TestLatencyCountsFromThePlan(t *testing.T) {
	s := fakeserver.New(1, 1)
	c := load(t, s, Lean, 10)
	recorder := result.NewRecorder(time.Second)
	w := &world{services: c.Services, recorder: recorder, evidence: audit.NewEvidence(), phantoms: newPhantoms()}
	sched := newScheduler(&c, w, time.Now())
	sh := &shot{planned: 2 * time.Second}
	sched.prepare(sh)
	sh.sent.Store(int64(5 * time.Second))
	sched.done(sh, Reply{Status: 200, Body: []byte(`{"sites":[]}`)}, 6*time.Second)
	sched.done(sh, Reply{Status: 500}, 60*time.Second) // is not heard
	r := recorder.Result()
	if waited := r.Latency(result.Search).Max().Round(10 * time.Millisecond); waited != 4*time.Second {
		t.Errorf("planned at 2 s and answered at 6 s, it took %v", waited)
	}
	if served := r.Steps[result.Search].Service.Max().Round(10 * time.Millisecond); served != time.Second {
		t.Errorf("sent at 5 s and answered at 6 s, it took %v", served)
	}
	if lag := r.Lag.Max().Round(10 * time.Millisecond); lag != 3*time.Second || r.Totals.Late != 1 || r.Totals.Requests != 1 {
		t.Errorf("a lag of %v, %+v", lag, r.Totals)
	}
}

// The same seed asks the same questions of a server that gives the same answers.
func TestJourneysReplay(t *testing.T) {
	walk := func(seed uint64) string {
		var said strings.Builder
		s := fakeserver.New(40, 5)
		w := &world{services: []Service{{Code: "ANY"}}, seed: seed, recorder: result.NewRecorder(time.Second), evidence: audit.NewEvidence(), phantoms: newPhantoms()}
		c := crowd(t, seed)
		for n := range uint64(60) {
			j := w.begin(c.Citizen(n))
			for at := time.Duration(0); !j.over; {
				at += j.after
				q := j.request
				said.WriteString(q.Step + " " + q.Method + " " + q.Path + " " + string(q.Body) + " " + q.Key + " " + j.after.String() + "\n")
				request := httptest.NewRequest(q.Method, q.Path, bytes.NewReader(q.Body))
				if q.Key != "" {
					request.Header.Set("Idempotency-Key", q.Key)
				}
				reply := httptest.NewRecorder()
				s.ServeHTTP(reply, request)
				j.heard(Reply{Status: reply.Code, Body: reply.Body.Bytes()}, at)
			}
		}
		return said.String()
	}
	one, two, other := walk(3), walk(3), walk(4)
	if one != two {
		t.Error("the same seed gives two sequences of requests")
	}
	if one == other || len(one) < 10_000 {
		t.Errorf("another seed gives the same %d bytes", len(one))
	}
}

// Generators share the people: together they send everybody once.
func TestGeneratorsDivideThePeople(t *testing.T) {
	s := fakeserver.New(1, 1)
	seen := make(map[uint64]int)
	for k := 1; k <= 3; k++ {
		c := load(t, s, Lean, 10)
		c.Generator, c.Generators = k, 3
		c = c.withDefaults()
		w := &world{services: c.Services, recorder: result.NewRecorder(time.Second), evidence: audit.NewEvidence(), phantoms: newPhantoms()}
		sched := newScheduler(&c, w, time.Now().Add(-time.Second))
		for {
			if _, ok := c.Profile.Curve.When(float64(sched.arrival) + 1); !ok {
				break
			}
			sh, ok := sched.next(t.Context())
			if !ok {
				t.Fatal("the scheduler ended early")
			}
			seen[sh.number]++
		}
	}
	if len(seen) != 10 {
		t.Errorf("three generators send %v", seen)
	}
	for n, times := range seen {
		if times != 1 {
			t.Errorf("citizen %d is sent %d times", n, times)
		}
	}
}

func TestPhantoms(t *testing.T) {
	second := time.Second
	slot := offer{SiteID: "S", Start: "2026-12-01T09:00:00Z", Length: 10}
	p := newPhantoms()
	p.refuse(slot, 0, 10*second)         // the first to hear of it
	p.refuse(slot, 10*second, 11*second) // listed while search may lag
	p.refuse(slot, -1, 20*second)        // from no list
	if n := p.count(); n != 0 {
		t.Errorf("%d phantoms, where there is none", n)
	}
	p.refuse(slot, 12*second, 13*second)
	if n := p.count(); n != 1 {
		t.Errorf("%d phantoms of one", n)
	}
	p.grant([]offer{slot}, 13*second+1) // somebody was faster, and the answers overtook each other
	p.refuse(slot, 30*second, 31*second)
	if n := p.count(); n != 0 {
		t.Errorf("%d phantoms after a place was given back and taken", n)
	}
}

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		reply    Reply
		code     string
		class    result.Class
		definite bool
	}{
		{Reply{Status: 201}, "201", result.OK, true},
		{Reply{Status: 409, Body: []byte(`{"code":"SLOT_FULL"}`)}, "SLOT_FULL", result.Refused, true},
		{Reply{Status: 409, Body: []byte(`{"code":"IN_PROGRESS"}`)}, "IN_PROGRESS", result.Refused, false},
		{Reply{Status: 503, Body: []byte(`{"code":"OUTCOME_UNKNOWN"}`)}, "OUTCOME_UNKNOWN", result.Failed, false},
		{Reply{Status: 429}, "429", result.Failed, false},
		{Reply{Status: 404, Body: []byte(`{"code":"POSTCODE_UNKNOWN"}`)}, "POSTCODE_UNKNOWN", result.Failed, true},
		{Reply{Status: 502, Body: []byte(`<html>`)}, "502", result.Failed, false},
		{Reply{Err: vegetaError("net/http: Client.Timeout exceeded")}, "TIMEOUT", result.Failed, false},
		{Reply{Err: vegetaError("connection refused")}, "NO_ANSWER", result.Failed, false},
		{Reply{}, "NO_ANSWER", result.Failed, false},
	} {
		if code, class, definite := classify(c.reply); code != c.code || class != c.class || definite != c.definite {
			t.Errorf("%d %s %v is %s, %s, definite %v", c.reply.Status, c.reply.Body, c.reply.Err, code, class, definite)
		}
	}
}

func TestConsecutive(t *testing.T) {
	at := func(minute string, free int) offer {
		return offer{SiteID: "S", Start: "2026-12-01T09:" + minute + ":00Z", Length: 10, Free: free}
	}
	slots := []offer{at("00", 2), at("10", 1), at("30", 4)}
	got := consecutive(slots[0], slots, 3)
	if len(got) != 3 || got[0].Start != got[1].Start || got[2].Start != slots[1].Start {
		t.Errorf("three people sit at %v", got)
	}
	if got := consecutive(slots[1], slots, 3); len(got) != 3 {
		t.Errorf("where the list promises too much, %d claims are made for three", len(got))
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := load(t, fakeserver.New(1, 1), Lean, 1)
	for name, spoil := range map[string]func(*Config){
		"target": func(c *Config) { c.Target = &url.URL{Scheme: "ftp", Host: "x"} }, "engine": func(c *Config) { c.Engine = "steam" },
		"services": func(c *Config) { c.Services = nil }, "profile": func(c *Config) { c.Profile.Curve = nil },
		"generator": func(c *Config) { c.Generator, c.Generators = 3, 2 }, "workers": func(c *Config) { c.MaxWorkers = -1 },
	} {
		c := good
		spoil(&c)
		if _, _, err := Run(t.Context(), c); err == nil {
			t.Errorf("a wrong %s is taken", name)
		}
	}
}

// Text in requests is JSON, whatever is in it.
func TestTextIsEscaped(t *testing.T) {
	for _, text := range []string{"E0001", `a"b\c`, "Zoë\n", ""} {
		var back string
		if err := json.Unmarshal(appendText(nil, text), &back); err != nil || back != text {
			t.Errorf("%q is written as %s, %v", text, appendText(nil, text), err)
		}
	}
}

// Targets are read by Vegeta, and take no place.
func TestTargets(t *testing.T) {
	s := fakeserver.New(20, 5)
	c := load(t, s, Lean, 1)
	var out bytes.Buffer
	if err := WriteTargets(t.Context(), &out, c, 30); err != nil {
		t.Fatal(err)
	}
	targets, err := vegeta.ReadAllTargets(vegeta.NewJSONTargeter(&out, nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	methods := make(map[string]int)
	for _, target := range targets {
		methods[target.Method]++
		if !strings.HasPrefix(target.URL, c.Target.String()) || target.Method == "POST" && (target.Header.Get("Idempotency-Key") == "" || len(target.Body) == 0) {
			t.Errorf("a target is %+v", target)
		}
	}
	if methods["GET"] < 50 || methods["POST"] < 20 || s.Kept() > 0 {
		t.Errorf("%v, and %d bookings are kept", methods, s.Kept())
	}
}
