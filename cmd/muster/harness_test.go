package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/servers"
)

// asProgram makes this test binary the program itself, for tests that kill it.
const asProgram = "MUSTER_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// patience bounds every wait for something that should be quick.
const patience = 30 * time.Second

// output is what a program wrote so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// server is a running `muster serve`.
type server struct {
	t          testing.TB
	base, ops  string
	out, err   *output
	signal     func(os.Signal) // asks it to finish, or kills it
	ended      chan struct{}   // closed when it is gone
	exitCode   int             // then; -1: killed by a signal
	exitSignal string          // then
}

// serve runs the server within the test, with the race detector's eyes on it.
func serve(t testing.TB, args ...string) *server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &server{t: t, out: new(output), err: new(output), ended: make(chan struct{}), signal: func(os.Signal) { cancel() }}
	up := make(chan [2]string, 1)
	p := &program{ctx: ctx, stdout: s.out, stderr: s.err, serving: func(public, private string) { up <- [2]string{public, private} }}
	p.sampled = func(site *allocator.Site) bool { return strings.HasPrefix(site.Postcode, "LS") } // all take minutes under the race detector
	go func() {
		defer close(s.ended)
		s.exitCode = p.run(serveArgs(args))
	}()
	t.Cleanup(s.stop)
	select {
	case at := <-up:
		s.base, s.ops = "http://"+at[0], "http://"+at[1]
	case <-s.ended:
		t.Fatalf("the server did not start: exit %d\n%s%s", s.exitCode, s.out, s.err)
	}
	return s
}

func serveArgs(args []string) []string {
	return append([]string{"serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"}, args...)
}

// spawn runs the server as a process of its own.
func spawn(t testing.TB, args ...string) *server {
	t.Helper()
	s := &server{t: t, out: new(output), err: new(output), ended: make(chan struct{})}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, serveArgs(args)...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stdout, cmd.Stderr = s.out, s.err
	s.signal = func(signal os.Signal) { _ = cmd.Process.Signal(signal) } // an error says that it is gone
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		_ = cmd.Wait() // its state tells
		s.exitCode, s.exitSignal = cmd.ProcessState.ExitCode(), cmd.ProcessState.String()
	}()
	t.Cleanup(func() {
		s.signal(os.Kill)
		<-s.ended
	})
	s.await("the server is up", func() bool {
		select {
		case <-s.ended:
			t.Fatalf("the server did not start: %s\n%s%s", s.exitSignal, s.out, s.err)
		default:
		}
		_, rest, found := strings.Cut(s.out.String(), "muster answers at ")
		if found {
			_, err := fmt.Sscanf(rest, "%s (operators: %s", &s.base, &s.ops)
			s.ops = strings.TrimSuffix(s.ops, "/readyz)")
			return err == nil
		}
		return false
	})
	return s
}

// stop ends the server as a signal would and checks that it ended well.
func (s *server) stop() {
	s.t.Helper()
	s.signal(os.Interrupt)
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.t.Fatalf("the server does not end\n%s", s.err)
	}
	if s.exitCode != 0 {
		s.t.Errorf("the server ended with %d %s\n%s", s.exitCode, s.exitSignal, s.err)
	}
}

// await looks again and again until something is so.
func (s *server) await(what string, so func() bool) {
	s.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for !so() {
		select {
		case <-again.C:
		case <-limit.C:
			s.t.Fatalf("in vain waited %v until %s\n%s", patience, what, s.err)
		}
	}
}

// answer is a reply, read whole.
type answer struct {
	t      testing.TB
	what   string
	status int
	header http.Header
	body   []byte
}

var client = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}

// call sends a request; a body that is not text is sent as JSON. Headers come in pairs.
func (s *server) call(method, path string, body any, headers ...string) answer {
	s.t.Helper()
	var content io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			s.t.Fatal(err)
		}
		content = bytes.NewReader(data)
	}
	req, err := http.NewRequest(method, s.base+path, content)
	if err != nil {
		s.t.Fatal(err)
	}
	if content != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	reply, err := client.Do(req)
	if err != nil {
		s.t.Errorf("%s %s: %v", method, path, err)
		return answer{t: s.t, what: path}
	}
	defer reply.Body.Close()
	data, err := io.ReadAll(reply.Body)
	if err != nil {
		s.t.Errorf("%s %s: %v", method, path, err)
	}
	return answer{s.t, method + " " + path, reply.StatusCode, reply.Header, data}
}

// staff is call with the token that may do everything.
func (s *server) staff(method, path string, body any, headers ...string) answer {
	s.t.Helper()
	return s.call(method, path, body, append([]string{"Authorization", "Bearer dev"}, headers...)...)
}

// want checks the status, and the code of a problem where one is given.
func (a answer) want(status int, code ...allocator.Code) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: status %d, want %d\n%s", a.what, a.status, status, a.body)
	}
	if len(code) > 0 && a.text("code") != string(code[0]) {
		a.t.Fatalf("%s: %s, want code %s", a.what, a.body, code[0])
	}
	return a
}

// at finds a value by a path such as "bookings.0.reference"; nil where there is none.
func (a answer) at(path string) any {
	var v any
	if json.Unmarshal(a.body, &v) != nil {
		return nil
	}
	for step := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(in) {
				return nil
			}
			v = in[i]
		default:
			return nil
		}
	}
	return v
}

func (a answer) text(path string) string {
	text, _ := a.at(path).(string)
	return text
}

func (a answer) number(path string) int {
	n, _ := a.at(path).(float64)
	return int(n)
}

func (a answer) count(path string) int {
	list, _ := a.at(path).([]any)
	return len(list)
}

// everywhere runs a test on each set of backends.
func everywhere(t *testing.T, test func(t *testing.T, args []string)) {
	t.Run("embedded", func(t *testing.T) { test(t, embedded(t)) })
	t.Run("redis+postgresql", func(t *testing.T) { test(t, external(t)) })
}

func embedded(t testing.TB) []string { return []string{"--dev", "--data", t.TempDir()} }

func external(t testing.TB) []string {
	t.Helper()
	ledger := servers.Postgres(t)
	return []string{"--dev", "--data", t.TempDir(), "--redis", "redis://" + servers.Redis(t).Addr(), "--ledger", ledger}
}

type object = map[string]any

// london is where every site of these tests is.
var london = func() *time.Location {
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		panic(err)
	}
	return zone
}()

// soon is the day after tomorrow at ten, in London.
func soon() time.Time {
	y, m, d := time.Now().In(london).Date()
	return time.Date(y, m, d+2, 10, 0, 0, 0, london)
}

// dayOf gives an instant's date in London.
func dayOf(at time.Time) string { return at.In(london).Format(time.DateOnly) }

// world puts a site, a service and one session from ten to noon on the day that is soon.
func (s *server) world(site string, capacity int) {
	s.t.Helper()
	s.site(site)
	s.staff("PUT", "/v1/services/RSV:Adult", object{"name": "RSV", "eligibility": object{"minAge": 75}}).want2xx()
	s.publish(site, soon(), session("10:00", "12:00", 10, capacity, "RSV:Adult")).want(200)
}

func (a answer) want2xx() answer {
	a.t.Helper()
	if a.status/100 != 2 {
		a.t.Fatalf("%s: status %d\n%s", a.what, a.status, a.body)
	}
	return a
}

func (s *server) site(id string) {
	s.t.Helper()
	s.staff("PUT", "/v1/sites/"+id, object{"name": "Site " + id, "type": "Pharmacies", "timeZone": "Europe/London",
		"address": object{"lines": []string{"1 High Street"}, "postcode": "LS1 4AP"}, "accessibilities": []string{"step_free"}}).want2xx()
}

func session(from, until string, length, capacity int, services ...string) object {
	return object{"from": from, "until": until, "slotLength": length, "capacity": capacity, "services": services}
}

func (s *server) publish(site string, day time.Time, sessions ...object) answer {
	s.t.Helper()
	return s.staff("PUT", "/v1/sites/"+site+"/days/"+dayOf(day), object{"sessions": sessions})
}

func claim(site string, start time.Time) object {
	return object{"siteId": site, "service": "RSV:Adult", "start": start.Format(time.RFC3339), "length": 10}
}

// hold must succeed, and gives the hold's id.
func (s *server) hold(site string, start time.Time) string {
	s.t.Helper()
	return s.call("POST", "/v1/holds", claim(site, start)).want(201).text("holdId")
}

func people(nhsNumber string) object {
	return object{"people": []object{{"nhsNumber": nhsNumber, "givenName": "Ada", "familyName": "Example", "dateOfBirth": "1948-05-17"}}}
}

func (s *server) confirm(hold, nhsNumber string) answer {
	s.t.Helper()
	return s.call("POST", "/v1/holds/"+hold+"/confirm", people(nhsNumber))
}

// person is the nth test person's NHS number.
func person(n int) string {
	found := -1
	for nine := 999_000_000; ; nine++ {
		for check := range 10 {
			if number, ok := allocator.ValidNHSNumber(fmt.Sprintf("%d%d", nine, check)); ok {
				if found++; found == n {
					return number
				}
			}
		}
	}
}
