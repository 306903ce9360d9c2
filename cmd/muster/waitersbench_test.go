package main

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"muster/cmd/muster/sample"
)

// BenchmarkWaiters has 100,000 people wait at a server, a process of its own, poll when they are told to for half a minute, and
// tells what that costs it: the share of one core, the time of a poll, and how many polls cost as much as a hold.
//
//	go test ./cmd/muster -run xxx -bench Waiters -benchtime 1x
func BenchmarkWaiters(b *testing.B) {
	const people, clients, holds = 100_000, 64, 5000
	const measured = 30 * time.Second
	s := spawn(b, append(embedded(b), "--address-header", "X-Forwarded-For")...)
	s.world("MA001", 2000)
	s.staff("PUT", roomPath, object{"mode": "on", "mostPerSecond": 1}).want(200)
	line := &waiters{b: b, s: s, client: &fasthttp.HostClient{Addr: strings.TrimPrefix(s.base, "http://"), MaxConns: clients}, people: make([]waiter, people)}
	each(people, clients, line.join)

	for b.Loop() {
		line.polls.Store(0)
		before := s.cpu()
		end := time.Now().Add(measured)
		each(clients, clients, func(i int) { line.wait(i, clients, end) })
		polling := s.cpu() - before

		before = s.cpu()
		each(holds, clients, line.hold)
		holding := (s.cpu() - before) / holds

		polls := float64(line.polls.Load())
		b.ReportMetric(polls/measured.Seconds(), "polls/s")
		b.ReportMetric(1e6*polling/polls, "µs-CPU/poll")
		b.ReportMetric(1e6*holding, "µs-CPU/hold")
		b.ReportMetric(holding/(polling/polls), "polls/hold")
		b.ReportMetric(100*polling/measured.Seconds(), "%-of-a-core")
	}
}

// each does n things, some at the same time.
func each(n, atOnce int, do func(i int)) {
	var all sync.WaitGroup
	var next atomic.Int64
	for range atOnce {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	all.Wait()
}

type waiter struct {
	ticket string
	due    time.Time
}

type waiters struct {
	b      *testing.B
	s      *server
	client *fasthttp.HostClient
	people []waiter
	polls  atomic.Int64
}

// ask sends one request, and reads what a place says.
func (c *waiters) ask(method, path, body string, want int, headers ...string) (place struct {
	Ticket      string
	PollAfterMs int
}) {
	req, reply := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(reply)
	req.SetRequestURI(c.s.base + path)
	req.Header.SetMethod(method)
	req.Header.SetContentType("application/json")
	req.SetBodyString(body)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if err := c.client.DoTimeout(req, reply, patience); err != nil || reply.StatusCode() != want {
		c.b.Errorf("%s: %v %d %s", path, err, reply.StatusCode(), reply.Body())
		return place
	}
	if err := json.Unmarshal(reply.Body(), &place); err != nil {
		c.b.Error(err)
	}
	return place
}

func (c *waiters) join(i int) {
	from := fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255) // each has an address of their own
	place := c.ask("POST", "/v1/waiting-room/tickets", `{"service":"RSV:Adult","area":"LS1"}`, 201, "X-Forwarded-For", from)
	c.people[i] = waiter{place.Ticket, time.Now().Add(time.Duration(place.PollAfterMs) * time.Millisecond)}
}

// wait polls for every nth person when they are due, until the end.
func (c *waiters) wait(first, n int, end time.Time) {
	for time.Now().Before(end) {
		now := time.Now()
		for i := first; i < len(c.people); i += n {
			if p := &c.people[i]; !now.Before(p.due) && now.Before(end) {
				place := c.ask("GET", "/v1/waiting-room/ticket", "", 200, "Waiting-Room-Ticket", p.ticket)
				c.polls.Add(1)
				p.due = time.Now().Add(time.Duration(max(1000, place.PollAfterMs)) * time.Millisecond)
			}
		}
		<-time.After(20 * time.Millisecond)
	}
}

func (c *waiters) hold(i int) {
	body, err := json.Marshal(claim("MA001", soon().Add(time.Duration(i%12)*10*time.Minute)))
	if err != nil {
		c.b.Error(err)
	}
	c.ask("POST", "/v1/holds", string(body), 201, "Authorization", "Bearer dev")
}

var cpuLine = regexp.MustCompile(`(?m)^process_cpu_seconds_total (\S+)$`)

// cpu is how many seconds of it the server has used.
func (s *server) cpu() float64 {
	s.t.Helper()
	reply, err := client.Get(s.ops + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	m := cpuLine.FindSubmatch(text)
	if m == nil {
		s.t.Fatal("the server does not tell its CPU")
	}
	seconds, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return seconds
}

// BenchmarkRemaining is what it costs a waiting room to know what is free: everywhere, every two seconds; and near an area, at most 64
// times a second.
func BenchmarkRemaining(b *testing.B) {
	engine, _ := searched(b)
	for name, area := range map[string]string{"everywhere": "", "near": "LS1"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := engine.Remaining(b.Context(), sample.Covid, area, nearMetres); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
