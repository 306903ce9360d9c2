package cockroachledger

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/allocator/allocatortest/servers"
)

// fill makes tables so large that a sequential scan would be the wrong plan, without going through the ledger.
var fill = []string{
	`INSERT INTO sites (site_id, version, time_zone, changed_by, details, generation)
		SELECT 'S' || i, 1, 'UTC', 'test', '{}', CASE WHEN i % 50 = 0 THEN 1 ELSE 0 END FROM generate_series(0, 2999) i`,
	`INSERT INTO days (site_id, date, revision, changed_at, sessions)
		SELECT 'S' || i, d, 1, now(), '[]' FROM generate_series(0, 2999) i, generate_series(20980, 20989) d`,
	`INSERT INTO plans (site_id, version, due, document) SELECT 'S' || i, 1, i, '{}' FROM generate_series(0, 2999) i`,
	`INSERT INTO shard_epochs (shard, epoch, identity) SELECT s, e, 'i' || e FROM generate_series(0, 63) s, generate_series(1, 20) e`,
	`INSERT INTO services (service, version, changed_by, details) SELECT 'X:' || i, 1, 'test', '{}' FROM generate_series(1, 200) i`,
	`INSERT INTO bookings (booking_key, starts_at, date, place, dose, version, length, one_person, hold_id, site_id, service,
		programme, status, reason, person, changed_at, sealed)
		SELECT i * 7919, 20980 * 1440 + (i % 480), 20980, i, 1, 1, 10, true, decode(lpad(to_hex(i), 36, '0'), 'hex'),
			'S' || i % 3000, 'X:1', 'X', CASE i % 20 WHEN 0 THEN 'cancelled' WHEN 1 THEN 'void' ELSE 'booked' END, '',
			decode(lpad(to_hex(i), 32, '0'), 'hex'), CASE WHEN i % 20 < 2 THEN now() - i * interval '1 second' END,
			decode(lpad(to_hex(i), 300, '0'), 'hex')
		FROM generate_series(1, 60000) i`,
	`INSERT INTO journal (id, bucket, seq, events, keys, actors, recorded_at)
		SELECT gen_random_uuid(), i % 16, CASE WHEN i <= 20000 THEN i END, 1, ARRAY[i * 7919], ARRAY['a'], now() + i * interval '1 ms'
		FROM generate_series(1, 21000) i`,
	`INSERT INTO webhooks (webhook_id, version, details) SELECT 'w' || i, 1, '{}' FROM generate_series(1, 3000) i`,
	`INSERT INTO trail (seq, event, happened_at, action, actor, request, site_id, booking_key, starts_at, length, date, service, status,
		version, reason, revision, digest, previous, hash)
		SELECT i, i, now() + i * interval '1 s', 'booking.booked', 'a' || i % 500, '', 'S' || i % 3000, i * 7919, 0, 10, 0, 'X:1', 'booked',
			1, '', 0, h, h, h FROM generate_series(1, 30000) i, decode(repeat('00', 32), 'hex') h`,
	`ANALYZE`,
}

// TestPlans asks PostgreSQL how it would run each query of the hot path and of the loops that run all the time, with the
// planner's own choice of scans, and fails on a sequential scan of a table.
func TestPlans(t *testing.T) {
	l, err := Open(t.Context(), servers.Postgres(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if err := l.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := l.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for _, statement := range append(fill, "SET enable_seqscan = on") {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	pinned := []any{
		[]int32{0}, []string{"S1"}, []int32{20980}, []int64{1}, []int64{1}, []int64{20}, []int64{0},
		[]int32{0}, []int32{0}, []int64{5}, [][]byte{make([]byte, 18)}, []string{"S1"}, []int64{5}, []int16{10}, []int32{20980},
		[]int32{1}, []string{"X:1"}, []string{"X"}, []int32{1}, [][]byte{make([]byte, 16)}, []bool{true}, [][]byte{nil},
		[][]byte{nil}, []string{"a"}, [16]byte{1}, int64(1),
	}
	past := time.Time{}
	now, buckets := time.Now(), []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	site, one, day, at, length := []string{"S1"}, []int64{7919}, []int32{20980}, []int64{20980 * 1440}, []int16{10}
	for name, query := range map[string]struct {
		text string
		args []any
	}{
		"RecordPinned": {l.q.RecordPinned, pinned}, "RecordPinnedChecked": {l.q.RecordPinnedChecked, pinned},
		"RowsByKey": {l.q.RowsByKey, []any{one}}, "RowForUpdate": {l.q.RowForUpdate, []any{int64(7919)}},
		"LiveByPerson":      {l.q.LiveByPerson, []any{[][]byte{make([]byte, 16)}, []string{"X"}, []int32{1}}},
		"LiveBySlot":        {l.q.LiveBySlot, []any{site, at, length}},
		"LiveByPlace":       {l.q.LiveByPlace, []any{site, at, length, day}},
		"SiteFacts":         {l.q.SiteFacts, []any{site}},
		"EpochsOf":          {l.q.EpochsOf, []any{one}},
		"RevisionsOf":       {l.q.RevisionsOf, []any{site, day}},
		"DaysByID":          {l.q.DaysByID, []any{site, day}},
		"DaysForUpdate":     {l.q.DaysForUpdate, []any{site, day}},
		"SiteDaysForUpdate": {l.q.SiteDaysForUpdate, []any{"S1", int32(20980)}},
		"SiteDetails":       {l.q.SiteDetails, []any{site}},
		"UpdateBookings":    {l.q.UpdateBookings, []any{one, []string{"booked"}, day, []string{""}, one, now}},
		"SlotRows":          {l.q.SlotRows, []any{"S1", int64(20980 * 1440), int16(10)}},
		"LiveByDay":         {l.q.LiveByDay, []any{site, day, at, []int64{20981 * 1440}}},
		"CancelledByDay":    {l.q.CancelledByDay, []any{"S20", int32(20980), int64(20980 * 1440), int64(20981 * 1440)}},
		"LiveBySite":        {l.q.LiveBySite, []any{"S1", int64(20980 * 1440)}},
		"EndedSince":        {l.q.EndedSince, []any{"S20", now}},
		"LiveHolds":         {l.q.LiveHolds, []any{one}},
		"RevisionsFrom":     {l.q.RevisionsFrom, []any{"S1", int32(20985)}},
		"Generations":       {l.q.Generations, nil},
		"ChangedDays":       {l.q.ChangedDays, []any{buckets, now}},
		"EndedClaims":       {l.q.EndedClaims, []any{buckets, now}},
		"LivePlaces":        {l.q.LivePlaces, []any{[]string{"S1"}, []int64{20980 * 1440}, []int16{10}, []int32{0}, []int32{1023}}},
		"Day":               {l.q.Day, []any{"S1", int32(20980)}},
		"Days":              {l.q.Days, []any{"S1", int32(0), int32(20980), int64(100)}},
		"Sites":             {l.q.Sites, []any{"S1", int64(100)}},
		"BookingFor":        {l.q.BookingFor, []any{int64(7919), true, "chain-1"}},
		"PersonBookings":    {l.q.PersonBookings, []any{make([]byte, 16), int64(10)}},
		"Payloads":          {l.q.Payloads, []any{int64(7919), int64(100)}},
		"Reseal":            {l.q.Reseal, []any{one, [][]byte{nil}, [][]byte{{1}}, []bool{true}}},
		"Unsequenced":       {l.q.Unsequenced, []any{buckets, int64(256)}},
		"LastSeq":           {l.q.LastSeq, nil},
		"Sequence":          {l.q.Sequence, []any{[][16]byte{{1}}, one}},
		"JournalAfter":      {l.q.JournalAfter, []any{int64(19_900), int64(40_000), int64(100)}},
		"Webhook":           {l.q.Webhook, []any{"w1"}},
		"Webhooks":          {l.q.Webhooks, []any{"w1", int64(100)}},
		"AppendTrail": {l.q.AppendTrail, []any{
			one, one, []time.Time{now}, site, site, site, site, one, one, length, day, site, site, day, site, one,
			[][]byte{make([]byte, 32)}, [][]byte{make([]byte, 32)}, [][]byte{make([]byte, 32)}, [][]byte{nil}, int64(30_000),
		}},
		"TrailEnd":       {l.q.TrailEnd, nil},
		"Trail":          {l.q.Trail, []any{int64(29_000), past, now.AddDate(1, 0, 0), "", int64(0), "", int64(100)}},
		"TrailOfSite":    {l.q.TrailOfSite, []any{int64(0), past, now.AddDate(1, 0, 0), "S1", int64(0), "", int64(100)}},
		"TrailOfBooking": {l.q.TrailOfBooking, []any{int64(0), past, now.AddDate(1, 0, 0), "", int64(7919), "", int64(100)}},
		"TrailOfActor":   {l.q.TrailOfActor, []any{int64(0), past, now.AddDate(1, 0, 0), "", int64(0), "a1", int64(100)}},
		"SitePlan":       {l.q.SitePlan, []any{"S1"}},
		"PlanForUpdate":  {l.q.PlanForUpdate, []any{"S1"}},
		"DuePlans":       {l.q.DuePlans, []any{int64(5), "S1", int64(100)}},
		"PlanVersions":   {l.q.PlanVersions, []any{site}},
	} {
		plan := explain(t, conn.Conn(), query.text, query.args)
		if strings.Contains(plan, "Seq Scan on") {
			t.Errorf("%s scans a whole table:\n%s", name, plan)
		}
		if name == "Unsequenced" && !strings.Contains(plan, "journal_unsequenced") {
			t.Errorf("%s does not use its index:\n%s", name, plan)
		}
	}
}

func explain(t *testing.T, conn *pgx.Conn, query string, args []any) string {
	t.Helper()
	rows, err := conn.Query(t.Context(), "EXPLAIN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(fmt.Errorf("%w: %s", err, query))
	}
	return strings.Join(lines, "\n")
}
