package grammar

import (
	"regexp"
	"strings"
)

var dollarTag = regexp.MustCompile(`^\$([A-Za-z_][A-Za-z0-9_]*)?\$`)

// blank gives the statement with each byte of its comments and of its 'strings' turned into a space, line ends kept,
// so that a word means code and offsets stay true. Dollar-quoted bodies are code too and stay.
func blank(sql string) string {
	out := []byte(sql)
	for at := 0; at < len(sql); {
		rest := sql[at:]
		length, wipe := 1, true
		switch {
		case strings.HasPrefix(rest, "--"):
			length = lineComment(rest)
		case strings.HasPrefix(rest, "/*"):
			length = blockComment(rest)
		case rest[0] == '\'':
			escapes := at > 0 && (sql[at-1] == 'e' || sql[at-1] == 'E') && (at == 1 || !isWord(sql[at-2]))
			length = quoted(rest, escapes)
		case rest[0] == '"':
			length, wipe = quoted(rest, false), false
		case rest[0] == '$':
			if tag := dollarTag.FindString(rest); tag != "" && (at == 0 || !isWord(sql[at-1])) {
				length = dollarBody(out[at:], rest, tag)
			}
			wipe = false
		default:
			wipe = false
		}
		if wipe {
			wipeBytes(out[at : at+length])
		}
		at += length
	}
	return string(out)
}

func wipeBytes(b []byte) {
	for i := range b {
		if b[i] != '\n' {
			b[i] = ' '
		}
	}
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func lineComment(rest string) int {
	if end := strings.IndexByte(rest, '\n'); end >= 0 {
		return end
	}
	return len(rest)
}

// blockComment measures a comment that may hold others, as both engines allow.
func blockComment(rest string) int {
	depth := 0
	for i := 0; i+1 < len(rest); i++ {
		switch rest[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return len(rest)
}

// quoted measures a string or a name; its quote doubled inside is one of its characters.
func quoted(rest string, escapes bool) int {
	for i := 1; i < len(rest); i++ {
		switch {
		case escapes && rest[i] == '\\':
			i++
		case rest[i] == rest[0] && i+1 < len(rest) && rest[i+1] == rest[0]:
			i++
		case rest[i] == rest[0]:
			return i + 1
		}
	}
	return len(rest)
}

// dollarBody blanks the comments and strings inside a dollar-quoted body and measures it, tags included.
func dollarBody(out []byte, rest, tag string) int {
	body := rest[len(tag):]
	end := strings.Index(body, tag)
	if end < 0 {
		copy(out[len(tag):], blank(body))
		return len(rest)
	}
	copy(out[len(tag):], blank(body[:end]))
	return len(tag) + end + len(tag)
}
