package installation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/allocator/allocatortest/checkers"
)

// Evidence reads what a run has left behind. The crowd must have ended and Quiesce succeeded. Counters are left out where a
// server was killed: what it counted in its last moments nobody knows.
func (in *Installation) Evidence(ctx context.Context, c *Crowd) (*checkers.Evidence, error) {
	w := c.world
	books, err := in.OpenBooks(ctx)
	if err != nil {
		return nil, err
	}
	defer books.Close()
	e := &checkers.Evidence{Zone: w.Zone, Losses: in.losses(), Splits: in.splits, Persons: c.persons()}
	if !in.killed() {
		e.Counted = in.Counted(ctx)
	}
	if e.Bookings, err = books.Bookings(ctx); err != nil {
		return nil, err
	}
	if e.Events, err = books.Events(ctx); err != nil {
		return nil, err
	}
	for _, site := range slices.Concat(w.Sites, w.Probes) {
		day, err := books.Ledger.Day(ctx, site, w.Date)
		if err != nil {
			return nil, err
		}
		w.note(day) // where nobody heard that it was published
		if books.Inventory == nil {
			continue
		}
		view, _, err := books.Site(ctx, site)
		if err != nil {
			return nil, err
		}
		e.Inventory = append(e.Inventory, view)
	}
	e.Days = w.Days()
	return e, nil
}

// Keep writes history and evidence as JSON into the installation's folder, for whoever wants to know how a violation came
// about.
func (in *Installation) Keep(c *Crowd, e *checkers.Evidence) error {
	for name, document := range map[string]any{"history.json": c.History(), "bookings.json": e.Bookings, "events.json": e.Events, "days.json": e.Days} {
		text, err := json.MarshalIndent(document, "", " ")
		if err == nil {
			err = os.WriteFile(filepath.Join(in.Dir, name), text, 0o644)
		}
		if err != nil {
			return fmt.Errorf("keep %s: %w", name, err)
		}
	}
	return nil
}

// Lost notes that the inventory may have lost something at this moment.
func (in *Installation) Lost() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.lost = append(in.lost, time.Now())
}

// Split notes that from now on, until end is called, servers may use two incarnations of one inventory.
func (in *Installation) Split() (end func()) {
	from := time.Now()
	return func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.splits = append(in.splits, checkers.Span{From: from.UnixNano(), To: time.Now().UnixNano()})
	}
}

func (in *Installation) losses() (instants []int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, at := range in.lost {
		instants = append(instants, at.UnixNano())
	}
	return instants
}

// killed says whether any server has had more than one process.
func (in *Installation) killed() bool {
	return slices.ContainsFunc(in.Servers, func(s *Server) bool { return s.Starts() > 1 })
}

// Counted is how often each event of muster_allocator_events_total was counted, by all processes that ever ran as far as
// they could be read: a killed one's last half second is missing.
func (in *Installation) Counted(ctx context.Context) map[string]int {
	in.note(ctx)
	counted := make(map[string]int)
	for _, s := range in.Servers {
		for name, value := range s.counters() {
			if event, ok := strings.CutPrefix(name, `muster_allocator_events_total{event="`); ok {
				counted[strings.TrimSuffix(event, `"}`)] += int(value)
			}
		}
	}
	return counted
}

// Audit runs `muster audit` and returns what it said; an error where it exits with anything but 0. It is asked again, a few
// times, where all that it says is that it did not get through: that is the test's machine, and no difference.
func (in *Installation) Audit(ctx context.Context) (string, error) {
	args := []string{"audit", "--data", in.Servers[0].Data}
	if in.Postgres != nil {
		var urls []string
		for _, address := range in.redisAddresses() {
			urls = append(urls, "redis://"+address)
		}
		args = append(args, "--ledger", in.Postgres.URL(), "--redis", strings.Join(urls, ","))
	}
	for tries := 5; ; tries-- {
		cmd := exec.CommandContext(ctx, in.Program, args...)
		cmd.Env = append(os.Environ(), "MUSTER_SECRET="+Secret)
		out, err := cmd.CombinedOutput()
		if err == nil {
			return string(out), nil
		}
		if tries == 0 || cmd.ProcessState.ExitCode() != 3 || !onlyUnreachable(string(out)) {
			return string(out), fmt.Errorf("muster %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// onlyUnreachable says whether an audit found nothing but sites that it could not read.
func onlyUnreachable(report string) bool {
	lines := strings.Split(strings.TrimSpace(report), "\n")
	for _, line := range lines[1 : len(lines)-1] { // between the sum and the error
		if !strings.HasPrefix(line, "inventory-unreachable: ") {
			return false
		}
	}
	return len(lines) > 2
}

// Level is what a running server uses, for comparing before and after.
type Level struct {
	Goroutines, Files int
}

// Levels reads each server's.
func (in *Installation) Levels(ctx context.Context) ([]Level, error) {
	var all []Level
	for _, s := range in.Servers {
		samples, err := s.Metrics(ctx)
		if err != nil {
			return nil, fmt.Errorf("server %d: %w", s.Index, err)
		}
		files, err := s.openFiles()
		if err != nil {
			return nil, err
		}
		all = append(all, Level{Goroutines: int(samples["go_goroutines"]), Files: files})
	}
	return all, nil
}

// Connections counts the clients of PostgreSQL's database and of the Redis nodes, this question's own not.
func (in *Installation) Connections(ctx context.Context) (ledger, redis int, err error) {
	if in.Postgres == nil {
		return 0, 0, nil
	}
	c, err := pgx.Connect(ctx, in.Postgres.URL())
	if err != nil {
		return 0, 0, err
	}
	defer c.Close(ctx)
	err = c.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`).Scan(&ledger)
	for _, n := range in.Redis {
		clients, clientsErr := n.Clients(ctx)
		if clientsErr == nil {
			redis += clients
		}
	}
	return ledger, redis, err
}

// Leaks waits, for at most half a minute, until every server uses about as much as it did before and the backends have no
// more clients than the servers' pools may keep; it tells what is left over. The crowd must have ended.
func (in *Installation) Leaks(before []Level) error {
	const (
		slack      = 40 // goroutines and files of connections that a pool keeps for the next burst
		poolLedger = 16 // per server
		poolRedis  = 16 // per server and node
		followers  = 8  // connections outside the pools
	)
	return await(patience/2, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		after, err := in.Levels(ctx)
		if err != nil {
			return err
		}
		var left []error
		for i, level := range after {
			if level.Goroutines > before[i].Goroutines+slack || level.Files > before[i].Files+slack {
				left = append(left, fmt.Errorf("server %d used %+v and uses %+v", i, before[i], level))
			}
		}
		ledger, redis, err := in.Connections(ctx)
		if err != nil {
			return err
		}
		servers := len(in.Servers)
		if ledger > servers*(poolLedger+followers) || redis > servers*len(in.Redis)*(poolRedis+followers) {
			left = append(left, fmt.Errorf("%d connections to the ledger and %d to Redis are open", ledger, redis))
		}
		return errors.Join(left...)
	})
}
