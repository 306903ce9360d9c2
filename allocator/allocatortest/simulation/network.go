package simulation

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/faults"
)

// message is a call of a port on its way.
type message struct {
	from   *server
	ledger bool
	call   faults.Call
	ctx    context.Context
	shard  int
	answer chan verdict // of one, nil for a message whose sender has gone
	order  string       // its content, where that is needed to order it
}

// verdict is what the sender gets.
type verdict struct {
	value any
	err   error
}

func (m *message) String() string {
	ghost := ""
	if m.answer == nil {
		ghost = " (late)"
	}
	return fmt.Sprintf("%s %s/%d%s", m.from.name, m.call.Method, m.shard, ghost)
}

// network holds every message that has not arrived.
type network struct {
	mu      sync.Mutex
	fresh   []*message // since the scheduler last looked, in no meaningful order
	pending []*message // in order
	arrived chan struct{}
	ticks   time.Duration
}

func newNetwork() *network { return &network{arrived: make(chan struct{}, 1)} }

var errDead = fmt.Errorf("the server is dead: %w", allocator.ErrUnavailable)

// mutating calls of the ledger have an unknown outcome when their answer is lost.
var mutating = map[string]bool{"Record": true, "Void": true, "Publish": true, "Transition": true, "OpenEpoch": true}

// lost is what a sender is told when no answer came.
func (m *message) lost() error {
	if m.ledger && mutating[m.call.Method] {
		return fmt.Errorf("%s: %w", m.call.Method, allocator.ErrOutcomeUnknown)
	}
	return fmt.Errorf("%s: %w", m.call.Method, allocator.ErrUnavailable)
}

// clientTimeout is when the clients of Redis and of the ledger give up by themselves.
const clientTimeout = 4 * time.Second

// carrier is a server's way into the network.
func (n *network) carrier(from *server, ledger bool) faults.Carrier {
	return func(ctx context.Context, call faults.Call) (any, error) {
		if from.isDead() {
			return nil, errDead
		}
		ctx, cancel := context.WithTimeout(ctx, clientTimeout-n.tick())
		defer cancel()
		m := &message{from: from, ledger: ledger, call: call, ctx: ctx, shard: -1, answer: make(chan verdict, 1)}
		if !ledger && len(call.Args) > 0 {
			m.shard, _ = call.Args[0].(int)
		}
		n.add(m)
		select {
		case v := <-m.answer:
			return v.value, v.err
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (%w)", m.lost(), ctx.Err())
		case <-from.gone:
			return nil, errDead
		}
	}
}

// tick is a nanosecond more each time, so that no two messages are given up at the same instant.
func (n *network) tick() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ticks++
	return n.ticks
}

func (n *network) add(m *message) {
	n.mu.Lock()
	n.fresh = append(n.fresh, m)
	n.mu.Unlock()
	select {
	case n.arrived <- struct{}{}:
	default:
	}
}

// gather puts what has come in order behind what is there. Messages that came together are ordered by what they say, so
// that it does not matter which goroutine was faster.
func (n *network) gather(note func(*message)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.arrived:
	default:
	}
	slices.SortStableFunc(n.fresh, compareMessages)
	for _, m := range n.fresh {
		note(m)
	}
	n.pending = append(n.pending, n.fresh...)
	n.fresh = n.fresh[:0]
}

func compareMessages(a, b *message) int {
	if c := cmp.Or(cmp.Compare(a.from.number, b.from.number), cmp.Compare(a.call.Method, b.call.Method), cmp.Compare(a.shard, b.shard)); c != 0 {
		return c
	}
	return cmp.Compare(a.content(), b.content())
}

// content is what a message says, as text.
func (m *message) content() string {
	if m.order == "" {
		text, err := json.Marshal(m.call.Args)
		if err != nil {
			text = []byte(err.Error())
		}
		m.order = string(text)
	}
	return m.order
}

// take removes a message.
func (n *network) take(m *message) {
	if i := slices.Index(n.pending, m); i >= 0 {
		n.pending = slices.Delete(n.pending, i, i+1)
	}
}

// late puts a message back that nobody waits for any more.
func (n *network) late(m *message) {
	n.pending = append(n.pending, m.ghost())
}

// ghost is a message that nobody waits for any more and that may still arrive.
func (m *message) ghost() *message {
	g := *m
	g.answer = nil
	return &g
}

// orphan makes ghosts of the pending messages whose sender has gone, or drops them, as chance will have it.
func (w *world) orphan(gone func(m *message) bool) {
	kept := w.network.pending[:0]
	for _, m := range w.network.pending {
		if gone(m) {
			if w.random.IntN(2) == 0 {
				continue
			}
			m = m.ghost()
		}
		kept = append(kept, m)
	}
	w.network.pending = kept
}

// abandoned says that a message's sender has gone, though the message may still arrive.
func (m *message) abandoned() bool { return m.answer != nil && m.ctx.Err() != nil }

// carryOut lets a message take effect, and returns its answer.
func (m *message) carryOut() verdict {
	v, err := m.call.Do(context.WithoutCancel(m.ctx))
	return verdict{v, err}
}

// reply gives the sender its answer.
func (m *message) reply(v verdict) {
	if m.answer != nil {
		m.answer <- v
	}
}

// refusedByEpoch says that an inventory answered that the epoch is not its own.
func refusedByEpoch(err error) bool {
	return errors.Is(err, allocator.ErrEpochStale) || errors.Is(err, allocator.ErrIncarnationLost)
}
