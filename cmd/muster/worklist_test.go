package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A day that was saved with its keys is checked and printed after the server is gone.
func TestWorklistOutlivesTheServer(t *testing.T) {
	s := serve(t, embedded(t)...)
	at := soon()
	s.world("A1", 2)
	booked := s.confirm(s.hold("A1", at), person(1)).want(201)
	list := "/v1/sites/A1/days/" + dayOf(at) + "/bookings?format="
	files := t.TempDir()
	save := func(name string, content []byte) string {
		path := filepath.Join(files, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	signed := s.staff("GET", list+"signed", nil).want(200)
	snapshot := save("day.jws", signed.body)
	damaged := save("damaged.jws", append([]byte{'e', 'y', 'J'}, signed.body...))
	keys := save("keys.json", s.call("GET", "/v1/worklist-keys", nil).want(200).body)
	page, table := s.staff("GET", list+"html", nil).want(200), s.staff("GET", list+"csv", nil).want(200)
	s.call("GET", list+"signed", nil).want(401)
	s.stop()

	reference := booked.text("bookings.0.reference")
	for _, content := range [][]byte{page.body, table.body} {
		if !bytes.Contains(content, []byte(reference)) {
			t.Errorf("the day lacks %s: %s", reference, content)
		}
	}
	run := func(args ...string) (code int, out, complaint string) {
		var stdout, stderr bytes.Buffer
		code = Main(t.Context(), append([]string{"worklist"}, args...), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	for _, as := range []string{"html", "csv"} {
		if code, out, complaint := run(snapshot, "--keys", keys, "--as", as); code != exitDone || !strings.Contains(out, reference) || complaint != "" {
			t.Errorf("%s: exit %d, %s\n%s", as, code, complaint, out)
		}
	}
	for name, c := range map[string]struct {
		args []string
		code int
	}{
		"damaged": {[]string{damaged, "--keys", keys}, exitFailed}, "no keys": {[]string{snapshot}, exitUsage}, "no file": {[]string{snapshot + "x", "--keys", keys}, exitUsage},
		"keys that are none": {[]string{snapshot, "--keys", snapshot}, exitUsage}, "no such form": {[]string{snapshot, "--keys", keys, "--as", "pdf"}, exitUsage},
	} {
		if code, out, complaint := run(c.args...); code != c.code || out != "" || complaint == "" {
			t.Errorf("%s: exit %d, %s%s", name, code, complaint, out)
		}
	}
}
