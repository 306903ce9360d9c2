package bulk

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

func TestProgressText(t *testing.T) {
	start := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	p := &Progress{what: "lines", started: start, first: 1000}
	got := p.text(3000, 2, 0.5, start.Add(10*time.Second))
	if want := "3,000 lines, 200/s, 2 failed, 50 %, about 15s left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is written %s", n, got)
		}
	}
}

// On a terminal the line renews itself, and what must stay is written on a line of its own.
func TestProgressOnATerminal(t *testing.T) {
	var out bytes.Buffer
	p := &Progress{out: &out, terminal: true, what: "lines", started: time.Now()}
	p.Show(10_000, 0, 0.5)
	p.Show(20_000, 0, 0.6) // too soon
	p.Print("a line that failed")
	text := out.String()
	if strings.Count(text, "10,000 lines") != 1 || strings.Contains(text, "20,000") || !strings.HasSuffix(text, "\ra line that failed\n") {
		t.Errorf("%q", text)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if isTerminal(null) || isTerminal(&out) {
		t.Error("nobody watches the null device or a buffer")
	}
}
