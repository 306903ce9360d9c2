package simulation

import (
	"context"
	"fmt"
	"time"

	"muster/allocator/allocatortest/checkers"
)

// trouble is what can go wrong besides messages.
type trouble int

const (
	nothing trouble = iota
	redisRestarts
	redisFlushed
	redisFailsOver
	redisFailsBack
	redisGoesDown
	ledgerGoesDown
	serverCrashes
	redisCut
	ledgerCut
	allMended
	republished
	siteRebuilt
	copied // the replica, or what is on disk, catches up
	reconnected
	troubles
)

// trouble lets one thing go wrong, or right again.
func (w *world) trouble(t trouble) {
	defer w.lookForSplit()
	sv := w.servers[w.random.IntN(len(w.servers))]
	switch t {
	case redisRestarts:
		w.restart()
	case redisFlushed:
		w.troubled("redis flushed")
		w.primary.flush()
		w.lost()
	case redisFailsOver:
		w.failOver()
	case redisFailsBack:
		w.failBack()
	case redisGoesDown:
		w.troubled("redis down")
		w.redisDown = true
	case ledgerGoesDown:
		w.troubled("ledger down")
		w.ledgDown = true
	case serverCrashes:
		w.troubled("server crash")
		w.crash(sv)
	case redisCut:
		w.troubled("server cut off from redis")
		sv.cutRedis = true
	case ledgerCut:
		w.troubled("server cut off from the ledger")
		sv.cutLedger = true
	case allMended:
		w.note("mended")
		w.redisDown, w.ledgDown = false, false
		for _, sv := range w.servers {
			sv.cutRedis, sv.cutLedger = false, false
		}
	case republished:
		w.newPublisher()
	case siteRebuilt:
		w.troubled("site rebuilt by hand")
		site := w.sites[w.random.IntN(len(w.sites))]
		for _, sv := range w.servers {
			if sv.started.Load() && w.random.IntN(2) == 0 {
				go func() { _ = sv.a.RebuildSite(context.Background(), site) }()
			}
		}
	case copied:
		w.copy()
	case reconnected:
		w.connect(sv, w.primary)
	}
}

func (w *world) troubled(name string) {
	w.note("%s", name)
	w.fault(name)
}

// lost notes that the inventory lost something that it had acknowledged.
func (w *world) lost() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.losses = append(w.losses, time.Now().UnixNano())
}

// copy lets the replica catch up.
func (w *world) copy() {
	w.note("copied")
	if w.replica == nil {
		n, err := w.newNode()
		if err != nil {
			w.broken("%v", err)
			return
		}
		w.replica = n
	}
	if err := w.primary.copyTo(w.replica); err != nil {
		w.broken("%v", err)
	}
}

// become makes a new process hold some of the primary's data: all, those of the last copy, or none.
func (w *world) become(name string) *node {
	n, err := w.newNode()
	if err != nil {
		w.broken("%v", err)
		return nil
	}
	from := w.primary
	switch kind := w.random.IntN(3); {
	case kind == 0 && w.replica != nil:
		from = w.replica
		w.troubled(name + " with writes lost")
		w.lost()
	case kind == 1:
		w.troubled(name + " empty")
		w.lost()
		return n
	default:
		w.troubled(name + " with all its data")
	}
	if err := from.copyTo(n); err != nil {
		w.broken("%v", err)
	}
	return n
}

// restart replaces the primary's process by a new one.
func (w *world) restart() {
	n := w.become("redis restarts")
	if n == nil {
		return
	}
	before := w.primary
	w.primary = n
	for _, sv := range w.servers {
		if sv.redis.node == before {
			w.connect(sv, n)
		}
	}
}

// failOver promotes a replica. The old primary is isolated, but servers that are connected to it go on using it until they
// reconnect.
func (w *world) failOver() {
	n := w.become("redis fails over")
	if n == nil {
		return
	}
	w.old, w.primary = w.primary, n
	for _, sv := range w.servers {
		if w.random.IntN(2) == 0 {
			w.connect(sv, n)
		}
	}
}

// failBack promotes the old primary again, after it had followed the new one: another replication, but its run_id, its
// scripts and the connections of those that never left it.
func (w *world) failBack() {
	if w.old == nil {
		return
	}
	from := w.primary
	if w.replica != nil && w.random.IntN(2) == 0 {
		from = w.replica
	}
	w.troubled("redis fails back")
	w.lost()
	if err := from.copyTo(w.old); err != nil {
		w.broken("%v", err)
	}
	w.promotions++
	w.old.replID = fmt.Sprintf("promotion%d", w.promotions)
	w.old, w.primary = w.primary, w.old
	for _, sv := range w.servers {
		if w.random.IntN(2) == 0 {
			w.connect(sv, w.primary)
		}
	}
}

// lookForSplit notes from when until when servers used more than one primary.
func (w *world) lookForSplit() {
	apart := false
	for _, sv := range w.servers {
		apart = apart || sv.redis.node != w.primary
	}
	switch now := time.Now().UnixNano(); {
	case apart && w.split == 0:
		w.split = now
	case !apart && w.split != 0:
		w.splits = append(w.splits, checkers.Span{From: w.split, To: now})
		w.split = 0
	}
}

// connect makes a server use another node, on new connections, each of which the client checks.
func (w *world) connect(sv *server, n *node) {
	if sv.redis.node == n {
		return
	}
	w.note("%s connects to node %s", sv.name, n.runID)
	sv.redis.node = n
	_, _ = sv.inventory.Identity(context.Background(), 0) // what the client asks each new connection
}
