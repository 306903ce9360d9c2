package api

import (
	"strconv"
	"strings"
)

// parseIdempotencyKey reads an Idempotency-Key: bare, or a quoted string (RFC 8941, section 3.3.3) without parameters.
// The key itself is 1 … 255 visible ASCII characters; a bare one does not start with a quote.
func parseIdempotencyKey(header string) (key string, ok bool) {
	header = strings.Trim(header, " \t")
	if !strings.HasPrefix(header, `"`) {
		return header, visible(header)
	}
	if len(header) < 2 || header[len(header)-1] != '"' {
		return "", false
	}
	var b strings.Builder
	inner := header[1 : len(header)-1]
	for i := 0; i < len(inner); i++ {
		c := inner[i]
		if c == '"' {
			return "", false
		}
		if c == '\\' {
			i++
			if i == len(inner) || inner[i] != '"' && inner[i] != '\\' {
				return "", false
			}
			c = inner[i]
		}
		b.WriteByte(c)
	}
	return b.String(), visible(b.String())
}

func visible(text string) bool {
	return len(text) >= 1 && len(text) <= 255 && strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// idempotencyKey reads the request's key; "" where it has none.
func (x *exchange) idempotencyKey() string {
	const name = "Idempotency-Key"
	text, once := x.header(name)
	if text == "" && once && len(x.http.Request.Header.PeekAll(name)) == 0 {
		return ""
	}
	key, ok := parseIdempotencyKey(text)
	if !once || !ok {
		x.input().fault("/header/"+name, "must be given once, bare or quoted, with 1 to 255 visible ASCII characters")
		return ""
	}
	return key
}

// ifMatch reads the revision that must be current; nil where none is asked for.
func (x *exchange) ifMatch() *int64 {
	text, once := x.header("If-Match")
	if text == "" && once {
		return nil
	}
	bare := strings.Trim(text, " \t")
	if len(bare) >= 2 && bare[0] == '"' && bare[len(bare)-1] == '"' {
		bare = bare[1 : len(bare)-1]
	}
	revision, err := strconv.ParseUint(bare, 10, 62)
	if err != nil || !once {
		x.input().fault("/header/If-Match", "must be one revision in quotes, as ETag gives it")
		return nil
	}
	n := int64(revision)
	return &n
}

func etag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }
