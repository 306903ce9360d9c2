package abuse

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"muster/api/callers"
	"muster/loadtest/installation"
)

var (
	full   = flag.Bool("attack.full", false, "5,000 people behind one address; otherwise 1,000")
	folder = flag.String("attack.report", "", "folder for attack.json and attack.md")
)

func TestMain(m *testing.M) { installation.Main(m) }

const (
	proofBits = 10  // 128 times cheaper than the default, for a test's sake
	squatFrom = 500 // of so many places:
	sites     = 20
	slots     = 12
	capacity  = 60
	places    = sites * slots * (capacity + 1)
)

// row is what came of one attack. Fewer than Least or more than Most fail.
type row struct {
	Attack      string `json:"attack"`
	Tried       int    `json:"tried"`
	Won         int64  `json:"won"`
	Of          string `json:"of"`
	Least, Most int64
	Note        string `json:"note,omitempty"`
}

// TestAttack is `make attack`, and in small one of the tests.
func TestAttack(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	runtime.LockOSThread() // what it starts ends with this thread
	defer runtime.UnlockOSThread()
	people := 1000
	if *full {
		people = 5000
	}
	var rows []row
	try := func(name string, s *scene, attack func(*scene) row) {
		t.Run(name, func(t *testing.T) {
			s.T = t
			r := attack(s)
			if r.Won < r.Least || r.Won > r.Most {
				t.Errorf("%s: %d %s, want %d to %d", r.Attack, r.Won, r.Of, r.Least, r.Most)
			}
			rows = append(rows, r)
		})
	}
	quiet := open(t, "--squat-from", "100000")
	for _, a := range []struct {
		name   string
		attack func(*scene) row
	}{
		{"SquatOneAddress", squatOneAddress}, {"SquatInBatches", squatInBatches}, {"SquatWithProofs", squatWithProofs}, {"SquatWithOneTicket", squatWithOneTicket},
		{"ProbePeople", probePeople}, {"Fabricate", fabricate}, {"Scrape", scrape}, {"GuessReferences", guessReferences}, {"GuessBirth", guessBirth}, {"Forge", forge}, {"Replay", replay},
		{"SlowLoris", slowLoris},
	} {
		try(a.name, quiet, a.attack)
	}
	try("Carrier", quiet, func(s *scene) row {
		return carrier(s, "203.0.113.1", people, 1, fmt.Sprintf("%d honest people behind one address", people))
	})
	try("Neighbours", quiet, func(s *scene) row { return neighbours(s, 1000, 60_000) })
	try("Rush", quiet, func(s *scene) row { return rush(s, 400, 50_000) })
	try("SquatFromMany", open(t, "--squat-from", strconv.Itoa(squatFrom)), squatFromMany)
	text := markdown(rows)
	t.Log("\n" + text)
	if *folder != "" {
		write(t, rows, text)
	}
}

// open starts a server that limits callers, with places for everybody.
func open(t *testing.T, flags ...string) *scene {
	t.Helper()
	in := installation.Start(t, installation.Options{
		Servers: 1, Redis: installation.RedisNone, Ledger: installation.LedgerEmbedded, HoldSeconds: 300,
		Flags: append(flags, "--limit-callers", "--address-header", "X-Forwarded-For", "--proof-bits", strconv.Itoa(proofBits), "--connections-per-address", "64", "--log-level", "warn"),
	})
	world := in.Publish(installation.WorldOptions{Sites: sites, Slots: slots, Capacity: capacity})
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 48, MaxConnsPerHost: 48}}
	t.Cleanup(client.CloseIdleConnections)
	return &scene{T: t, server: in.Servers[0], world: world, client: client}
}

// solved answers the challenge of a refusal.
func solved(s *scene, r reply) string {
	s.Helper()
	challenge, price, _ := strings.Cut(r.header.Get("Challenge"), ";bits=")
	bits, err := strconv.Atoi(price)
	if err != nil {
		s.Fatalf("no challenge: %d %v", r.status, r.header)
	}
	return callers.Solve(challenge, bits)
}

func markdown(rows []row) string {
	var b strings.Builder
	b.WriteString("| Attack | tried | won | |\n|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %d | **%d** %s | %s |\n", r.Attack, r.Tried, r.Won, r.Of, r.Note)
	}
	return b.String()
}

// write leaves the table in a folder.
func write(t *testing.T, rows []row, text string) {
	t.Helper()
	data, err := json.MarshalIndent(rows, "", "  ")
	if err == nil {
		err = os.MkdirAll(*folder, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(*folder, "attack.json"), append(data, '\n'), 0o644)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(*folder, "attack.md"), []byte(text), 0o644)
	}
	if err != nil {
		t.Error(err)
	}
}
