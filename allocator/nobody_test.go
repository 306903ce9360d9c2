package allocator

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// A person who is printed or logged by mistake is nobody, alone and within what has people in it.
func TestPrintedPeopleAreNobody(t *testing.T) {
	p := Person{NHSNumber: "9990000018", GivenName: "Zyxw", FamilyName: "Qpon", Email: "gfed@example.org"}
	request := ConfirmRequest{Token: "h1", People: []Person{p}}
	view := BookingView{Reference: "R", Person: &p}
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.Info("a mistake", "person", p, "pointer", &p)
	all := log.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		all += fmt.Sprintf(verb+verb+verb+verb, p, &p, request, view)
	}
	all += fmt.Sprint(fmt.Errorf("for %v: %w", p, ErrUnavailable))
	for _, detail := range []string{p.NHSNumber, p.GivenName, p.FamilyName, p.Email, fmt.Sprintf("%x", p.GivenName)} {
		if strings.Contains(all, detail) {
			t.Errorf("%q is printed: %s", detail, all)
		}
	}
	if !strings.Contains(all, nobody) {
		t.Errorf("nobody is printed: %s", all)
	}
}
