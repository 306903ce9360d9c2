package bulk

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Progress tells people how far a long run is: on a terminal by a line that renews itself, elsewhere by a line now and
// then. For one goroutine.
type Progress struct {
	out      io.Writer
	terminal bool
	what     string
	started  time.Time
	shown    time.Time
	first    int // steps that were done before this run
	width    int // of what the terminal shows now
}

// NewProgress begins to measure. what names the steps, e.g. "lines".
func NewProgress(out io.Writer, what string) *Progress {
	return &Progress{out: out, terminal: isTerminal(out), what: what, started: time.Now(), shown: time.Now()}
}

// isTerminal says whether somebody watches: a character device that is not the null device.
func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err == nil && !os.SameFile(info, null)
}

// Show tells how many steps are done, how many of them failed, and which part of all that is (0: not known). It writes
// only when some time has passed since the last time.
func (p *Progress) Show(done, failed int, part float64) {
	pause := 5 * time.Second
	if p.terminal {
		pause = 200 * time.Millisecond
	}
	now := time.Now()
	if now.Sub(p.shown) < pause {
		return
	}
	p.shown = now
	text := p.text(done, failed, part, now)
	if !p.terminal {
		fmt.Fprintln(p.out, text)
		return
	}
	blank := max(0, p.width-len(text))
	p.width = len(text)
	fmt.Fprint(p.out, "\r", text, strings.Repeat(" ", blank))
}

func (p *Progress) text(done, failed int, part float64, now time.Time) string {
	elapsed := now.Sub(p.started).Seconds()
	rate := float64(done-p.first) / max(elapsed, 0.001)
	text := fmt.Sprintf("%s %s, %s/s", thousands(done), p.what, thousands(int(rate)))
	if failed > 0 {
		text += fmt.Sprintf(", %s failed", thousands(failed))
	}
	if part > 0 && part <= 1 && done > p.first {
		left := time.Duration((float64(done)/part - float64(done)) / max(rate, 0.001) * float64(time.Second)).Round(time.Second)
		text += fmt.Sprintf(", %.0f %%, about %v left", 100*part, left)
	}
	return text
}

// Print writes a line of its own without spoiling the display.
func (p *Progress) Print(format string, args ...any) {
	p.Clear()
	fmt.Fprintf(p.out, format+"\n", args...)
}

// Elapsed is the time since the beginning.
func (p *Progress) Elapsed() time.Duration { return time.Since(p.started) }

// Clear takes the display away.
func (p *Progress) Clear() {
	if p.terminal && p.width > 0 {
		fmt.Fprint(p.out, "\r", strings.Repeat(" ", p.width), "\r")
		p.width = 0
	}
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
