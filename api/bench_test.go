package api

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"muster/allocator"
)

// surge answers holds and confirms at once, as the engine would; the rest it does not do.
type surge struct {
	Engine
	hold     allocator.Hold
	bookings []allocator.BookingView
}

func (s *surge) Hold(context.Context, allocator.HoldRequest) (allocator.Hold, error) {
	return s.hold, nil
}

func (s *surge) Confirm(context.Context, allocator.ConfirmRequest) ([]allocator.BookingView, error) {
	return s.bookings, nil
}

// benchmarkRoute sends one request again and again to the server's handler, without a network. The handler must answer 201.
func benchmarkRoute(b *testing.B, path, body string) {
	hold, _ := (&fake{}).Hold(context.Background(), allocator.HoldRequest{Claims: []allocator.ClaimRequest{{Site: "FA512", Service: "RSV:Adult", Start: slotStart}}})
	hold.Token = benchToken
	server, err := New(Options{}, &surge{hold: hold, bookings: []allocator.BookingView{someBooking()}})
	if err != nil {
		b.Fatal(err)
	}
	benchmarkHandler(b, server.router(), fasthttp.StatusCreated, func(r *fasthttp.Request) {
		r.Header.SetMethod(fasthttp.MethodPost)
		r.Header.SetContentType("application/json")
		r.SetRequestURI(path)
		r.SetBodyString(body)
	})
}

// benchmarkHandler sends one request again and again, on all cores.
func benchmarkHandler(b *testing.B, handler fasthttp.RequestHandler, want int, write func(*fasthttp.Request)) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var ctx fasthttp.RequestCtx
		var r fasthttp.Request
		write(&r)
		ctx.Init(&r, nil, nil)
		for pb.Next() {
			ctx.Response.Reset()
			ctx.ResetUserValues()
			handler(&ctx)
			if status := ctx.Response.StatusCode(); status != want {
				b.Errorf("%d: %s", status, ctx.Response.Body())
				return
			}
		}
	})
}

// benchToken is as long as a real one.
var benchToken = "h1." + strings.Repeat("abcdefghij", 14)

func BenchmarkCreateHold(b *testing.B) { benchmarkRoute(b, "/v1/holds", goodHold) }

func BenchmarkConfirmHold(b *testing.B) {
	benchmarkRoute(b, "/v1/holds/"+benchToken+"/confirm", `{"people":[`+goodPerson+`]}`)
}

func BenchmarkDeadline(b *testing.B) {
	d := &deadline{after: 5 * time.Second}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_ = d.from(time.Now())
		}
	})
}
