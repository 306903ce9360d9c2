package abuse

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"muster/allocator"
)

// scrape: somebody reads what is free at every site again and again, from one address.
func scrape(s *scene) row {
	const tried = 3000
	var got atomic.Int64
	began := time.Now()
	each(tried, func(int) {
		if (&caller{s: s, address: address(4, 1)}).search().status == http.StatusOK {
			got.Add(1)
		}
	})
	return row{Attack: "enumerating what is free, from one address", Tried: tried, Won: got.Load(), Most: 600 + 10*int64(time.Since(began).Seconds()+1),
		Of: "searches answered", Note: "all of it is published for everybody once a minute, in less bytes"}
}

// guessReferences: references at random with a likely date of birth, from a hundred addresses.
func guessReferences(s *scene) row {
	const tried, addresses = 4000, 100
	rng := rand.New(rand.NewPCG(1, 2))
	keys := make([]allocator.BookingKey, tried)
	for i := range keys {
		keys[i] = allocator.BookingKey(rng.Int64N(1 << allocator.BookingKeyBits))
	}
	var opened, looked atomic.Int64
	each(tried, func(i int) {
		r := (&caller{s: s, address: address(5, i%addresses)}).call(http.MethodGet, "/v1/bookings/"+keys[i].Reference()+"?dateOfBirth=1948-05-17", nil)
		switch r.status {
		case http.StatusOK:
			opened.Add(1)
		case http.StatusNotFound:
			looked.Add(1)
		}
	})
	return row{Attack: "guessing references, from 100 addresses", Tried: tried, Won: opened.Load(), Of: "bookings opened",
		Note: fmt.Sprintf("%d were looked at; a reference is one of 2⁶⁰", looked.Load())}
}

// guessBirth: one known reference, and all dates of birth of five years, from a thousand addresses. The person's own is not
// among those that can be tried in time.
func guessBirth(s *scene) row {
	const tried = 1826
	victim := &caller{s: s, address: "192.0.2.8", works: true}
	token, _ := victim.hold()
	reference, _, _ := strings.Cut(afterKey(victim.confirm(token, 91_000).body, `"reference":"`), `"`)
	if reference == "" {
		s.Error("the victim was not booked")
	}
	from := time.Date(1945, 1, 1, 0, 0, 0, 0, time.UTC)
	var opened, looked atomic.Int64
	each(tried, func(i int) {
		r := (&caller{s: s, address: address(6, i%1000)}).call(http.MethodGet, "/v1/bookings/"+reference+"?dateOfBirth="+from.AddDate(0, 0, i).Format(time.DateOnly), nil)
		switch r.status {
		case http.StatusOK:
			opened.Add(1)
		case http.StatusNotFound:
			looked.Add(1)
		}
	})
	return row{Attack: "guessing the date of birth for a known reference, from 1,000 addresses", Tried: tried, Won: looked.Load() + opened.Load(), Most: 6, Of: "dates tried",
		Note: fmt.Sprintf("%d opened it", opened.Load())}
}

func afterKey(body []byte, key string) string {
	_, rest, _ := strings.Cut(string(body), key)
	return rest
}

// forge: every character of a hold's token, a manage token, a ticket and a challenge, changed.
func forge(s *scene) row {
	c := &caller{s: s, address: "192.0.2.9", works: true}
	token, _ := c.hold()
	other, _ := (&caller{s: s, address: "192.0.2.10"}).hold()
	booked := c.confirm(token, 92_000)
	reference, _, _ := strings.Cut(afterKey(booked.body, `"reference":"`), `"`)
	manage, _, _ := strings.Cut(afterKey(booked.body, `"manageToken":"`), `"`)
	if other == "" || reference == "" || manage == "" {
		s.Error("there is nothing to forge")
	}
	tried, taken := 0, int64(0)
	for _, forged := range changed(other) {
		tried++
		if (&caller{s: s, address: c.address}).call(http.MethodGet, "/v1/holds/"+url.PathEscape(forged), nil).status != http.StatusNotFound {
			taken++
		}
	}
	for _, forged := range changed(c.ticket) {
		tried++
		f := &caller{s: s, address: "192.0.2.11", ticket: forged}
		if f.search(); f.ticket == forged { // one that is not known is answered with another
			taken++
		}
	}
	for _, forged := range changed(manage) {
		tried++
		taken += s.manages(reference, forged)
	}
	if s.manages(reference, manage) != 1 || (&caller{s: s, address: c.address}).call(http.MethodGet, "/v1/holds/"+url.PathEscape(other), nil).status != http.StatusOK {
		s.Error("the true ones are not taken")
	}
	return row{Attack: "forging hold tokens, manage tokens and tickets", Tried: tried, Won: taken, Of: "taken"}
}

// manages is 1 where a manage token opens a booking.
func (s *scene) manages(reference, token string) int64 {
	q, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.server.Base+"/v1/bookings/"+reference, nil)
	if err != nil {
		s.Error(err)
		return 0
	}
	q.Header.Set("Authorization", "Manage "+token)
	answer, err := s.client.Do(q)
	if err != nil {
		s.Error(err)
		return 0
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		return 1
	}
	return 0
}

// changed are texts that differ from one in a character.
func changed(text string) (all []string) {
	for i := range text {
		for _, c := range "A7" {
			if forged := text[:i] + string(c) + text[i+1:]; forged != text {
				all = append(all, forged)
			}
		}
	}
	return all
}

// replay: one proof, shown again and again by its visitor and by others.
func replay(s *scene) row {
	const tried = 300
	for range addressHolds {
		(&caller{s: s, address: address(7, 1)}).hold()
	}
	c := &caller{s: s, address: address(7, 1)}
	_, r := c.hold()
	ticket := c.ticket
	proof := solved(s, r)
	var got atomic.Int64
	each(tried, func(i int) {
		again := &caller{s: s, address: address(7, 1), ticket: ticket}
		if i%2 == 1 {
			again.ticket = ""
		}
		if again.send(http.MethodPost, "/v1/holds", s.claim(s.serial.Add(1)), proof).status == http.StatusCreated {
			got.Add(1)
		}
	})
	return row{Attack: "replaying a proof", Tried: tried, Won: got.Load(), Least: 1, Most: 1, Of: "times taken"}
}

// slowLoris: connections that send a byte now and then, while somebody else is served.
func slowLoris(s *scene) row {
	const tried, bound = 200, 64
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	host := strings.TrimPrefix(s.server.Base, "http://")
	var open []net.Conn
	for range tried {
		c, err := dialer.DialContext(s.Context(), "tcp", host)
		if err != nil {
			s.Error(err)
			continue
		}
		defer c.Close()
		if _, err := c.Write([]byte("GET /v1/services HTTP/1.1\r\nHost: x\r\nX-Slow: ")); err == nil {
			open = append(open, c)
		}
	}
	kept := int64(0)
	for _, c := range open {
		_ = c.SetReadDeadline(time.Now().Add(2 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); err != nil && strings.Contains(err.Error(), "timeout") {
			kept++
		}
	}
	honest := &caller{s: s, address: "192.0.2.12"}
	for range 50 {
		if r := honest.call(http.MethodGet, "/v1/services", nil); r.status != http.StatusOK {
			s.Errorf("meanwhile an honest caller got %d", r.status)
		}
	}
	return row{Attack: "holding connections open, from one address", Tried: tried, Won: kept, Most: bound, Of: "connections kept",
		Note: "with --connections-per-address 64, and each for 10 s at most; 50 of 50 honest requests were answered meanwhile"}
}
