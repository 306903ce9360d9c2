package attack

import (
	"context"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// runLean sends all that the scheduler hands out with fasthttp's client, and returns when the last answer is there. Workers are
// started as they are needed.
func runLean(ctx context.Context, c *Config, s *scheduler) {
	address := c.Target.Host
	if c.Target.Port() == "" {
		address = net.JoinHostPort(c.Target.Hostname(), map[bool]string{false: "80", true: "443"}[c.Target.Scheme == "https"])
	}
	client := &fasthttp.HostClient{
		Addr: address, IsTLS: c.Target.Scheme == "https", MaxConns: c.MaxWorkers, MaxIdleConnDuration: time.Minute,
		NoDefaultUserAgentHeader: true, DisablePathNormalizing: true, MaxIdemponentCallAttempts: 1,
		Dial: func(address string) (net.Conn, error) { return fasthttp.DialTimeout(address, c.Timeout) },
	}
	defer client.CloseIdleConnections()
	work := make(chan *shot)
	var workers sync.WaitGroup
	for started := 0; ; {
		sh, ok := s.next(ctx)
		if !ok {
			break
		}
		if started < c.MaxWorkers {
			select {
			case work <- sh:
				continue
			default:
				started++
				workers.Go(func() { leanWorker(client, c, s, work) })
			}
		}
		work <- sh
	}
	close(work)
	workers.Wait()
}

// leanWorker sends one request after the other.
func leanWorker(client *fasthttp.HostClient, c *Config, s *scheduler, work <-chan *shot) {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	for sh := range work {
		describeLean(request, c, sh, s.prepare(sh))
		response.Reset()
		s.sending(sh)
		err := client.DoTimeout(request, response, c.Timeout)
		ended := s.now()
		if err != nil {
			s.done(sh, Reply{Err: err}, ended)
			continue
		}
		reply := Reply{Status: response.StatusCode(), Body: response.Body()} // read before the next request
		if seconds, err := strconv.Atoi(string(response.Header.Peek("Retry-After"))); err == nil {
			reply.RetryAfter = time.Duration(seconds) * time.Second
		}
		s.done(sh, reply, ended)
	}
}

func describeLean(r *fasthttp.Request, c *Config, sh *shot, q *Request) {
	r.Reset()
	r.Header.SetMethod(q.Method)
	r.SetRequestURI(q.Path)
	r.URI().SetScheme(c.Target.Scheme)
	r.Header.SetHost(c.Target.Host)
	r.URI().SetHost(c.Target.Host)
	r.Header.Set(headerID, idPrefix+strconv.FormatUint(sh.id, 10))
	if q.Body != nil {
		r.Header.SetContentType("application/json")
		r.SetBodyRaw(q.Body)
	}
	if q.Key != "" {
		r.Header.Set("Idempotency-Key", q.Key)
	}
	if q.Authorization != "" {
		r.Header.Set("Authorization", q.Authorization)
	}
}
