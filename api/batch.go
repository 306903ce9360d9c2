package api

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"

	"muster/allocator"
)

// maxBatchItems is how many requests go into one; the engine's combiners call their stores with as many by default.
const maxBatchItems = 128

// A batch is many requests of one kind in one body, for front ends that gather. It saves them, and us, the cost of a
// request each, and lets the engine's combiners make one call of what arrives at once. It promises no more than that:
//
//   - An item is answered with the status and the document that it would get by itself. One that is malformed, refused or
//     late takes nothing from its neighbours: each has its own decoder, its own place in the gate and its own deadline.
//   - What runs at once is bounded by items, not by requests: the place in the gate that let the request in is given back
//     before its items enter, each like a request, so that batches cannot wait for each other's places in a circle.
//   - Items run in no order, but for those that name the same key, which would be a race of a request with its own repeat.
//     They are a strand: they share a place and a deadline, and run in the order of the body. Were each given a deadline of
//     its own, one body could keep a place for 128 of them.
type batchItem struct {
	at  string // pointer to it in the body
	key string // items of the same key are a strand; "": alone
	do  func(ctx context.Context) (itemView, error)

	view itemView // once it is done
	err  error    // why it cannot be done, or was not
}

// itemView is the result of one item: what the single route answers, with status and Retry-After.
type itemView struct {
	Status     int           `json:"status"`
	RetryAfter int           `json:"retryAfter,omitempty"` // seconds
	Hold       *holdView     `json:"hold,omitempty"`
	Bookings   []bookingView `json:"bookings,omitempty"`
	Problem    *problem      `json:"problem,omitempty"`
}

func (s *Server) batchHolds(_ context.Context, x *exchange) (reply, error) {
	if len(x.http.Request.Header.PeekAll("Idempotency-Key")) > 0 {
		x.input().fault("/header/Idempotency-Key", "must not be given for a batch: each item has its own idempotencyKey")
	}
	return x.batch("holds", func(o object, item *batchItem) error {
		req := allocator.HoldRequest{Caller: x.caller(), IdempotencyKey: o.idempotencyKey("idempotencyKey")}
		req.Pass = o.text("waitingRoomPass", optional, maxPassBytes)
		req.Claims = decodeClaims(o, "idempotencyKey", "waitingRoomPass")
		item.key = req.IdempotencyKey
		item.do = func(ctx context.Context) (itemView, error) {
			h, err := x.hold(ctx, req)
			if err != nil {
				return itemView{}, err
			}
			return itemView{Hold: s.viewHold(&h, "")}, nil
		}
		return o.d.fail()
	})
}

func (s *Server) batchConfirmations(_ context.Context, x *exchange) (reply, error) {
	x.idempotencyKey() // as for a single confirm
	today := x.today()
	return x.batch("confirmations", func(o object, item *batchItem) error {
		token, given := o.raw("holdId", required)
		if err := checkToken(token); given && err != nil {
			return err
		}
		o.only("holdId", "people", "replaces")
		req := allocator.ConfirmRequest{Caller: x.caller(), Token: token}
		decodePeople(o, &req, today)
		item.key = token
		item.do = func(ctx context.Context) (itemView, error) {
			views, err := x.book(ctx, req)
			return itemView{Bookings: views}, err
		}
		return o.d.fail()
	})
}

// batch decodes the items of the body's one list, runs those that are well-formed, and answers all in their order.
func (x *exchange) batch(name string, decode func(object, *batchItem) error) (reply, error) {
	objects, err := x.batchObjects(name)
	if err != nil {
		return reply{}, err
	}
	items := make([]batchItem, len(objects))
	for i, o := range objects {
		items[i].at = o.at
		items[i].err = decode(o, &items[i])
	}
	x.server.house.leave(&x.stay)
	x.address() // once, for all that run at the same time
	var running sync.WaitGroup
	for _, strand := range strands(items) {
		running.Go(func() { x.runStrand(strand) })
	}
	running.Wait()
	views := make([]itemView, len(items))
	for i := range items {
		views[i] = x.itemResult(&items[i])
	}
	return reply{body: &resultsView{views}}, nil
}

// batchObjects reads the list, each item with a decoder of its own. Duplicate names within an item, which the parser finds
// in the whole body, are that item's fault only.
func (x *exchange) batchObjects(name string) ([]object, error) {
	x.query()
	d, o := x.document(required)
	o.only(name)
	values := o.list(name, required, maxBatchItems)
	if len(values) == 0 && o.has(name) && len(d.faults) == 0 {
		d.fault(o.pointer(name), "must have 1 to %d items", maxBatchItems)
	}
	own := make([]decoder, len(values))
	if len(d.faults) < maxFaults { // beyond, the parser has not told them all
		whole := d.faults
		d.faults = nil
		for _, f := range whole {
			if i, ok := itemOf(f.Pointer, o.pointer(name), len(values)); ok {
				own[i].faults = append(own[i].faults, f)
			} else {
				d.faults = append(d.faults, f)
			}
		}
	}
	if err := d.fail(); err != nil {
		return nil, err
	}
	objects := make([]object, len(values))
	for i := range values {
		objects[i] = own[i].object(&values[i], o.pointer(name)+"/"+itoa(i))
	}
	return objects, nil
}

// itemOf says in which of a list's items a pointer lies.
func itemOf(pointer, list string, items int) (int, bool) {
	rest, ok := strings.CutPrefix(pointer, list+"/")
	step, _, _ := strings.Cut(rest, "/")
	i, err := strconv.Atoi(step)
	return i, ok && err == nil && i >= 0 && i < items
}

// strands gathers the items that can be run by their keys, in their order.
func strands(items []batchItem) (all [][]*batchItem) {
	byKey := make(map[string]int)
	for i := range items {
		item := &items[i]
		if item.err != nil {
			continue
		}
		if n, ok := byKey[item.key]; ok && item.key != "" {
			all[n] = append(all[n], item)
			continue
		}
		byKey[item.key] = len(all)
		all = append(all, []*batchItem{item})
	}
	return all
}

// runStrand does the items of a strand, one after the other.
func (x *exchange) runStrand(strand []*batchItem) {
	in, ctx, err := x.server.admit(x.route)
	if err != nil {
		for _, item := range strand {
			item.err = err
		}
		return
	}
	defer x.server.house.leave(&in)
	for _, item := range strand {
		if ctx.Err() != nil {
			item.err = allocator.Refuse(allocator.CodeOverloaded, "no time was left after the earlier items of the same key; nothing was done")
			continue
		}
		x.attempt(ctx, item)
	}
}

// attempt does one item. A panic costs that item only.
func (x *exchange) attempt(ctx context.Context, item *batchItem) {
	defer func() {
		if cause := recover(); cause != nil {
			x.server.tellPanic(x, cause)
			item.err = errPanic
		}
	}()
	var err error
	item.view, err = item.do(ctx)
	item.err = within(item.at, late(err, true))
}

// within moves the pointers of the engine's refusal, which start at the item, to where the item is in the body.
func within(at string, err error) error {
	var e *allocator.Error
	if !errors.As(err, &e) || e == nil || len(e.Faults) == 0 {
		return err
	}
	moved := *e
	moved.Faults = make([]allocator.Fault, len(e.Faults))
	for i, f := range e.Faults {
		moved.Faults[i] = allocator.Fault{Pointer: at + f.Pointer, Detail: f.Detail}
	}
	return &moved
}

// itemResult writes, counts and logs what became of an item.
func (x *exchange) itemResult(item *batchItem) itemView {
	view, code := item.view, allocator.Code("")
	view.Status = fasthttp.StatusCreated
	if item.err != nil {
		e, p := refusalOf(item.err), x.problem(item.err)
		code = p.Code
		view = itemView{Status: p.Status, RetryAfter: x.server.retryAfter(e, p.Status), Problem: &p}
		if ours(&p, e) && x.server.worthALine(x.route.operation, p.Status) {
			x.server.log.LogAttrs(context.Background(), levelOf(p.Status), "item failed", slog.String("requestId", x.id),
				slog.String("operation", x.route.operation), slog.String("item", item.at), slog.Int("status", p.Status),
				slog.String("code", string(p.Code)), slog.String("cause", causeOf(e)))
		}
	}
	x.server.metrics.items.WithLabelValues(x.route.operation, itoa(view.Status), codeLabel(code)).Inc()
	return view
}
