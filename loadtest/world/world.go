// Package world is what a load test finds at a server: sites, services, places. It publishes them itself where it may (sites of
// England with made-up sessions, as scarce as the profile says), and else learns which services are on offer.
package world

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"muster/allocator"
	"muster/cmd/muster/sample"
	"muster/loadtest/attack"
	"muster/loadtest/result"
)

// Plan is what to publish.
type Plan struct {
	Places int       // in all
	Sites  int       // 0: as many as suit the places
	Seed   uint64    // chooses the sites
	First  time.Time // the first day with sessions
}

// World is what was published.
type World struct {
	Services []attack.Service
	From, To string // dates with places
	Sites    []result.Supply
	Places   int
	Days     int
}

const (
	days          = 5 // with sessions
	slotMinutes   = 10
	opens         = 9 * 60 // minutes of the day
	mostSlots     = 48     // from nine to five
	placesPerSite = 12     // about
	leastSites    = 10
)

// site is one of the world with its places a day.
type site struct {
	allocator.Site
	perDay, slots, capacity, days int
}

// lay plans sites and sessions: large sites have more of the places, as they have in England.
func lay(p Plan) ([]site, error) {
	if p.Places < 1 {
		return nil, fmt.Errorf("a world of %d places has nothing to offer", p.Places)
	}
	all, err := sample.Sites()
	if err != nil {
		return nil, err
	}
	n := p.Sites
	if n == 0 {
		n = min(len(all), max(leastSites, p.Places/placesPerSite))
	}
	n = min(n, len(all), p.Places)
	dice := rand.New(rand.NewPCG(p.Seed, 0x776f_726c_64))
	sites := make([]site, n)
	sum := 0.0
	for i, at := range dice.Perm(len(all))[:n] {
		sites[i].Site = all[at]
		sum += weight(all[at].Type)
	}
	left := p.Places
	for i := range sites {
		s := &sites[i]
		share := int(math.Round(float64(p.Places) * weight(s.Type) / sum))
		share = min(max(1, share), left-(n-1-i)) // each that follows gets one at least
		if i == n-1 {
			share = left
		}
		left -= share
		s.divide(share)
	}
	return sites, nil
}

// divide spreads places over days and slots. What does not divide evenly is added on top: nobody is sent away for a remainder.
func (s *site) divide(places int) {
	s.days = min(days, max(1, places/6))
	s.perDay = (places + s.days - 1) / s.days
	s.capacity = (s.perDay + mostSlots - 1) / mostSlots
	s.slots = (s.perDay + s.capacity - 1) / s.capacity
}

func (s *site) places() int { return s.days * s.slots * s.capacity }

func weight(kind string) float64 {
	switch kind {
	case "Vaccination Centres":
		return 10
	case "Hospital Hubs":
		return 4
	}
	return 1
}

// services are those that the world offers, one for every adult and one for the eldest.
func services() []allocator.Service {
	var offered []allocator.Service
	for _, s := range sample.Services() {
		switch s.Code {
		case sample.Covid, sample.RSV, sample.Flu, sample.FluAdult:
			offered = append(offered, s)
		}
	}
	return offered
}

// Publisher publishes through the API. Safe for concurrent use.
type Publisher struct {
	Base   string // http://host:port
	Token  string // bearer token that may write services, sites and capacity
	Client *http.Client
}

// sitesAtOnce is how many sites are put at a time.
const sitesAtOnce = 16

// Prepare publishes a world. What is there already under the same ids is replaced.
func (p *Publisher) Prepare(ctx context.Context, plan Plan) (*World, error) {
	sites, err := lay(plan)
	if err != nil {
		return nil, err
	}
	w := &World{From: plan.First.Format(time.DateOnly), To: plan.First.AddDate(0, 0, days-1).Format(time.DateOnly), Days: days}
	for _, s := range services() {
		w.Services = append(w.Services, attack.Service{Code: string(s.Code), MinAge: s.Eligibility.MinAge, MaxAge: s.Eligibility.MaxAge})
		err := p.send(ctx, http.MethodPut, "/v1/services/"+url.PathEscape(string(s.Code)), object{"name": s.Name, "onePerPerson": true,
			"windowDays": s.WindowDays, "eligibility": eligibility(s.Eligibility)})
		if err != nil {
			return nil, err
		}
	}
	if err := p.putSites(ctx, sites); err != nil {
		return nil, err
	}
	if err := p.upload(ctx, sites, plan.First, w.Services); err != nil {
		return nil, err
	}
	for i := range sites {
		s := &sites[i]
		w.Places += s.places()
		w.Sites = append(w.Sites, result.Supply{Site: string(s.ID), Name: s.Name, Lat: s.Lat, Lon: s.Lon, Places: s.places()})
	}
	return w, nil
}

type object = map[string]any

func eligibility(e allocator.Eligibility) object {
	o := object{}
	if e.MinAge > 0 {
		o["minAge"] = e.MinAge
	}
	if e.MaxAge > 0 {
		o["maxAge"] = e.MaxAge
	}
	return o
}

func (p *Publisher) putSites(ctx context.Context, sites []site) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan *site)
	var putting sync.WaitGroup
	for range min(sitesAtOnce, len(sites)) {
		putting.Go(func() {
			for s := range next {
				err := p.send(ctx, http.MethodPut, "/v1/sites/"+url.PathEscape(string(s.ID)), object{"name": s.Name, "type": s.Type, "timeZone": s.TimeZone,
					"address":  object{"lines": []string{"A real place with made-up sessions"}, "postcode": s.Postcode},
					"location": object{"lat": s.Lat, "lon": s.Lon}})
				if err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := range sites {
		if ctx.Err() != nil {
			break
		}
		next <- &sites[i]
	}
	close(next)
	putting.Wait()
	return context.Cause(ctx)
}

// upload publishes all days in one request.
func (p *Publisher) upload(ctx context.Context, sites []site, first time.Time, offered []attack.Service) error {
	var codes []string
	for _, s := range offered {
		codes = append(codes, s.Code)
	}
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	count := 0
	for i := range sites {
		s := &sites[i]
		for day := range s.days {
			until := opens + s.slots*slotMinutes
			err := encoder.Encode(object{"siteId": s.ID, "date": first.AddDate(0, 0, day).Format(time.DateOnly), "sessions": []object{{
				"from": fmt.Sprintf("%02d:%02d", opens/60, opens%60), "until": fmt.Sprintf("%02d:%02d", until/60, until%60),
				"slotLength": slotMinutes, "capacity": s.capacity, "services": codes}}})
			if err != nil {
				return err
			}
			count++
		}
	}
	request, err := p.request(ctx, http.MethodPost, "/v1/capacity", &lines)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	reply, err := p.Client.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	return readUpload(reply, count)
}

func readUpload(reply *http.Response, count int) error {
	if reply.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(reply.Body, 500)) // the status says enough
		return fmt.Errorf("publishing capacity: status %d: %s", reply.StatusCode, text)
	}
	decoder := json.NewDecoder(reply.Body)
	for done := 0; ; done++ {
		var line struct {
			SiteID  string
			Date    string
			Problem json.RawMessage
		}
		switch err := decoder.Decode(&line); {
		case errors.Is(err, io.EOF) && done == count:
			return nil
		case err != nil:
			return fmt.Errorf("publishing capacity: %d of %d days were answered: %w", done, count, err)
		case line.Problem != nil:
			return fmt.Errorf("publishing capacity of %s on %s: %s", line.SiteID, line.Date, line.Problem)
		}
	}
}

func (p *Publisher) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(p.Base, "/")+path, body)
	if err == nil && p.Token != "" {
		request.Header.Set("Authorization", "Bearer "+p.Token)
	}
	return request, err
}

func (p *Publisher) send(ctx context.Context, method, path string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := p.request(ctx, method, path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	reply, err := p.Client.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(reply.Body, 1<<20))
	if err == nil && reply.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: status %d: %.300s", method, path, reply.StatusCode, answer)
	}
	return err
}

// Learn asks a server for the services on offer. Sites show when people search.
func Learn(ctx context.Context, client *http.Client, base string) (*World, error) {
	p := &Publisher{Base: base, Client: client}
	request, err := p.request(ctx, http.MethodGet, "/v1/services", nil)
	if err != nil {
		return nil, err
	}
	reply, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	var known struct {
		Services []struct {
			Service     string
			Eligibility struct{ MinAge, MaxAge int }
		}
	}
	if reply.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the services on offer: status %d", reply.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(reply.Body, 8<<20)).Decode(&known); err != nil {
		return nil, fmt.Errorf("the services on offer: %w", err)
	}
	w := new(World)
	for _, s := range known.Services {
		w.Services = append(w.Services, attack.Service{Code: s.Service, MinAge: s.Eligibility.MinAge, MaxAge: s.Eligibility.MaxAge})
	}
	if len(w.Services) == 0 {
		return nil, errors.New("the server offers no service: publish some capacity, or let the load test do it (--prepare)")
	}
	return w, nil
}
