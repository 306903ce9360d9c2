package installation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"muster/allocator"
)

// Offered compares what every server offers at every site of the world with what the ledger leaves free; nil: it is the same.
// Where no hold is left, that is what the inventory knows, as people see it, also where it is in a server's memory. Slots in
// which a capacity cut left somebody without a seat are passed over: what may still be granted there depends on who it is.
func (in *Installation) Offered(ctx context.Context, w *World) error {
	books, err := in.OpenBooks(ctx)
	if err != nil {
		return err
	}
	defer books.Close()
	client := httpClient()
	defer client.CloseIdleConnections()
	for _, site := range w.Sites {
		day, rows, err := books.Ledger.DayBookings(ctx, site, w.Date)
		if err != nil {
			return err
		}
		for _, service := range []allocator.ServiceCode{ServiceA, ServiceB} {
			free := left(w, day, rows, service)
			for _, s := range in.Servers {
				offered, err := offers(ctx, client, s, w, site, service)
				if err != nil {
					return err
				}
				for start, want := range free {
					if offered[start] != want {
						return fmt.Errorf("server %d offers %d places for %s at %s %v, the ledger leaves %d", s.Index, offered[start], service, site, start.Time(), want)
					}
				}
			}
		}
	}
	return nil
}

// left is how many further claims of a service each slot takes: by Hall's theorem, for the three kinds of sessions that
// World.Sessions makes.
func left(w *World, day allocator.Day, rows []allocator.Booking, service allocator.ServiceCode) map[allocator.Minute]int {
	var own, shared, others int // places for this service only, for both, for the other only
	for _, s := range day.Sessions {
		switch {
		case len(s.Services) == 2:
			shared += s.Capacity
		case s.Services[0] == service:
			own += s.Capacity
		default:
			others += s.Capacity
		}
	}
	used, usedByOthers := make(map[allocator.Minute]int), make(map[allocator.Minute]int)
	for i := range rows {
		switch b := &rows[i]; {
		case !b.Status.Live():
		case b.Service == service:
			used[b.Slot.Start]++
		default:
			usedByOthers[b.Slot.Start]++
		}
	}
	free := make(map[allocator.Minute]int)
	for _, at := range w.Starts {
		start := allocator.MinuteOf(at)
		spare := own + shared - used[start] - max(0, usedByOthers[start]-others)
		if spare >= 0 && usedByOthers[start] <= others+shared {
			free[start] = spare
		}
	}
	return free
}

func offers(ctx context.Context, client *http.Client, s *Server, w *World, site allocator.SiteID, service allocator.ServiceCode) (map[allocator.Minute]int, error) {
	path := fmt.Sprintf("/v1/sites/%s/availability?service=%s&from=%s&to=%s", site, url.QueryEscape(string(service)), w.Date, w.Date)
	a := send(ctx, client, s.Base, request{method: http.MethodGet, path: path})
	var found struct {
		Days []struct {
			Slots []struct {
				Start time.Time
				Free  int
			}
		}
	}
	if err := errors.Join(a.err, a.decode(&found)); err != nil || !a.ok() {
		return nil, fmt.Errorf("server %d: %s: %d %s: %w", s.Index, path, a.status, a.body, err)
	}
	free := make(map[allocator.Minute]int)
	for _, d := range found.Days {
		for _, slot := range d.Slots {
			free[allocator.MinuteOf(slot.Start)] = slot.Free
		}
	}
	return free, nil
}
