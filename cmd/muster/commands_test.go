package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/allocator/allocatortest/memoryledger"
	"muster/allocator/allocatortest/servers"
)

// run runs the whole program.
func run(t testing.TB, args ...string) (code int, out, complaints string) {
	t.Helper()
	var stdout, stderr output
	code = Main(t.Context(), args, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCommandLine(t *testing.T) {
	secret := write(t, "  a secret of enough bytes\n")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--help"}, 0, "import capacity"},
		{[]string{"version"}, 0, "go1."},
		{[]string{}, 2, "expected one of"},
		{[]string{"dance"}, 2, "unexpected argument"},
		{[]string{"serve", "--sample"}, 2, "--sample needs --dev"},
		{[]string{"serve", "--allow-private-webhooks"}, 2, "needs --dev"},
		{[]string{"serve", "--log-level", "loud"}, 2, "--log-level"},
		{[]string{"serve", "--issuer", "x"}, 2, "belong together"},
		{[]string{"serve", "--issuer", "x", "--audience", "y", "--jwks-file", secret, "--jwks-url", "https://x.test"}, 2, "belong together"},
		{[]string{"serve", "--issuer", "x", "--audience", "y", "--jwks-url", "http://127.0.0.1:1/keys"}, 2, "https only"},
		{[]string{"serve", "--oidc-issuer", "https://x.test"}, 2, "audience"},
		{[]string{"serve", "--oidc-role", "clerk=bookings:read"}, 2, "need their issuer"},
		{[]string{"serve", "--oidc-issuer", "https://x.test", "--oidc-audience", "y", "--oidc-role", "clerk=everything"}, 2, "everything"},
		{[]string{"dev-issuer"}, 2, "needs --dev"},
		{[]string{"dev-issuer", "--dev", "--listen", "0.0.0.0:0"}, 2, "this machine only"},
		{[]string{"dev-issuer", "--dev", "--listen", "127.0.0.1:0", "--client", "boots"}, 2, "SECRET"},
		{[]string{"serve", "--redis", "http://x"}, 2, "--redis"},
		{[]string{"serve", "--redis", "redis://a:1,redis://user:pw@b:1"}, 2, "other credentials"},
		{[]string{"serve", "--redis", "redis://a:1/3"}, 2, "database 3"},
		{[]string{"serve", "--shards", "-1"}, 2, "--shards"},
		{[]string{"serve", "--hold-seconds=-1"}, 2, "hold length"},
		{[]string{"serve", "--secret-file", write(t, "short")}, 2, "16 are the least"},
		{[]string{"serve", "--secret-file", "/nowhere/at/all"}, 2, "--secret-file"},
		{[]string{"serve", "--listen", "nonsense", "--secret-file", secret}, 1, "--listen"},
		{[]string{"serve", "--ledger", "mysql://x"}, 1, "not a valid URL"},
		{[]string{"rebuild"}, 2, "--site=ID or --all"},
		{[]string{"audit", "--trail", "--trail-head", "9f2c"}, 2, "64 hexadecimal digits"},
		{[]string{"audit", "--from", "7"}, 2, "belong to --trail"},
		{[]string{"rebuild", "--all"}, 2, "nothing to rebuild without --redis"},
		{[]string{"import", "sites", "/nowhere/at/all"}, 1, "no such file"},
		{[]string{"import", "sites", "--resume-from=-3", secret}, 2, "counted from 1"},
		{[]string{"import", "smart-links", "file:///etc/passwd"}, 1, "not an http or https address"},
		{[]string{"import", "smart-links", "http://127.0.0.1:1/", "--service", "not a code"}, 1, "not a service code"},
		{[]string{"serve", "--public-url", "booking.example.org"}, 2, "public address"},
		{[]string{"serve", "--links-days", "0"}, 2, "--links-days"},
		{[]string{"serve", "--links-memory", "-1"}, 2, "--links-memory"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			t.Setenv("MUSTER_DATA", t.TempDir())
			code, out, complaints := run(t, c.args...)
			if code != c.code || !strings.Contains(out+complaints, c.says) {
				t.Errorf("exit %d, want %d; %q is to be said:\n%s%s", code, c.code, c.says, out, complaints)
			}
		})
	}
}

// A ledger takes one secret for ever, whether it keeps the secret itself or only knows it from others.
func TestSecrets(t *testing.T) {
	mine, other := write(t, strings.Repeat("m", 32)), write(t, strings.Repeat("o", 32))
	kept, held := filepath.Join(t.TempDir(), "new", "folder"), t.TempDir()
	serve(t, "--data", kept).stop()
	serve(t, "--data", held, "--secret-file", mine).stop()
	serve(t, "--data", kept).stop()
	serve(t, "--data", held, "--secret-file", mine).stop()
	for _, args := range [][]string{
		{"--data", kept, "--secret-file", mine}, {"--data", held}, {"--data", held, "--secret-file", other},
	} {
		if code, _, complaints := run(t, serveArgs(args)...); code != 2 || !strings.Contains(complaints, "this ledger was begun with") {
			t.Errorf("%v: exit %d\n%s", args, code, complaints)
		}
	}
	t.Setenv("MUSTER_SECRET", strings.Repeat("m", 32))
	serve(t, "--data", held).stop()
	if info, err := os.Stat(kept); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the data folder is open to others: %v %v", info, err)
	}
}

// An external ledger is migrated by the command, not by a server that happens to start; a warning tells where the secret
// is.
func TestMigrate(t *testing.T) {
	ledger := servers.Postgres(t)
	args := []string{"--data", t.TempDir(), "--ledger", ledger}
	if code, _, complaints := run(t, serveArgs(args)...); code != 1 || !strings.Contains(complaints, "run `muster migrate`") {
		t.Fatalf("exit %d\n%s", code, complaints)
	}
	for range 2 {
		if code, _, complaints := run(t, append([]string{"migrate"}, args...)...); code != 0 {
			t.Fatalf("exit %d\n%s", code, complaints)
		}
	}
	s := serve(t, args...)
	if !strings.Contains(s.err.String(), "THE SECRET IS KEPT IN THE LEDGER") {
		t.Errorf("no warning:\n%s", s.err)
	}
}

// Files are loaded by the command and served by the server.
func TestImport(t *testing.T) {
	data := t.TempDir()
	sites := write(t, "siteId,name,postcode,latitude,longitude\nA1,One,LS1 4AP,,\nA2,Two,BT99 1AA,,\nA3,Three,,53.7,-1.5\n")
	code, _, complaints := run(t, "import", "sites", "--data", data, sites)
	if code != 1 || !strings.Contains(complaints, "line 3: POSTCODE_UNKNOWN") {
		t.Fatalf("exit %d\n%s", code, complaints)
	}
	more := write(t, "postcode,lat,lon\nBT99 1AA,54.6,-5.9\nnonsense,1,2\n")
	if code, out, complaints := run(t, "import", "postcodes", "--data", data, more); code != 1 ||
		!strings.Contains(complaints, "line 3") || !strings.Contains(out, "1 postcodes loaded") {
		t.Fatalf("exit %d\n%s%s", code, out, complaints)
	}
	if code, _, complaints := run(t, "import", "sites", "--data", data, sites); code != 0 {
		t.Fatalf("exit %d\n%s", code, complaints)
	}
	var lines strings.Builder
	for _, site := range []string{"A1", "A2", "A3"} {
		fmt.Fprintf(&lines, `{"siteId":%q,"date":%q,"sessions":[{"from":"10:00","until":"12:00","slotLength":10,"capacity":2,"services":["RSV:Adult"]}]}`+"\n",
			site, dayOf(soon()))
	}
	capacity := write(t, lines.String())
	if code, _, complaints := run(t, "import", "capacity", "--data", data, capacity); code != 1 || !strings.Contains(complaints, "--create-services") {
		t.Fatalf("exit %d\n%s", code, complaints)
	}
	if code, _, complaints := run(t, "import", "capacity", "--data", data, "--create-services", capacity); code != 0 {
		t.Fatalf("exit %d\n%s", code, complaints)
	}
	s := serve(t, "--dev", "--data", data)
	if found := s.call("GET", "/v1/sites?postcode=BT991AA&service=RSV:Adult", nil).want(200); found.text("sites.0.siteId") != "A2" {
		t.Errorf("%s", found.body)
	}
	if code, _, complaints := run(t, "import", "sites", "--data", data, sites); code != 1 || !strings.Contains(complaints, "in use") {
		t.Errorf("beside a server: exit %d\n%s", code, complaints)
	}
	if code, out, complaints := run(t, "audit", "--data", data); code != 0 || !strings.Contains(out, "3 sites") {
		t.Errorf("audit beside a server: exit %d\n%s%s", code, out, complaints)
	}
}

// The audit finds what somebody did to the ledger behind the engine's back, and a rebuild mends the inventory.
func TestAuditAndRebuild(t *testing.T) {
	args := external(t)
	ledger := args[len(args)-1]
	tools := args[1:] // without --dev
	s := serve(t, args...)
	s.world("A1", 2)
	for i := range 3 {
		s.confirm(s.hold("A1", soon()), person(i%2+3*(i/2)))
		if i == 1 {
			break
		}
	}
	s.stop()
	if code, out, complaints := run(t, append([]string{"audit"}, tools...)...); code != 0 || !strings.Contains(out, "2 live bookings, 0 violations") {
		t.Fatalf("exit %d\n%s%s", code, out, complaints)
	}
	db, err := pgx.Connect(t.Context(), ledger)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	if _, err := db.Exec(t.Context(), "DELETE FROM bookings WHERE place = 0"); err != nil {
		t.Fatal(err)
	}
	if code, out, complaints := run(t, append([]string{"audit"}, tools...)...); code != 3 || !strings.Contains(out, "drift: site A1") {
		t.Fatalf("exit %d\n%s%s", code, out, complaints)
	}
	if code, out, complaints := run(t, append([]string{"rebuild", "--site", "A1"}, tools...)...); code != 0 || !strings.Contains(out, "A1 is rebuilt") {
		t.Fatalf("exit %d\n%s%s", code, out, complaints)
	}
	if code, out, complaints := run(t, append([]string{"rebuild", "--all"}, tools...)...); code != 0 || !strings.Contains(out, "1 sites are rebuilt") {
		t.Fatalf("exit %d\n%s%s", code, out, complaints)
	}
	if code, out, complaints := run(t, append([]string{"audit"}, tools...)...); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out, complaints)
	}
	if code, _, complaints := run(t, append([]string{"rebuild", "--site", "B1"}, tools...)...); code != 1 || !strings.Contains(complaints, "SITE_UNKNOWN") {
		t.Errorf("exit %d\n%s", code, complaints)
	}
}

// TestShardsAreAgreed: the first program settles how many shards there are, and one that asks for another number is refused.
func TestShardsAreAgreed(t *testing.T) {
	ledger := memoryledger.New(time.Now)
	for _, c := range []struct{ asked, usual, want int }{{0, 12, 12}, {0, 4, 12}, {12, 4, 12}, {8, 4, 0}} {
		got, err := agreedShards(t.Context(), ledger, c.asked, c.usual)
		if got != c.want || (err == nil) != (c.want != 0) {
			t.Errorf("asked %d, usually %d: %d, %v", c.asked, c.usual, got, err)
		}
	}
}
