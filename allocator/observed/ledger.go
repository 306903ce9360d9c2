package observed

import (
	"context"
	"time"

	"muster/allocator"
)

type ledger struct {
	next allocator.Ledger
	port *port
}

// Ledger gives a ledger that answers exactly as next does, and measures it.
func (m *Metrics) Ledger(next allocator.Ledger) allocator.Ledger {
	return &ledger{next: next, port: m.ledger}
}

func (l *ledger) Check(ctx context.Context) error {
	c := l.port.begin("Check")
	err := l.next.Check(ctx)
	c.end(err)
	return err
}

func (l *ledger) Agree(ctx context.Context, name string, candidate []byte) ([]byte, error) {
	c := l.port.begin("Agree")
	agreed, err := l.next.Agree(ctx, name, candidate)
	c.end(err)
	return agreed, err
}

func (l *ledger) Amend(ctx context.Context, name string, was, now []byte) ([]byte, error) {
	c := l.port.begin("Amend")
	amended, err := l.next.Amend(ctx, name, was, now)
	c.end(err)
	return amended, err
}

func (l *ledger) Epochs(ctx context.Context) (map[int]allocator.ShardEpoch, error) {
	c := l.port.begin("Epochs")
	epochs, err := l.next.Epochs(ctx)
	c.end(err)
	return epochs, err
}

func (l *ledger) OpenEpoch(ctx context.Context, shard int, expected int64, identity string) (allocator.ShardEpoch, bool, error) {
	c := l.port.begin("OpenEpoch")
	epoch, won, err := l.next.OpenEpoch(ctx, shard, expected, identity)
	c.end(err)
	return epoch, won, err
}

func (l *ledger) PutSite(ctx context.Context, site allocator.Site, actor string) (bool, error) {
	c := l.port.begin("PutSite")
	created, err := l.next.PutSite(ctx, site, actor)
	c.end(err)
	return created, err
}

func (l *ledger) PutOwnSite(ctx context.Context, site allocator.Site, actor string) (bool, error) {
	c := l.port.begin("PutOwnSite")
	created, err := l.next.PutOwnSite(ctx, site, actor)
	c.end(err)
	return created, err
}

func (l *ledger) Suspend(ctx context.Context, change allocator.SuspensionChange) (allocator.SuspensionResult, error) {
	c := l.port.begin("Suspend")
	result, err := l.next.Suspend(ctx, change)
	c.end(err)
	return result, err
}

func (l *ledger) PutService(ctx context.Context, service allocator.Service, actor string) (bool, error) {
	c := l.port.begin("PutService")
	created, err := l.next.PutService(ctx, service, actor)
	c.end(err)
	return created, err
}

func (l *ledger) PutPlan(ctx context.Context, plan allocator.SitePlan) (bool, error) {
	c := l.port.begin("PutPlan")
	stored, err := l.next.PutPlan(ctx, plan)
	c.end(err)
	return stored, err
}

func (l *ledger) Publish(ctx context.Context, changes []allocator.DayChange) ([]allocator.PublishResult, error) {
	c := l.port.beginBatch("Publish", len(changes))
	results, err := l.next.Publish(ctx, changes)
	c.end(err)
	tally(c, publishOutcomes, results, err, func(r *allocator.PublishResult) allocator.PublishOutcome { return r.Outcome })
	return results, err
}

func recorded(r *allocator.RecordResult) allocator.RecordOutcome { return r.Outcome }

func (l *ledger) Record(ctx context.Context, items []allocator.Recording) ([]allocator.RecordResult, error) {
	c := l.port.beginBatch("Record", len(items))
	results, err := l.next.Record(ctx, items)
	c.end(err)
	tally(c, recordOutcomes, results, err, recorded)
	return results, err
}

func (l *ledger) Void(ctx context.Context, items []allocator.Voiding) ([]allocator.RecordResult, error) {
	c := l.port.beginBatch("Void", len(items))
	results, err := l.next.Void(ctx, items)
	c.end(err)
	tally(c, recordOutcomes, results, err, recorded)
	return results, err
}

func (l *ledger) Transition(ctx context.Context, t allocator.Transition) (allocator.TransitionResult, error) {
	c := l.port.begin("Transition")
	result, err := l.next.Transition(ctx, t)
	c.end(err)
	var state int8
	switch {
	case result.Changed:
		state = 3
	case result.Refused:
		state = 1
	case result.Found:
		state = 2
	}
	one(c, transitionStates, state, err)
	return result, err
}

func (l *ledger) Events(ctx context.Context, after string, limit int) ([]allocator.Event, string, error) {
	c := l.port.begin("Events")
	events, next, err := l.next.Events(ctx, after, limit)
	c.end(err)
	return events, next, err
}

func (l *ledger) AppendTrail(ctx context.Context, after int64, entries []allocator.TrailEntry) (bool, error) {
	c := l.port.beginBatch("AppendTrail", len(entries))
	appended, err := l.next.AppendTrail(ctx, after, entries)
	c.end(err)
	return appended, err
}

func (l *ledger) Trail(ctx context.Context, q allocator.TrailQuery) ([]allocator.TrailEntry, error) {
	c := l.port.begin("Trail")
	entries, err := l.next.Trail(ctx, q)
	c.end(err)
	return entries, err
}

func (l *ledger) TrailEnd(ctx context.Context) (allocator.TrailEntry, error) {
	c := l.port.begin("TrailEnd")
	end, err := l.next.TrailEnd(ctx)
	c.end(err)
	return end, err
}

func (l *ledger) Now(ctx context.Context) (time.Time, error) {
	c := l.port.begin("Now")
	now, err := l.next.Now(ctx)
	c.end(err)
	return now, err
}

func (l *ledger) LastEvent(ctx context.Context) (string, error) {
	c := l.port.begin("LastEvent")
	cursor, err := l.next.LastEvent(ctx)
	c.end(err)
	return cursor, err
}

func (l *ledger) SwapWebhook(ctx context.Context, next allocator.WebhookRow) (bool, error) {
	c := l.port.begin("SwapWebhook")
	done, err := l.next.SwapWebhook(ctx, next)
	c.end(err)
	return done, err
}

func (l *ledger) Close() error { return l.next.Close() }
