package bench

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"muster/allocator"
	"muster/allocator/cockroachledger"
	"muster/allocator/sqliteledger"
	"muster/loadtest/processes"
)

// ours is `muster serve`, before Redis and PostgreSQL or, where these are empty, embedded.
type ours struct {
	program, folder string
	postgres        string
	redis           []string // URLs of the nodes
	progress        func(format string, args ...any)
	primed          bool
	rest            time.Duration // at most
	ops             string        // where operators ask the server that runs
}

// backends are the flags that every command of muster needs.
func (m *ours) backends() []string {
	args := []string{"--data", filepath.Join(m.folder, "data")}
	if m.postgres != "" {
		args = append(args, "--ledger", m.postgres, "--redis", strings.Join(m.redis, ","))
	}
	return args
}

var answers = regexp.MustCompile(`^muster answers at http://(\S+) \(operators: (http://\S+)/readyz\)$`)

// start lets the server find out about every site: one that was restarted with its inventory in memory rebuilds it first.
// Before Redis, which keeps what was built, that is done once where there are many sites.
func (m *ours) start(ctx context.Context, w *world) (*processes.Process, string, error) {
	p, address, err := m.serve(ctx)
	if err != nil {
		return nil, "", err
	}
	if !m.primed || m.postgres == "" || len(w.sites) <= manySites {
		_, err = m.prime(ctx, w, address)
		m.primed = true
	}
	if err == nil {
		err = rest(ctx, p.Pid(), m.rest)
	}
	if err != nil {
		stop(p)
		return nil, "", p.Explain(err)
	}
	return p, address, nil
}

const manySites = 20_000

// serve starts the server and returns it and its address when it is ready.
func (m *ours) serve(ctx context.Context) (*processes.Process, string, error) {
	args := []string{"serve", "--dev", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--log-level", "warn"}
	args = append(args, m.backends()...)
	cmd := exec.Command(m.program, args...)
	cmd.Env = ownEnvironment()
	processes.Apart(cmd)
	p, said, err := processes.Serve(ctx, cmd, filepath.Join(m.folder, "serve.log"), answers)
	if err != nil {
		return nil, "", err
	}
	m.ops = said[2]
	if err := retry(ctx, func() error { return get(ctx, m.ops+"/readyz") }); err != nil {
		stop(p)
		return nil, "", p.Explain(err)
	}
	return p, said[1], nil
}

// ownEnvironment is this process's without what is set for other servers of muster.
func ownEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "MUSTER_") && !strings.HasPrefix(v, "MUSTER_TEST_")
	})
}

// stop ends a server politely.
func stop(p *processes.Process) { p.Stop(syscall.SIGTERM, 20*time.Second) }

// prime asks for a hold at every site and gives it back. It answers how long each site took to grant its first.
func (m *ours) prime(ctx context.Context, w *world, address string) (*Histogram, error) {
	l := &load{address: address}
	idle, took := make(chan *client, sitesAtOnce), new(Histogram)
	for range sitesAtOnce {
		idle <- l.client()
	}
	err := everySite(ctx, w, func(ctx context.Context, i int) error {
		c := <-idle
		defer func() { idle <- c }()
		p, began := place{w.sites[i].ID, w.starts[0].text}, time.Now()
		return retry(ctx, func() error {
			hold, err := c.hold(p, -1)
			if err != nil && !errors.Is(err, errFull) { // a place that a storm left without room is known as well
				return err
			}
			took.Add(time.Since(began))
			if err != nil {
				return nil
			}
			return c.release(hold)
		})
	})
	for range sitesAtOnce {
		(<-idle).close()
	}
	return took, err
}

// rest waits until a server that was just started has caught up: until it uses less than a tenth of a core. Where that cannot be
// seen, it does not wait.
func rest(ctx context.Context, pid int, most time.Duration) error {
	const every = 250 * time.Millisecond
	before, _, err := processCPU(pid)
	for range most / every {
		if err != nil {
			return nil
		}
		if err := wait(ctx, every); err != nil {
			return err
		}
		var now time.Duration
		if now, _, err = processCPU(pid); now-before < every/10 {
			return nil
		}
		before = now
	}
	return nil
}

// sitesAtOnce is how many sites are worked on at a time.
const sitesAtOnce = 32

// everySite does something at each site of the world, several at a time.
func everySite(ctx context.Context, w *world, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var working sync.WaitGroup
	for range sitesAtOnce {
		working.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(w.sites) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	working.Wait()
	return context.Cause(ctx)
}

type object = map[string]any

// prepare publishes the world as publishers do.
func (m *ours) prepare(ctx context.Context, w *world) error {
	began := time.Now()
	p, address, err := m.serve(ctx)
	if err != nil {
		return err
	}
	defer stop(p)
	base := "http://" + address
	if err := send(ctx, http.MethodPut, base+"/v1/services/"+service, object{"name": service, "onePerPerson": true}); err != nil {
		return err
	}
	err = everySite(ctx, w, func(ctx context.Context, i int) error {
		v := &w.sites[i]
		return send(ctx, http.MethodPut, base+"/v1/sites/"+string(v.ID), object{"name": v.Name, "type": v.Type, "timeZone": v.TimeZone,
			"address":  object{"lines": []string{"1 High Street"}, "postcode": v.Postcode},
			"location": object{"lat": v.Lat, "lon": v.Lon}})
	})
	if err != nil {
		return err
	}
	m.progress("%d sites are known after %v", len(w.sites), time.Since(began).Round(time.Millisecond))
	const uploads = 4
	faults := make([]error, uploads)
	var uploading sync.WaitGroup
	for i := range uploads {
		part := w.sites[i*len(w.sites)/uploads : (i+1)*len(w.sites)/uploads]
		if len(part) > 0 {
			uploading.Go(func() { faults[i] = publish(ctx, base, w, part) })
		}
	}
	uploading.Wait()
	m.progress("their days are published after %v", time.Since(began).Round(time.Millisecond))
	return errors.Join(faults...)
}

// publish uploads the days of sites in one request.
func publish(ctx context.Context, base string, w *world, sites []venue) error {
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	for i := range sites {
		v := &sites[i]
		until := firstSlot + allocator.TimeOfDay(v.slots*slotMinutes)
		err := encoder.Encode(object{"siteId": v.ID, "date": w.date.String(), "sessions": []object{{
			"from": firstSlot.String(), "until": until.String(), "slotLength": slotMinutes, "capacity": v.capacity,
			"services": []string{service}}}})
		if err != nil {
			return err
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/capacity", &lines)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer dev")
	r.Header.Set("Content-Type", "application/x-ndjson")
	results, err := do(r)
	if err != nil {
		return err
	}
	published := 0
	for line := range bytes.Lines(results) {
		var result struct {
			Revision int64
			Problem  json.RawMessage
		}
		if err := json.Unmarshal(line, &result); err != nil || result.Problem != nil {
			return fmt.Errorf("publishing: %w: %s", cmp.Or(err, errRefused), line)
		}
		published++
	}
	if published != len(sites) {
		return fmt.Errorf("%d of %d days were published", published, len(sites))
	}
	return nil
}

var errRefused = errors.New("a line was refused")

func (m *ours) books(ctx context.Context, w *world) ([]row, bool, error) {
	ledger, err := m.ledger(ctx)
	if err != nil {
		return nil, false, err
	}
	found := make([][]allocator.Booking, len(w.sites))
	err = everySite(ctx, w, func(ctx context.Context, i int) (err error) {
		_, found[i], err = ledger.DayBookings(ctx, w.sites[i].ID, w.date)
		return err
	})
	var rows []row
	for _, site := range found {
		for i := range site {
			if b := &site[i]; b.Status == allocator.StatusBooked {
				reference, _ := nameOf(b.Key.Reference())
				rows = append(rows, row{reference, name(b.Person), b.Slot, b.Place})
			}
		}
	}
	return rows, true, errors.Join(err, ledger.Close())
}

func (m *ours) ledger(ctx context.Context) (allocator.Ledger, error) {
	if m.postgres == "" {
		return sqliteledger.Open(ctx, filepath.Join(m.folder, "data", sqliteledger.FileName), sqliteledger.Options{ReadOnly: true})
	}
	return cockroachledger.Open(ctx, m.postgres, cockroachledger.Options{Connections: 8})
}

// selfAudit repeats the audit while it finds differences: the inventory learns of bookings in its own time.
func (m *ours) selfAudit(ctx context.Context) error {
	return retry(ctx, func() error {
		cmd := exec.CommandContext(ctx, m.program, append([]string{"audit"}, m.backends()...)...)
		cmd.Env = ownEnvironment()
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("muster audit: %w\n%.2000s", err, out)
		}
		return nil
	})
}

// send sends a publisher's document and expects it to be taken.
func send(ctx context.Context, method, address string, body object) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer dev")
	r.Header.Set("Content-Type", "application/json")
	_, err = do(r)
	return err
}

func get(ctx context.Context, address string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	_, err = do(r)
	return err
}

// operator sends what is no load. Uploads of large worlds take minutes.
var operator = &http.Client{Timeout: 10 * processes.Patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// do returns the body of an answer that is a success.
func do(r *http.Request) ([]byte, error) {
	a, err := operator.Do(r)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err == nil && a.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: status %d: %.2000s", r.Method, r.URL.Path, a.StatusCode, text)
	}
	return text, err
}

// retry tries again for as long as patience with processes lasts.
func retry(ctx context.Context, try func() error) error {
	return processes.Await(ctx, processes.Patience, func(context.Context) error { return try() })
}
