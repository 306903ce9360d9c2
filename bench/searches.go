package bench

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"sync"
	"time"

	"muster/geo"
)

const (
	sitesAsked   = 10      // of a search, which is the default
	searchMetres = 50_000  // likewise
	questionsMax = 1 << 12 // different searches of a run
)

// question is a search with its right answer.
type question struct {
	request []byte
	metres  [sitesAsked]int // of the nearest sites, which all have free slots
}

// ask searches from random real postcodes that have as many sites within reach as are asked for. Sites whose slots sell out
// on the way are avoided.
func (w *world) ask(address string) ([]question, error) {
	postcodes, err := geo.EmbeddedPostcodes()
	if err != nil {
		return nil, err
	}
	places := make([]geo.Place, len(w.sites))
	for i := range w.sites {
		places[i] = geo.Place{Position: int32(i), Point: geo.Point{Lat: w.sites[i].Lat, Lon: w.sites[i].Lon}}
	}
	index, err := geo.NewIndex(places)
	if err != nil {
		return nil, err
	}
	dice := rand.New(rand.NewPCG(3, 5))
	var questions []question
	for tries := 0; len(questions) < questionsMax && tries < 20*questionsMax; tries++ {
		from := postcodes.At(dice.IntN(postcodes.Len()))
		q := question{}
		found, steady := 0, true
		index.Nearest(from.Point, searchMetres, func(key int32, metres float64) bool {
			steady = int(key) < len(w.spread) && (w.spread[key].Lat != w.spread[0].Lat || w.spread[key].Lon != w.spread[0].Lon)
			q.metres[found] = int(metres + 0.5)
			found++
			return steady && found < sitesAsked
		})
		if !steady || found < sitesAsked {
			continue
		}
		q.request = fmt.Appendf(nil, "GET /v1/sites?postcode=%s&service=%s HTTP/1.1\r\nHost: %s\r\n\r\n",
			url.PathEscape(from.Postcode), url.QueryEscape(service), address)
		questions = append(questions, q)
	}
	if len(questions) == 0 {
		return nil, fmt.Errorf("no postcode has %d sites within %d m", sitesAsked, searchMetres)
	}
	return questions, nil
}

// searches is a closed loop of searches, each of which must name the right sites.
func searches(check bool) shape {
	return func(ctx context.Context, c *client) {
		for ctx.Err() == nil {
			q := &c.questions[rand.IntN(len(c.questions))]
			began := time.Now()
			status, body, err := c.send(q.request)
			c.time(&c.holds, began, 1)
			if err == nil && status != 200 {
				err = fmt.Errorf("search: status %d: %.300s", status, body)
			}
			if err == nil && check {
				err = q.check(body)
			}
			if c.measuring.Load() {
				c.bytes.Add(int64(len(body)))
			}
			c.count(began, 1, err)
		}
	}
}

// askAll asks every question once, so that no turn begins with what a server keeps of a site not made yet. Answers are not
// looked at: those that count are.
func (l *load) askAll() {
	const askers = 16
	var asking sync.WaitGroup
	for i := range askers {
		asking.Go(func() {
			c := l.client()
			defer c.close()
			for n := i; n < len(l.questions); n += askers {
				_, _, _ = c.send(l.questions[n].request)
			}
		})
	}
	asking.Wait()
}

// check compares the distances of an answer with those of the nearest sites.
func (q *question) check(body []byte) error {
	const before = `"distanceMetres":`
	rest := body
	for i, want := range q.metres {
		at := bytes.Index(rest, []byte(before))
		if at < 0 {
			return fmt.Errorf("search: %d sites, want %d: %.300s", i, sitesAsked, body)
		}
		rest = rest[at+len(before):]
		end := bytes.IndexAny(rest, ",}")
		got, err := strconv.Atoi(string(rest[:max(0, end)]))
		if err != nil || got < want-1 || got > want+1 {
			return fmt.Errorf("search: site %d is %.20q m away, want %d", i, rest[:max(0, end)], want)
		}
	}
	if bytes.Contains(rest, []byte(before)) {
		return fmt.Errorf("search: more than %d sites", sitesAsked)
	}
	return nil
}
