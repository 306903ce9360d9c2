package installation

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/allocator/allocatortest/checkers"
)

func TestMain(m *testing.M) { Main(m) }

// use lets a crowd in, calls meanwhile, and expects that all is well afterwards.
func use(t *testing.T, in *Installation, meanwhile func()) {
	t.Helper()
	w := in.Publish(WorldOptions{Sites: 4, Slots: 4})
	before, err := in.Levels(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := in.NewCrowd(w, CrowdOptions{Seed: 1, Citizens: 6})
	c.Begin()
	pause(t.Context(), time.Second)
	meanwhile()
	ended := time.Now()
	in.Heal()
	recovery, err := in.Recover(c, "what happened", ended)
	if err != nil {
		t.Error(err)
	}
	c.End()
	if recovery.Consistent, err = in.Quiesce(c, ended); err != nil {
		t.Error(err)
	}
	t.Logf("%+v, repeats %v", recovery, c.Repeats())
	judge(t, in, c)
	if err := in.Leaks(before); err != nil {
		t.Error(err)
	}
	if out, err := in.Audit(t.Context()); err != nil {
		t.Error(err)
	} else {
		t.Log(out)
	}
}

func judge(t *testing.T, in *Installation, c *Crowd) {
	t.Helper()
	evidence, err := in.Evidence(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if n := c.Unanswered(); n > 0 {
		t.Errorf("%d operations have no definite answer", n)
	}
	for _, v := range c.Complaints() {
		t.Errorf("%s: %s", v.Promise, v.Text)
	}
	kinds := make(map[checkers.Kind]int)
	for _, op := range c.History() {
		kinds[op.Kind]++
	}
	t.Logf("%v: %d rows, %d events, counted %v", kinds, len(evidence.Bookings), len(evidence.Events), evidence.Counted)
	violations, stats := checkers.Check(c.History(), evidence)
	for _, v := range violations {
		t.Errorf("%s: %s", v.Promise, v.Text)
	}
	t.Logf("%+v", stats)
}

func TestTwoServers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes, and -short was asked for")
	}
	in := Start(t, Options{})
	use(t, in, func() {
		in.Servers[0].Kill()
		in.Servers[1].Redis.CutReplies()
		pause(t.Context(), time.Second)
		in.Servers[0].Restart()
		in.Servers[1].Ledger.Latency(50*time.Millisecond, 20*time.Millisecond)
		pause(t.Context(), time.Second)
	})
	if starts := in.Servers[0].Starts(); starts != 2 {
		t.Errorf("server 0 was started %d times", starts)
	}
}

func TestEmbedded(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes, and -short was asked for")
	}
	in := Start(t, Options{Redis: RedisNone, Ledger: LedgerEmbedded})
	use(t, in, func() {
		in.Lost() // its memory is the inventory
		in.Servers[0].Kill()
		in.Lost()
		in.Servers[0].Restart()
	})
}

// A killed PostgreSQL of its own comes back with its data, and a frozen one goes on.
func TestOwnPostgres(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes, and -short was asked for")
	}
	in := Start(t, Options{Ledger: LedgerOwn})
	use(t, in, func() {
		in.Postgres.Kill()
		in.Postgres.Restart()
		in.Postgres.Pause()
		pause(t.Context(), 500*time.Millisecond)
		in.Postgres.Resume()
	})
}

// A Cluster goes on when a master dies.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes, and -short was asked for")
	}
	in := Start(t, Options{Redis: RedisCluster})
	use(t, in, func() {
		in.Redis[0].Kill()
		if err := in.Redis[3].AwaitMaster(); err != nil {
			t.Error(err)
		}
		in.Redis[0].Restart()
	})
}

// Whoever takes an acknowledged booking out of the ledger is found out, by all who look.
func TestLossIsSeen(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes, and -short was asked for")
	}
	in := Start(t, Options{Servers: 1, HoldSeconds: 2})
	w := in.Publish(WorldOptions{Sites: 4, Slots: 4})
	c := in.NewCrowd(w, CrowdOptions{Seed: 1, Publishers: -1})
	c.Begin()
	pause(t.Context(), time.Second)
	c.End()
	if _, err := in.Quiesce(c, time.Now()); err != nil {
		t.Fatal(err)
	}
	db, err := pgx.Connect(t.Context(), in.Postgres.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	const one = "DELETE FROM bookings WHERE booking_key = (SELECT booking_key FROM bookings WHERE live AND site_id LIKE 'S%' LIMIT 1)"
	if done, err := db.Exec(t.Context(), one); err != nil || done.RowsAffected() != 1 {
		t.Fatalf("%v %v", done, err)
	}
	evidence, err := in.Evidence(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	violations, _ := checkers.Check(c.History(), evidence)
	if !slices.ContainsFunc(violations, func(v checkers.Violation) bool { return v.Promise == "P2" }) {
		t.Errorf("the checkers find no lost booking: %v", violations)
	}
	if err := in.Offered(t.Context(), w); err == nil {
		t.Error("what is offered still fits the ledger")
	}
	if out, err := in.Audit(t.Context()); err == nil {
		t.Errorf("the audit finds nothing: %s", out)
	}
}
