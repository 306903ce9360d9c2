package main

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/allocator"
	"muster/allocator/sqliteledger"
)

// The audit trail as people use it: staff, publishers and citizens change things; each finds who did what at its own sites; the
// program verifies it while the server runs; and when the server is gone and somebody changes the table, that is seen.
func TestAuditTrail(t *testing.T) {
	everywhere(t, func(t *testing.T, args []string) {
		i := newTrust(t)
		s := serve(t, append(slices.Clone(args), i.flags...)...)
		r := &trailed{server: s, a: bearer(i.client("A", publisherScopes)), b: bearer(i.client("B", publisherScopes)), staff: bearer("dev")}
		booked := r.happen(t, i)
		r.whoDidWhat(t, booked)
		r.whose(t, booked)
		r.forms(t)
		audit := auditOf(args)
		head := audit.clean(t)
		s.call("PUT", "/v1/sites/TRA", object{"name": "Renamed", "address": object{"lines": []string{}, "postcode": "LS1 4AP"}}, r.a...).want(200)
		s.stop() // which appends what is left
		if later := audit.clean(t, "--trail-head", head); later == head {
			t.Errorf("the head is %s still", head)
		}
		audit.tampered(t, args)
	})
}

type trailed struct {
	*server
	a, b, staff []string
}

// happen has each kind of caller change something, and gives the references of a booking of A's site and of B's.
func (r *trailed) happen(t *testing.T, i *trust) [2]string {
	t.Helper()
	r.staffPut(t)
	at := soon()
	day := object{"sessions": []object{session("10:00", "12:00", 10, 9, "RSV:Adult")}}
	var references [2]string
	for n, own := range []struct {
		site string
		by   []string
	}{{"TRA", r.a}, {"TRB", r.b}} {
		named := append(slices.Clone(own.by), "X-Request-Id", "puts-"+own.site)
		r.call("PUT", "/v1/sites/"+own.site, siteBody(), named...).want(201)
		r.call("PUT", "/v1/sites/"+own.site+"/days/"+dayOf(at), day, named...).want(200)
		confirmed := r.call("POST", "/v1/holds/"+r.hold(own.site, at)+"/confirm", people(person(n)), "X-Request-Id", "confirms-"+own.site).want(201)
		references[n] = confirmed.text("bookings.0.reference")
		if n == 0 {
			r.call("POST", "/v1/bookings/"+references[0]+"/status", object{"status": "arrived"}, bearer(i.person("A", "clerk"))...).want(200)
			r.call("POST", "/v1/bookings/"+references[0]+"/cancel", nil, "Authorization", "Manage "+confirmed.text("bookings.0.manageToken")).want(200)
		}
	}
	r.call("DELETE", "/v1/sites/TRA/days/"+dayOf(at), nil, r.a...).want(200)
	return references
}

func (r *trailed) staffPut(t *testing.T) {
	t.Helper()
	r.server.staff("PUT", "/v1/services/RSV:Adult", object{"name": "RSV"}).want2xx()
}

// trail reads entries as somebody, once there are as many as wanted.
func (r *trailed) trail(t *testing.T, query string, want int, by []string) (lines []string) {
	t.Helper()
	var got answer
	r.await(fmt.Sprintf("%d entries of %q", want, query), func() bool {
		got = r.call("GET", "/v1/audit-trail?"+query, nil, by...)
		return got.status == 200 && got.count("entries") >= want
	})
	for n := range got.count("entries") {
		at := func(name string) string { return got.text(fmt.Sprintf("entries.%d.%s", n, name)) }
		request := at("requestId")
		if request == "" {
			t.Errorf("no request: %s", got.body)
		}
		if !strings.HasPrefix(request, "puts-") && !strings.HasPrefix(request, "confirms-") {
			request = "some"
		}
		lines = append(lines, strings.Join([]string{at("action"), at("actor"), at("siteId"), at("status"), request}, " "))
	}
	return lines
}

func (r *trailed) expect(t *testing.T, query string, by []string, want ...string) {
	t.Helper()
	if got := r.trail(t, query, len(want), by); !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", query, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (r *trailed) whoDidWhat(t *testing.T, booked [2]string) {
	t.Helper()
	site := "site.changed publisher:client-of-A TRA  puts-TRA"
	day := "capacity.changed publisher:client-of-A TRA  puts-TRA"
	life := []string{
		"booking.booked public TRA booked confirms-TRA", "booking.status staff:p1 TRA arrived some", "booking.cancelled public TRA cancelled some",
	}
	closed := "capacity.changed publisher:client-of-A TRA  some"
	r.expect(t, "site=TRA", r.a, slices.Concat([]string{site, day}, life, []string{closed})...)
	r.expect(t, "", r.a, slices.Concat([]string{site, day}, life, []string{closed})...)
	r.expect(t, "reference="+booked[0], r.a, life...)
	r.expect(t, "actor=staff:p1", r.staff, life[1])
	r.expect(t, "site=TRA&actor=public", r.staff, life[0], life[2])
	r.expect(t, "limit=2", r.staff, "service.changed publisher:dev   some", site)
}

// whose: what is a rival's is answered as what is not there.
func (r *trailed) whose(t *testing.T, booked [2]string) {
	t.Helper()
	r.expect(t, "", r.b, "site.changed publisher:client-of-B TRB  puts-TRB", "capacity.changed publisher:client-of-B TRB  puts-TRB",
		"booking.booked public TRB booked confirms-TRB")
	for _, site := range []string{"TRA", "NONE"} {
		r.call("GET", "/v1/audit-trail?site="+site, nil, r.b...).want(404, allocator.CodeSiteUnknown)
	}
	for _, reference := range []string{booked[0], allocator.BookingKey(42).Reference(), "nonsense"} {
		r.call("GET", "/v1/audit-trail?reference="+reference, nil, r.b...).want(404, allocator.CodeBookingUnknown)
	}
	if got := r.call("GET", "/v1/audit-trail?actor=publisher:client-of-A", nil, r.b...).want(200); got.count("entries") != 0 {
		t.Errorf("a rival's doings: %s", got.body)
	}
	r.call("GET", "/v1/audit-trail", nil).want(401)
}

// forms: pages, times, and an entry a line.
func (r *trailed) forms(t *testing.T) {
	t.Helper()
	lines := r.call("GET", "/v1/audit-trail?format=ndjson&limit=2&site=TRA", nil, r.a...).want(200)
	next := regexp.MustCompile(`^</v1/audit-trail\?(.*)>; rel="next"$`).FindStringSubmatch(lines.header.Get("Link"))
	if strings.Count(string(lines.body), "\n") != 2 || next == nil {
		t.Fatalf("as lines: %s, %v", lines.body, lines.header)
	}
	rest := r.call("GET", "/v1/audit-trail?"+next[1], nil, r.a...).want(200)
	if strings.Count(string(rest.body), "\n") != 2 || strings.Contains(string(rest.body), `"site.changed"`) {
		t.Errorf("the next page: %s", rest.body)
	}
	tomorrow := time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	if got := r.call("GET", "/v1/audit-trail?from="+tomorrow, nil, r.staff...).want(200); got.count("entries") != 0 {
		t.Errorf("from tomorrow on: %s", got.body)
	}
	if got := r.call("GET", "/v1/audit-trail?site=TRA&to="+tomorrow, nil, r.staff...).want(200); got.count("entries") != 6 {
		t.Errorf("until tomorrow: %s", got.body)
	}
}

// auditing is `muster audit --trail` of an installation.
type auditing []string

func auditOf(serving []string) auditing {
	args := auditing{"audit", "--trail"}
	for n, flag := range serving {
		if flag == "--data" || flag == "--ledger" {
			args = append(args, flag, serving[n+1])
		}
	}
	return args
}

// clean runs it, which must find nothing, and gives the head.
func (a auditing) clean(t *testing.T, more ...string) string {
	t.Helper()
	code, out, complaints := run(t, append(slices.Clone(a), more...)...)
	head := regexp.MustCompile(`(?m)^head \d+ ([0-9a-f]{64})$`).FindStringSubmatch(out)
	if code != exitDone || head == nil || !strings.Contains(out, " 0 violations") {
		t.Fatalf("exit %d\n%s%s", code, out, complaints)
	}
	return head[1]
}

// tampered changes the trail behind the program's back.
func (a auditing) tampered(t *testing.T, serving []string) {
	t.Helper()
	code, out, _ := run(t, append(slices.Clone(a), "--trail-head", strings.Repeat("0", 64))...)
	if code != exitDiffers || !strings.Contains(out, "head: entry") {
		t.Errorf("a head that never was: exit %d\n%s", code, out)
	}
	statements := []string{"DROP TRIGGER trail_is_not_changed", "UPDATE trail SET actor = 'nobody' WHERE seq = 3"}
	change := func(statement string) error {
		db, err := sql.Open("sqlite", filepath.Join(serving[slices.Index(serving, "--data")+1], sqliteledger.FileName))
		if err != nil {
			return err
		}
		defer db.Close()
		_, err = db.ExecContext(t.Context(), statement)
		return err
	}
	if n := slices.Index(serving, "--ledger"); n >= 0 {
		statements[0] = "ALTER TABLE trail DISABLE TRIGGER trail_is_kept"
		change = func(statement string) error {
			conn, err := pgx.Connect(t.Context(), serving[n+1])
			if err != nil {
				return err
			}
			defer conn.Close(t.Context())
			_, err = conn.Exec(t.Context(), statement)
			return err
		}
	}
	if err := change(statements[1]); err == nil || !strings.Contains(err.Error(), "append-only") {
		t.Errorf("changed without more ado: %v", err)
	}
	for _, statement := range statements {
		if err := change(statement); err != nil {
			t.Fatal(err)
		}
	}
	code, out, _ = run(t, a...)
	if code != exitDiffers || !strings.Contains(out, " 1 violations\ndigest: entry 3: what it says (capacity.changed of site TRA ") {
		t.Errorf("exit %d\n%s", code, out)
	}
}
