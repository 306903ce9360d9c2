package main

import (
	"context"
	"database/sql"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"muster/allocator/sqliteledger"
)

// traits are what may be known of somebody only where they or staff asked for it.
type traits []string

// marked is somebody whose every detail is unlike anything else in the program, and how it may be written.
func marked(n int) (details object, m traits) {
	number := person(100 + n)
	given, family := fmt.Sprintf("Zyxw%dvut", n), fmt.Sprintf("Qponm%dlkj", n)
	email, phone, landline := fmt.Sprintf("gfedc%d@personal.example", n), fmt.Sprintf("0770090%04d", n), fmt.Sprintf("0113496%04d", n)
	born := time.Date(1931, 3, 1+n, 0, 0, 0, 0, time.UTC)
	details = object{"nhsNumber": number, "givenName": given, "familyName": family, "dateOfBirth": born.Format(time.DateOnly),
		"contact": object{"email": email, "phone": phone, "landline": landline}}
	spaced := number[:3] + " " + number[3:6] + " " + number[6:]
	m = traits{number, spaced, given, family, email, phone, landline}
	for _, form := range []string{time.DateOnly, "02/01/2006", "2 January 2006"} {
		m = append(m, born.Format(form))
	}
	for _, plain := range []string{number, given, family, email} {
		m = append(m, base64.StdEncoding.EncodeToString([]byte(plain))[:8], fmt.Sprintf("%x", plain))
	}
	return details, m
}

func (m traits) mustNotBeIn(t testing.TB, what, text string) {
	t.Helper()
	if text == "" {
		t.Errorf("%s: nothing was looked at", what)
	}
	folded := strings.ToLower(text)
	for _, mark := range m {
		if at := strings.Index(folded, strings.ToLower(mark)); at >= 0 {
			t.Errorf("%s has %q: …%q…", what, mark, text[max(0, at-80):min(len(text), at+80)])
		}
	}
}

// plant books a place for the nth marked person.
func (s *server) plant(site string, n int) (booked answer, m traits) {
	s.t.Helper()
	details, m := marked(n)
	hold := s.call("POST", "/v1/holds", claim(site, soon()), "Idempotency-Key", m[0], "X-Request-Id", m[0]).want(201).text("holdId")
	return s.call("POST", "/v1/holds/"+hold+"/confirm", object{"people": []object{details}}).want(201), m
}

// pid is the server's process id, as its log tells it.
func (s *server) pid() (pid int) {
	s.t.Helper()
	_, rest, _ := strings.Cut(s.err.String(), `"pid":`)
	if _, err := fmt.Sscan(rest, &pid); err != nil {
		s.t.Fatalf("the log does not tell the process id: %v", err)
	}
	return pid
}

// failures sends requests that are refused, with somebody's details wherever a client may put them, and answers all replies.
func (s *server) failures(reference string, n int) string {
	s.t.Helper()
	details, m := marked(n)
	born := details["dateOfBirth"].(string)
	var all strings.Builder
	try := func(method, path string, body any, headers ...string) {
		s.t.Helper()
		a := s.call(method, path, body, headers...)
		if a.status < 400 {
			s.t.Errorf("%s %s: status %d, which should have failed", method, path, a.status)
		}
		fmt.Fprintf(&all, "%d %v %s\n", a.status, a.header, a.body)
	}
	wrong := object{}
	for name, value := range details {
		wrong[name] = value
	}
	wrong["nhsNumber"] = "9990000001" + m[2] // not a number, and not to be repeated
	for _, body := range []any{
		object{"people": []object{wrong}}, object{"people": []object{details, details}}, object{"people": m[2]}, object{"people": []object{{"nhsNumber": details, "dateOfBirth": m[0]}}},
		`{"people":[{"givenName":"` + m[2] + `",}]}`, `{"people":[{"givenName":"` + m[2] + "\xff" + `"}]}`, `"` + m[0] + `"`,
	} {
		try("POST", "/v1/holds/"+m[2]+"/confirm", body)
		try("POST", "/v1/confirmations:batch", body)
		try("POST", "/v1/sites/A1/walkins", body, "Authorization", "Bearer dev")
		try("POST", "/fhir/R4/Appointment", body)
		try("POST", "/fhir/R4/Appointment/$book", body)
	}
	try("GET", "/v1/bookings/"+reference+"?dateOfBirth=1899-01-01", nil)
	try("GET", "/v1/bookings/"+reference+"?dateOfBirth="+born+"x", nil)
	try("GET", "/v1/bookings/"+m[0], nil, "Authorization", "Manage "+m[2])
	try("GET", "/v1/bookings/"+reference, nil, "Authorization", "Bearer "+m[0])
	try("GET", "/v1/bookings/"+reference, nil, "Authorization", m[0]+" "+m[2])
	try("POST", "/v1/bookings/"+reference+"/cancel", object{"reason": m[2]}, "Authorization", "Manage x")
	try("GET", "/v1/sites?service=RSV:Adult&postcode="+url.QueryEscape(m[0]), nil)
	try("GET", "/v1/postcodes/"+m[0], nil)
	try("GET", "/"+m[0]+"/"+m[2]+"?born="+born, nil, "X-Request-Id", m[1])
	try("POST", "/v1/holds", object{"siteId": m[2], "service": m[3], "start": born, "length": m[0]}, "Idempotency-Key", m[2]+" "+m[3])
	try("GET", "/v1/sites/A1/days/"+born+"x/bookings", nil, "Authorization", "Bearer dev")
	try("POST", "/v1/waiting-room/tickets", object{"service": m[2], "area": m[0]})
	try("GET", "/v1/waiting-room/ticket", nil, "Waiting-Room-Ticket", m[0])
	try("POST", "/v1/people/export", object{"nhsNumber": m[0] + "0"}, "Authorization", "Bearer dev")
	try("POST", "/v1/webhooks", object{"url": "http://" + m[2] + ".example/" + m[0]}, "Authorization", "Bearer dev", "Idempotency-Key", m[3])
	return all.String() + s.broken(m)
}

// broken sends what is no request.
func (s *server) broken(m traits) string {
	s.t.Helper()
	var all strings.Builder
	for _, text := range []string{
		"GET /" + m[0] + "\x01 HTTP/1.1\r\nHost: a\r\n\r\n", "GET " + m[2] + " HTTP/1.1\r\nHost: a\r\n\r\n", "GET / " + m[2] + "\r\n\r\n", m[0] + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: " + m[0] + "@" + m[2] + "\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: " + m[2] + "\x00\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n" + m[2] + "\r\n\r\n",
		"POST /v1/holds HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + m[2] + "\r\n",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.base, "http://"))
		if err != nil {
			s.t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience)) // a socket takes one
		_, _ = io.WriteString(conn, text)
		reply, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(reply), "HTTP/1.1 400 ") {
			s.t.Errorf("%q: %q, %v", text, reply, err)
		}
		all.Write(reply)
		conn.Close()
	}
	return all.String()
}

// TestNothingPersonalAnywhere books for people of whom every detail can be recognised, does with their bookings all that can
// be done, fails in every way, and then reads all that the program leaves where others than they and staff can see it.
func TestNothingPersonalAnywhere(t *testing.T) {
	everywhere(t, func(t *testing.T, args []string) {
		spans := collect(t)
		s := serve(t, append(args, "--log-level", "debug", "--otlp-endpoint", spans.URL, "--trace-ratio", "1")...)
		s.world("A1", 40)
		var all traits
		for n := range 6 {
			booked, m := s.plant("A1", n)
			all = append(all, m...)
			s.errands(booked, n)
		}
		list := s.staff("GET", "/v1/sites/A1/days/"+dayOf(soon())+"/bookings", nil).want(200)
		for _, sure := range []int{0, 2, 3, 4} { // or the search below would prove nothing
			if !strings.Contains(string(list.body), all[sure]) {
				t.Fatalf("staff do not see %q: %s", all[sure], list.body)
			}
		}
		booked, m := s.plant("A1", 20)
		all = append(all, m...)
		all.mustNotBeIn(t, "problem details", s.failures(booked.text("bookings.0.reference"), 21))
		_, m = marked(21)
		all = append(all, m...)
		s.readAll(t, all)
		if r := flagValue(args, "--redis"); r != "" {
			all.mustNotBeIn(t, "Redis", dumpRedis(t, r))
		}
		s.stop()
		spans.mu.Lock()
		defer spans.mu.Unlock()
		all.mustNotBeIn(t, "the trace", spans.raw.String())
		all.mustNotBeIn(t, "the log", s.err.String()+s.out.String())
		if !strings.Contains(s.err.String(), `"level":"DEBUG"`) {
			t.Error("the log does not tell all that it can")
		}
		data := flagValue(args, "--data")
		all.mustNotBeIn(t, "the names of files", fileNames(t, data))
		if ledger := flagValue(args, "--ledger"); ledger != "" {
			all.mustNotBeIn(t, "the ledger", dumpPostgres(t, ledger))
		} else {
			all.mustNotBeIn(t, "the ledger", dumpSQLite(t, filepath.Join(data, sqliteledger.FileName)))
		}
	})
}

// errands are what people and staff do with a booking.
func (s *server) errands(booked answer, n int) {
	s.t.Helper()
	details, _ := marked(n)
	reference, manage := booked.text("bookings.0.reference"), booked.text("bookings.0.manageToken")
	s.view(reference, manage).want(200)
	s.call("GET", "/v1/bookings/"+reference+"?dateOfBirth="+details["dateOfBirth"].(string), nil).want(200)
	for _, format := range []string{"csv", "html", "signed"} {
		s.staff("GET", "/v1/sites/A1/days/"+dayOf(soon())+"/bookings?format="+format, nil).want(200)
	}
	switch n {
	case 0:
		s.staff("POST", "/v1/people/export", object{"nhsNumber": details["nhsNumber"]}).want(200)
		s.staff("POST", "/v1/people/erase", object{"nhsNumber": details["nhsNumber"]}).want(200)
	case 1:
		s.call("POST", "/v1/bookings/"+reference+"/cancel", object{"reason": "citizen"}, "Authorization", "Manage "+manage).want(200)
	case 2:
		s.staff("POST", "/v1/bookings/"+reference+"/status", object{"status": "arrived"}).want(200)
	case 3:
		replaces := object{"reference": reference, "manageToken": manage}
		s.call("POST", "/v1/holds/"+s.hold("A1", soon().Add(time.Hour))+"/confirm", object{"people": []object{details}, "replaces": replaces}).want(201)
	}
}

// readAll reads what the running server tells operators and those who follow its events.
func (s *server) readAll(t *testing.T, m traits) {
	t.Helper()
	operators := *s
	operators.base = s.ops
	for _, path := range []string{"/metrics", "/readyz", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline"} {
		m.mustNotBeIn(t, path, string(operators.call("GET", path, nil).want(200).body))
	}
	feed := s.staff("GET", "/v1/events?limit=1000", nil).want(200)
	if feed.count("events") == 0 {
		t.Errorf("no events: %s", feed.body)
	}
	m.mustNotBeIn(t, "the events", string(feed.body))
	for _, path := range []string{"/v1/audit-trail?limit=1000", "/v1/free-capacity?service=RSV:Adult", "/v1/webhooks"} {
		m.mustNotBeIn(t, path, string(s.staff("GET", path, nil).want(200).body))
	}
	for _, path := range []string{"/v1/sites/A1", "/v1/sites/A1/availability?service=RSV:Adult", "/smart-scheduling/$bulk-publish", "/fhir/R4/Slot?schedule=A1"} {
		m.mustNotBeIn(t, path, string(s.call("GET", path, nil).body))
	}
}

func flagValue(args []string, name string) string {
	if i := slices.Index(args, name); i >= 0 {
		return args[i+1]
	}
	return ""
}

// dumpRedis writes every key and all that it holds.
func dumpRedis(t *testing.T, address string) string {
	t.Helper()
	options, err := redis.ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	var all strings.Builder
	keys := client.Scan(t.Context(), 0, "*", 1000).Iterator()
	for keys.Next(t.Context()) {
		value, err := contents(t.Context(), client, keys.Val())
		if err != nil {
			t.Fatalf("%s: %v", keys.Val(), err)
		}
		fmt.Fprintf(&all, "%s %s\n", keys.Val(), value)
	}
	if err := keys.Err(); err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// contents reads a key of any type; %s writes its bytes as they are.
func contents(ctx context.Context, client *redis.Client, key string) (string, error) {
	kind, err := client.Type(ctx, key).Result()
	if err != nil {
		return "", err
	}
	read := map[string][]any{
		"string": {"GET", key}, "hash": {"HGETALL", key}, "zset": {"ZRANGE", key, 0, -1, "WITHSCORES"}, "list": {"LRANGE", key, 0, -1},
		"set": {"SMEMBERS", key}, "stream": {"XRANGE", key, "-", "+"},
	}[kind]
	if read == nil {
		return "", fmt.Errorf("type %q is not known to this test", kind)
	}
	value, err := client.Do(ctx, read...).Result()
	return fmt.Sprintf("%s", value), err
}

func fileNames(t *testing.T, folder string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		all.WriteString(path + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// payload is the column that holds people's details, and the only one.
const payload = "sealed"

func dumpPostgres(t *testing.T, ledger string) string {
	t.Helper()
	c, err := pgx.Connect(t.Context(), ledger)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.WithoutCancel(t.Context()))
	rows, err := c.Query(t.Context(), `SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = current_schema()`)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Table, Column, Type string }])
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, column := range columns {
		name := pgx.Identifier{column.Column}.Sanitize()
		if column.Column == payload {
			continue
		}
		form := name + "::text"
		if column.Type == "bytea" {
			form = "encode(" + name + ", 'escape')"
		}
		rows, err := c.Query(t.Context(), "SELECT "+form+" FROM "+pgx.Identifier{column.Table}.Sanitize()+" WHERE "+name+" IS NOT NULL")
		if err != nil {
			t.Fatal(err)
		}
		values, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s.%s: %s\n", column.Table, column.Column, strings.Join(values, "\n"))
	}
	return all.String()
}

func dumpSQLite(t *testing.T, file string) string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var all strings.Builder
	for _, name := range texts(t, db, "SELECT name FROM sqlite_schema WHERE type = 'table'") {
		for _, column := range texts(t, db, "SELECT name FROM pragma_table_info('"+name+"')") {
			if column != payload {
				fmt.Fprintf(&all, "%s.%s: %s\n", name, column, texts(t, db, `SELECT CAST("`+column+`" AS TEXT) FROM "`+name+`" WHERE "`+column+`" IS NOT NULL`))
			}
		}
	}
	return all.String()
}

func texts(t *testing.T, db *sql.DB, query string) (all []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
