package profile

import (
	"fmt"
	"strings"
	"time"
)

// Plot draws the curve for a terminal, width characters wide and height lines high, with the highest rate and the length.
func (c *Curve) Plot(width, height int) string {
	peak := c.Peak()
	columns := make([]float64, width)
	for i := range columns {
		for part := range 4 { // so that a peak narrower than a column is seen
			at := time.Duration((float64(i) + float64(part)/4) / float64(width) * float64(c.Length()))
			columns[i] = max(columns[i], c.Rate(at))
		}
	}
	var out strings.Builder
	for row := height; row >= 1; row-- {
		label := ""
		if row == height {
			label = fmt.Sprintf("%.0f/s", peak)
		}
		line := make([]rune, width)
		for i, rate := range columns {
			line[i] = level(rate/peak*float64(height) - float64(row-1))
		}
		fmt.Fprintf(&out, "%9s |%s\n", label, strings.TrimRight(string(line), " "))
	}
	fmt.Fprintf(&out, "%9s +%s %v\n", "0", strings.Repeat("-", width), c.Length())
	return out.String()
}

// level is how full a cell is.
func level(share float64) rune {
	steps := []rune(" ▁▂▃▄▅▆▇█")
	return steps[min(len(steps)-1, max(0, int(share*float64(len(steps)-1)+0.5)))]
}
