package redisinventory

import (
	"regexp"
	"slices"
	"strings"
)

// Redis makes every function of a script's text anew for each call, used or not, and keeps each text until it restarts. So a
// script is sent with what it uses of common.lua and no more.

// part is a declaration at the top level of common.lua, which has nothing else there.
type part struct {
	names []string
	text  string // compact
	uses  map[string]bool
}

var (
	declared   = regexp.MustCompile(`^local (?:function )?([A-Za-z_0-9, ]+)`)
	identifier = regexp.MustCompile(`[A-Za-z_][A-Za-z_0-9]*`)
)

// declarations parts common.lua. A declaration begins with "local" in the first column and ends before the next.
func declarations(common string) (parts []part) {
	for line := range strings.Lines(common) {
		if m := declared.FindStringSubmatch(line); m != nil {
			parts = append(parts, part{names: identifier.FindAllString(m[1], -1)})
		}
		if len(parts) > 0 {
			parts[len(parts)-1].text += line
		}
	}
	for i := range parts {
		parts[i].text = compact(parts[i].text)
		parts[i].uses = words(parts[i].text)
	}
	return parts
}

// needed are the declarations that a script uses, directly or by others, in their order.
func needed(parts []part, own string) string {
	used := words(own)
	keep := make([]bool, len(parts))
	// A declaration uses only what stands before it.
	for i, p := range slices.Backward(parts) {
		if slices.ContainsFunc(p.names, func(name string) bool { return used[name] }) {
			keep[i] = true
			for word := range p.uses {
				used[word] = true
			}
		}
	}
	var out strings.Builder
	for i, p := range parts {
		if keep[i] {
			out.WriteString(p.text)
		}
	}
	return out.String()
}

func words(text string) map[string]bool {
	used := make(map[string]bool)
	for _, word := range identifier.FindAllString(text, -1) {
		used[word] = true
	}
	return used
}

// compact leaves comments and indentation out.
func compact(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "--") {
			out.WriteString(line + "\n")
		}
	}
	return out.String()
}
