package api

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/valyala/fasthttp"
)

// TestMain spoils, in all tests of this package, the memory that a request leaves to the next one: who reads it too late
// reads nonsense, and not by chance what was there before. Benchmarks send one request again and again and are left alone.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" {
		wipe = func(b []byte) { fill(b[:cap(b)]) }
		spent = spoil
	}
	os.Exit(m.Run())
}

// spoiled is what nobody sends.
const spoiled = 0xDB

func fill(b []byte) {
	for i := range b {
		b[i] = spoiled
	}
}

// spoil overwrites the request that fasthttp keeps, but for its method and what says whether the connection ends, which
// fasthttp still looks at.
func spoil(ctx *fasthttp.RequestCtx) {
	h := &ctx.Request.Header
	for name, value := range h.All() {
		if !bytes.EqualFold(name, []byte("Connection")) {
			fill(value)
		}
	}
	fill(h.RawHeaders())
	fill(h.RequestURI())
	u := ctx.URI()
	fill(u.PathOriginal())
	fill(u.Path())
	fill(u.QueryString())
}
