package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"muster/allocator"
)

// API reads a server's books as its staff do. Safe for concurrent use.
type API struct {
	Base   string // http://host:port
	Token  string // bearer token that may read bookings and capacity; "": none
	Client *http.Client

	mu    sync.Mutex
	zones map[string]*time.Location
}

// Name is books.
func (a *API) Name() string { return "the API's lists of each day, at " + a.Base }

const (
	mostReply = 64 << 20
	mostTries = 5
)

// errStatus is an answer that is no success.
type errStatus struct {
	status int
	body   []byte
}

func (e errStatus) Error() string { return fmt.Sprintf("status %d: %.200s", e.status, e.body) }

// call sends a request until it is answered with anything but 429 or 5xx, a few times, and reads the reply into a document.
func (a *API) call(ctx context.Context, method, path, authorization string, into any) error {
	for try := 1; ; try++ {
		err := a.once(ctx, method, path, authorization, into)
		var status errStatus
		passing := err != nil && (!errors.As(err, &status) || status.status >= 500 || status.status == http.StatusTooManyRequests)
		if !passing || try == mostTries || ctx.Err() != nil {
			return err
		}
		pause(ctx, time.Duration(try)*300*time.Millisecond)
	}
}

func (a *API) once(ctx context.Context, method, path, authorization string, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(a.Base, "/")+path, nil)
	if err != nil {
		return err
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	reply, err := a.Client.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(io.LimitReader(reply.Body, mostReply))
	switch {
	case err != nil:
		return err
	case reply.StatusCode/100 != 2:
		return errStatus{reply.StatusCode, body}
	case into == nil:
		return nil
	}
	return json.NewDecoder(bytes.NewReader(body)).Decode(into)
}

func (a *API) staff() string {
	if a.Token == "" {
		return ""
	}
	return "Bearer " + a.Token
}

// Zone is books.
func (a *API) Zone(ctx context.Context, site string) (*time.Location, error) {
	a.mu.Lock()
	zone, ok := a.zones[site]
	a.mu.Unlock()
	if ok {
		return zone, nil
	}
	var reply struct{ TimeZone string }
	err := a.call(ctx, http.MethodGet, "/v1/sites/"+url.PathEscape(site), "", &reply)
	if err == nil {
		zone, err = time.LoadLocation(reply.TimeZone)
	}
	if err != nil {
		return nil, fmt.Errorf("the time zone of site %s: %w", site, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.zones == nil {
		a.zones = make(map[string]*time.Location)
	}
	a.zones[site] = zone
	return zone, nil
}

type bookingJSON struct {
	Reference, Status, SiteID, Service, Start string
	Length                                    int
	Person                                    *struct{ NHSNumber string }
}

func (b *bookingJSON) row() (Row, error) {
	start, err := time.Parse(time.RFC3339, b.Start)
	if err != nil {
		return Row{}, fmt.Errorf("booking %s starts at %q", b.Reference, b.Start)
	}
	row := Row{Reference: b.Reference, Slot: Slot{b.SiteID, start.Unix() / 60, b.Length}, Service: b.Service, Place: -1}
	row.Live = allocator.Status(b.Status).Live()
	if b.Person != nil && b.Person.NHSNumber != "" {
		row.NHSNumber = b.Person.NHSNumber
		programme, _, _ := strings.Cut(b.Service, ":")
		row.Person = programme + " " + row.NHSNumber
	}
	return row, nil
}

type sessionJSON struct {
	From, Until          string
	SlotLength, Capacity int
	Services             []allocator.ServiceCode
	Breaks               []struct{ From, Until string }
	Status, Access       string
}

// Day is books.
func (a *API) Day(ctx context.Context, site, date string) (Day, error) {
	path := "/v1/sites/" + url.PathEscape(site) + "/days/" + date
	var list struct{ Bookings []bookingJSON }
	var document struct{ Sessions []sessionJSON }
	if err := a.call(ctx, http.MethodGet, path+"/bookings", a.staff(), &list); err != nil {
		return Day{}, err
	}
	if err := a.call(ctx, http.MethodGet, path, a.staff(), &document); err != nil {
		return Day{}, err
	}
	zone, err := a.Zone(ctx, site)
	if err != nil {
		return Day{}, err
	}
	var day Day
	for i := range list.Bookings {
		row, err := list.Bookings[i].row()
		if err != nil {
			return day, err
		}
		day.Rows = append(day.Rows, row)
	}
	day.Slots, err = slotsOf(site, date, document.Sessions, zone)
	return day, err
}

func slotsOf(site, date string, sessions []sessionJSON, zone *time.Location) ([]allocator.Slot, error) {
	on, err := allocator.ParseDate(date)
	if err != nil {
		return nil, err
	}
	day := allocator.Day{Site: allocator.SiteID(site), Date: on}
	for _, s := range sessions {
		session := allocator.Session{SlotLength: s.SlotLength, Capacity: s.Capacity, Services: s.Services,
			Stopped: s.Status == "stopped", Invited: s.Access == "invited"}
		var err error
		if session.From, session.Until, err = between(s.From, s.Until); err != nil {
			return nil, err
		}
		for _, b := range s.Breaks {
			from, until, err := between(b.From, b.Until)
			if err != nil {
				return nil, err
			}
			session.Breaks = append(session.Breaks, allocator.Break{From: from, Until: until})
		}
		if session.SlotLength <= 0 {
			return nil, fmt.Errorf("site %s has slots of %d minutes on %s", site, session.SlotLength, date)
		}
		day.Sessions = append(day.Sessions, session)
	}
	return day.Slots(zone), nil
}

func between(from, until string) (f, u allocator.TimeOfDay, err error) {
	if f, err = allocator.ParseTimeOfDay(from); err == nil {
		u, err = allocator.ParseTimeOfDay(until)
	}
	return f, u, err
}

// booking reads one with its manage token.
func (a *API) booking(ctx context.Context, b *Booking) (Row, error) {
	var reply bookingJSON
	if err := a.call(ctx, http.MethodGet, "/v1/bookings/"+url.PathEscape(b.Reference), "Manage "+b.ManageToken, &reply); err != nil {
		return Row{}, err
	}
	return reply.row()
}

// hold asks for one place, once.
func (a *API) hold(ctx context.Context, slot Slot, service string) (token string, err error) {
	text, err := json.Marshal(map[string]any{"siteId": slot.Site, "service": service, "start": time.Unix(slot.Start*60, 0).UTC().Format(time.RFC3339), "length": slot.Length})
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(a.Base, "/")+"/v1/holds", bytes.NewReader(text))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	reply, err := a.Client.Do(request)
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(io.LimitReader(reply.Body, 1<<20))
	if err != nil {
		return "", err
	}
	var hold struct{ HoldID string }
	if reply.StatusCode != http.StatusCreated || json.Unmarshal(body, &hold) != nil {
		return "", errStatus{reply.StatusCode, body}
	}
	return hold.HoldID, nil
}

// release gives a hold back.
func (a *API) release(ctx context.Context, token string) error {
	return a.call(ctx, http.MethodDelete, "/v1/holds/"+url.PathEscape(token), "", nil)
}

// free is how many places of a date's slots the server offers for a service.
func (a *API) free(ctx context.Context, site, date, service string) (map[Slot]int, error) {
	var reply struct {
		Days []struct {
			Slots []struct {
				Start        string
				Length, Free int
			}
		}
	}
	path := "/v1/sites/" + url.PathEscape(site) + "/availability?service=" + url.QueryEscape(service) + "&from=" + date + "&to=" + date
	if err := a.call(ctx, http.MethodGet, path, "", &reply); err != nil {
		return nil, err
	}
	free := make(map[Slot]int)
	for _, day := range reply.Days {
		for _, s := range day.Slots {
			start, err := time.Parse(time.RFC3339, s.Start)
			if err != nil {
				return nil, err
			}
			free[Slot{site, start.Unix() / 60, s.Length}] = s.Free
		}
	}
	return free, nil
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
