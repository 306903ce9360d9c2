package api

import (
	"slices"

	"github.com/valyala/fasthttp"
)

// Tracer makes a span for each request that could be read. It must be safe for concurrent use and must not block.
type Tracer interface {
	// Span begins the span of a request. Operation, method and route are of closed lists (method _OTHER for one that HTTP does
	// not know, route - for what no route answers); traceparent is the client's header as it came, "" where there is none or
	// more than one. What it answers is called once, when the reply is made, with its status and problem code, OK where there
	// was none; perhaps on another goroutine.
	Span(operation, method, route, traceparent string) func(status int, code string)
}

// trace begins the exchange's span, where requests are traced.
func (x *exchange) trace(t Tracer) {
	method := string(x.http.Method())
	if !slices.Contains(methods, method) {
		method = "_OTHER"
	}
	parent, _ := x.header("Traceparent")
	x.traced = t.Span(x.route.operation, method, x.route.path, parent)
}

var methods = []string{
	get, post, put, del, fasthttp.MethodHead, fasthttp.MethodOptions, fasthttp.MethodPatch, fasthttp.MethodConnect, fasthttp.MethodTrace,
}
