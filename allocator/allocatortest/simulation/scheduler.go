package simulation

import (
	"slices"
	"testing/synctest"
	"time"
)

// fate is what becomes of a message.
type fate int

const (
	arrives fate = iota
	isLost
	answerLost // the sender is told at once
	answerGone // the sender hears nothing, and gives up in its own time
	arrivesTwice
	arrivesLate // the sender is told at once that it failed
	killsBefore // its server dies before it leaves
	killsAfter  // its server dies before the answer comes
	fates
)

var fateNames = [fates]string{
	"arrives", "message lost", "answer lost", "answer lost in silence", "message repeated", "message late",
	"server crash before ", "server crash after ",
}

// step is one step of the schedule, in the time of trouble.
func (w *world) step() {
	synctest.Wait()
	w.network.gather(w.sent)
	w.steps++
	if w.random.IntN(w.mix.troubleEvery) == 0 {
		w.trouble(w.mix.troubles.pick(w.random))
		return
	}
	ready := w.deliverable()
	switch busy := w.underWay() >= w.mix.citizens; {
	case !busy && w.random.IntN(6) == 0:
		w.newCitizen()
	case len(ready) > 0 && w.random.IntN(100) < w.mix.hurry:
		m := ready[0]
		if w.random.IntN(100) < w.mix.reorder {
			m = ready[w.random.IntN(len(ready))]
		}
		w.deliver(m, w.mix.fates.pick(w.random))
	case len(ready) > 0:
		w.pass(time.Duration(1 + w.random.IntN(20_000_000)))
	default:
		w.pass(time.Duration(1 + w.random.IntN(1_500_000_000)))
	}
}

// pass lets time pass, up to d or until a message is sent.
func (w *world) pass(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-w.network.arrived:
		w.note("a message is sent")
	case <-timer.C:
		w.note("%v pass", d)
	}
}

// deliverable are the messages whose way is open, oldest first. Those that their senders gave up are late from now on, or
// gone.
func (w *world) deliverable() []*message {
	w.orphan((*message).abandoned)
	var ready []*message
	for _, m := range w.network.pending {
		if w.reaches(m) {
			ready = append(ready, m)
		}
	}
	return ready
}

// reaches says whether a message can arrive now.
func (w *world) reaches(m *message) bool {
	if m.ledger {
		return !w.ledgDown && !m.from.cutLedger
	}
	return !m.from.cutRedis && (!w.redisDown || m.from.redis.node != w.primary)
}

// deliver lets a message meet its fate.
func (w *world) deliver(m *message, f fate) {
	w.network.take(m)
	if m.answer == nil {
		f = arrives
	}
	w.note("%v %s", m, fateNames[f])
	w.stir(m.call.Method, int64(m.from.number), int64(m.shard), int64(f))
	if f != arrives && f < killsBefore {
		w.fault(fateNames[f])
	}
	switch f {
	case arrives:
		w.arrive(m)
	case isLost:
		m.reply(verdict{err: m.lost()})
	case answerLost:
		w.effect(m)
		w.unheard(m)
		m.reply(verdict{err: m.lost()})
	case answerGone:
		w.effect(m)
		w.unheard(m)
	case arrivesTwice:
		w.arrive(m)
		w.network.late(m)
	case arrivesLate:
		w.unheard(m)
		m.reply(verdict{err: m.lost()})
		w.network.late(m)
	case killsBefore:
		w.fault(fateNames[f] + m.call.Method)
		w.crash(m.from)
	case killsAfter:
		w.fault(fateNames[f] + m.call.Method)
		w.effect(m)
		w.unheard(m)
		w.crash(m.from)
	}
}

func (w *world) arrive(m *message) { m.reply(w.effect(m)) }

// effect carries a message out and looks at what it did.
func (w *world) effect(m *message) verdict {
	if !m.ledger && m.from.redis.node == w.old && w.old != nil {
		w.fault("old primary asked")
	}
	v := m.carryOut()
	w.witness(m, v)
	w.note("  %v", v.err)
	return v
}

func (w *world) underWay() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.active
}

// calm delivers everything in order for a while: nothing goes wrong.
func (w *world) calm(d time.Duration) {
	for until := time.Now().Add(d); time.Now().Before(until); {
		synctest.Wait()
		w.network.gather(w.sent)
		if len(w.network.pending) == 0 {
			w.pass(time.Until(until))
			continue
		}
		w.steps++
		m := w.network.pending[0]
		if m.abandoned() {
			m = &message{from: m.from, ledger: m.ledger, call: m.call, ctx: m.ctx, shard: m.shard}
			w.network.pending[0] = m
		}
		w.deliver(m, arrives)
	}
}

// heal ends all trouble.
func (w *world) heal() {
	w.note("healed")
	w.redisDown, w.ledgDown, w.old = false, false, nil
	for _, sv := range w.servers {
		sv.cutRedis, sv.cutLedger = false, false
		w.connect(sv, w.primary)
	}
	w.lookForSplit()
}

// settle waits for citizens to finish and for inventory and ledger to agree, and tells how long that took.
func (w *world) settle() time.Duration {
	const patience, look = 60 * time.Second, 4 * time.Second
	began := time.Now()
	var differs []string
	for time.Since(began) < patience+w.mix.limits.HoldLength {
		w.calm(look)
		if w.underWay() > 0 {
			differs = []string{"citizens still wait for a definite answer"}
			continue
		}
		if differs = w.differences(); len(differs) == 0 {
			return time.Since(began)
		}
	}
	for _, text := range slices.Compact(differs) {
		w.broken("not within %v: %s", patience, text)
	}
	return time.Since(began)
}

func (w *world) sent(m *message) {
	if w.trace != nil {
		w.note("  sent: %v %s", m, m.content())
	}
}
