package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"muster/allocator"
	"muster/api/daytable"
)

// lineView is the answer to one line of an upload.
type lineView struct {
	Line   int              `json:"line"`
	Lines  int              `json:"lines,omitempty"` // of a table: so many make the day
	SiteID allocator.SiteID `json:"siteId,omitempty"`
	Date   string           `json:"date,omitempty"`
	*publishView
	Problem *problem `json:"problem,omitempty"`
}

// upload is the body of the reply to POST /v1/capacity: reading it works the upload off, line by line.
//
// One goroutine reads lines ahead into a bounded queue; Read takes what is there, publishes it and returns the results. So
// lines that come one by one are answered one by one, and lines that come fast are published in batches. Close ends the
// goroutine before it returns, because the connection's buffers are used for other requests after that.
type upload struct {
	x        *exchange
	dryRun   bool
	body     io.Reader
	table    *daytable.Table // nil: each line is a document
	queue    *lineQueue
	reading  chan struct{} // closed when the goroutine has ended; nil before it was started
	left     []line        // taken, not yet worked on
	done     int           // number of the last line that was worked on
	out      bytes.Buffer
	finished bool
	closed   bool
}

func (s *Server) uploadCapacity(_ context.Context, x *exchange) (reply, error) {
	q := x.query("dryRun")
	u := &upload{x: x, dryRun: q.boolean("dryRun"), queue: newLineQueue()}
	if err := q.d.fail(); err != nil {
		return reply{}, err
	}
	if x.isTable() {
		u.table = new(daytable.Table)
	}
	if u.body = x.http.RequestBodyStream(); u.body == nil {
		u.body = bytes.NewReader(append([]byte(nil), x.http.Request.Body()...))
	}
	if err := u.extend(); err != nil {
		return reply{}, err
	}
	x.http.SetStatusCode(fasthttp.StatusOK)
	x.http.SetContentType(ndjson)
	x.http.Response.ImmediateHeaderFlush = true
	x.http.SetBodyStream(u, -1)
	return reply{stream: true}, nil
}

// extend allows both directions of the connection another idle time.
func (u *upload) extend() error {
	until := time.Now().Add(u.x.server.options.StreamIdle)
	return errors.Join(u.x.http.SetReadDeadline(until), u.x.http.SetWriteDeadline(until))
}

// patient extends the deadline before each read of the upload.
type patient struct{ u *upload }

func (p patient) Read(b []byte) (int, error) {
	if err := p.u.x.http.SetReadDeadline(time.Now().Add(p.u.x.server.options.StreamIdle)); err != nil {
		return 0, err
	}
	return p.u.body.Read(b)
}

// Read returns results, and works on the next lines when there are none left.
func (u *upload) Read(p []byte) (n int, err error) {
	defer u.x.endPanic(&err)
	if u.reading == nil {
		u.reading = make(chan struct{})
		go func() {
			defer close(u.reading)
			readLines(patient{u}, u.queue)
		}()
		go func() { // a server that drains does not wait for slow clients
			select {
			case <-u.x.server.drain:
				u.queue.stop()
			case <-u.reading:
			}
		}()
	}
	for u.out.Len() == 0 {
		if u.finished {
			return 0, io.EOF
		}
		u.step()
	}
	if err := u.x.http.SetWriteDeadline(time.Now().Add(u.x.server.options.StreamIdle)); err != nil {
		return 0, err
	}
	return u.out.Read(p)
}

// Close ends the upload. Where part of it is unread, the connection cannot be used again, and neither the goroutine nor
// fasthttp shall wait for what the client still has to send: reading is made to fail at once.
func (u *upload) Close() error {
	if u.closed {
		return nil
	}
	u.closed = true
	u.queue.stop()
	if u.reading != nil && !u.queue.isEnded() {
		u.interrupt()
	}
	u.x.finish()
	return nil
}

// interrupt waits for the goroutine with a deadline that is over, and sets it again and again: the goroutine may set its
// own at the same moment.
func (u *upload) interrupt() {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for reading := true; reading; {
		_ = u.x.http.SetReadDeadline(time.Unix(1, 0))
		select {
		case <-u.reading:
			reading = false
		case <-again.C:
		}
	}
	_ = u.x.http.SetReadDeadline(time.Unix(1, 0))
}

// uploadYields is how long a batch of lines makes way for people.
const uploadYields = time.Second

// step works on the next batch of lines.
func (u *upload) step() {
	whole := true
	if len(u.left) == 0 {
		u.left, whole = u.queue.take()
	}
	switch {
	case len(u.left) == 0 && whole:
		if u.finished = true; u.table != nil {
			u.publish(u.day(u.table.End()))
		}
	case len(u.left) == 0 || u.x.server.Draining():
		u.answer(lineView{Line: u.next()}, allocator.Refuse(allocator.CodeOverloaded, "the server is stopping; send this line and those after it again"))
		u.finished = true
		u.x.code = allocator.CodeOverloaded
	case u.table != nil:
		u.publish(u.rows())
	default:
		u.x.server.house.gate.Yield(int(classBulk), uploadYields)
		batch := u.batch()
		u.done = batch[len(batch)-1].view.Line
		u.publish(batch)
	}
}

// next is the line from which an upload that ends early is to go on.
func (u *upload) next() int {
	switch {
	case u.table != nil && u.table.Waiting() > 0:
		return u.table.Waiting()
	case len(u.left) > 0:
		return u.left[0].number
	}
	return u.done + 1
}

// change is a line that was decoded, or why it was not.
type change struct {
	view lineView
	req  allocator.PublishRequest
	err  error
}

// batch decodes lines up to the second one of the same day, so that the changes of a day are made one after the other.
func (u *upload) batch() []change {
	type day struct {
		site allocator.SiteID
		date allocator.Date
	}
	seen := map[day]bool{}
	var batch []change
	for len(u.left) > 0 {
		c := u.decode(u.left[0])
		if d := (day{c.req.Site, c.req.Date}); c.err == nil {
			if seen[d] {
				break
			}
			seen[d] = true
		}
		batch = append(batch, c)
		u.left = u.left[1:]
	}
	return batch
}

func (u *upload) decode(l line) change {
	c := change{view: lineView{Line: l.number}}
	if c.err = u.unreadable(l); c.err == nil {
		c.req, c.err = DecodeCapacity(l.text)
		c.req.Caller, c.req.DryRun = u.x.caller(), u.dryRun
		c.view.SiteID = c.req.Site
		if c.req.Date != 0 {
			c.view.Date = c.req.Date.String()
		}
	}
	return c
}

// lineRevision reads ifMatch: a revision as a number, or as text, with or without the quotes that the ETag has.
func lineRevision(o object) *int64 {
	v := o.field("ifMatch", optional)
	if v == nil {
		return nil
	}
	text := v.text
	if v.kind == kindString && len(text) >= 2 && text[0] == '"' && text[len(text)-1] == '"' {
		text = text[1 : len(text)-1]
	}
	n, err := strconv.ParseUint(text, 10, 62)
	if err != nil || v.kind != kindNumber && v.kind != kindString {
		o.d.fault(o.pointer("ifMatch"), "must be a revision")
		return nil
	}
	revision := int64(n)
	return &revision
}

// publish makes the changes of a batch and answers every line of it in order.
func (u *upload) publish(batch []change) {
	var reqs []allocator.PublishRequest
	for _, c := range batch {
		if c.err == nil {
			reqs = append(reqs, c.req)
		}
	}
	var replies []allocator.PublishReply
	var errs []error
	if len(reqs) > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), u.x.server.options.Admission.Bulk.Deadline)
		defer cancel()
		replies, errs = u.x.server.engine.PublishMany(ctx, reqs)
	}
	next := 0
	for _, c := range batch {
		if c.err == nil {
			if next >= len(replies) || next >= len(errs) {
				c.err = errors.New("the engine left a change unanswered")
			} else if c.err = late(errs[next], true); c.err == nil {
				view := viewPublish(replies[next])
				c.view.publishView = &view
			}
			next++
		}
		u.answer(c.view, c.err)
	}
}

// answer writes one result line.
func (u *upload) answer(view lineView, err error) {
	if err != nil {
		p := u.x.server.problemOf(err)
		view.Problem = &p
		if e := refusalOf(err); p.Status >= 500 {
			u.x.server.log.Error("line failed", "requestId", u.x.id, "operation", u.x.route.operation, "line", view.Line,
				"code", string(p.Code), "cause", causeOf(e))
		}
	}
	data, err := json.Marshal(view)
	if err != nil {
		panic(fmt.Sprintf("a result line is plain data: %v", err))
	}
	u.out.Write(append(data, '\n'))
}
