package api

import (
	"bytes"
	"regexp"
	"slices"
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
		x.input().fault("/header/"+name, "must be given once, "+keyForm)
		return ""
	}
	return key
}

const keyForm = "bare or quoted, with 1 to 255 visible ASCII characters"

// idempotencyKey reads the key of one item of a batch, written as in the header; "" where it has none.
func (o object) idempotencyKey(name string) string {
	text, given := o.raw(name, optional)
	if !given {
		return ""
	}
	key, ok := parseIdempotencyKey(text)
	if !ok {
		o.d.fault(o.pointer(name), "must be given "+keyForm)
		return ""
	}
	return key
}

// condition is what If-Match asks for: any published revision, or one of several.
type condition struct {
	given     bool
	any       bool
	revisions []int64
}

// ifMatch reads the header, however often it is given.
func (x *exchange) ifMatch() condition {
	all := x.http.Request.Header.PeekAll("If-Match")
	if len(all) == 0 {
		return condition{}
	}
	return parseCondition(string(bytes.Join(all, []byte(","))))
}

// entityTags splits a list (RFC 9110, section 8.8.3); a tag may also go without its quotes.
var entityTags = regexp.MustCompile(`(?:W/)?"[^"]*"|[^,\s]+`)

// parseCondition reads a list of entity tags. Weak tags never match (RFC 9110, section 13.1.1), nor does what is not a
// revision as ETag gives it; a condition without revisions is one that cannot be met.
func parseCondition(header string) condition {
	c := condition{given: true, any: strings.Trim(header, " \t") == "*"}
	for _, tag := range entityTags.FindAllString(header, -1) {
		if len(tag) >= 2 && tag[0] == '"' && tag[len(tag)-1] == '"' {
			tag = tag[1 : len(tag)-1]
		}
		n, err := strconv.ParseInt(tag, 10, 64)
		if err == nil && n >= 0 && strconv.FormatInt(n, 10) == tag && !slices.Contains(c.revisions, n) {
			c.revisions = append(c.revisions, n)
		}
	}
	return c
}

func etag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }
