-- Recording. See record.go for the order of these statements.

-- name: RecordPinned
-- Records every request whose pins are proven, in one statement with its journal row, and answers the clock and the
-- requests that it left alone. Facts ($1 … $7) are what pins claim of the ledger; passed are epochs that are not current; the
-- rest are claims, each with the number of its request. A request is left alone from the first stale fact of its site on, so that order is kept.
-- A claim that conflicts with a row fails the statement by a unique index.
WITH claim AS (
	SELECT c.item, c.fact, c.booking_key, c.hold_id, c.site_id, c.starts_at, c.length, c.date, c.place, c.service,
		c.programme, c.dose, c.person, c.one_person, c.sealed, c.siblings, c.actor
	FROM unnest($8::INT4[], $9::INT4[], $10::INT8[], $11::BYTEA[], $12::TEXT[], $13::INT8[], $14::INT2[], $15::INT4[],
		$16::INT4[], $17::TEXT[], $18::TEXT[], $19::INT4[], $20::BYTEA[], $21::BOOL[], $22::BYTEA[], $23::BYTEA[],
		$24::TEXT[])
	AS c(item, fact, booking_key, hold_id, site_id, starts_at, length, date, place, service,
		programme, dose, person, one_person, sealed, siblings, actor)
), passed AS (
	SELECT p.shard, p.epoch
	FROM (SELECT DISTINCT f.shard, f.epoch FROM unnest($5::INT8[], $6::INT8[]) AS f(shard, epoch)) p
	WHERE COALESCE((SELECT max(e.epoch) FROM shard_epochs e WHERE e.shard = p.shard), 0::INT8) <> p.epoch
), stale AS (
	SELECT f.fact, f.site_id
	FROM unnest($1::INT4[], $2::TEXT[], $3::INT4[], $4::INT8[], $5::INT8[], $6::INT8[], $7::INT8[])
		AS f(fact, site_id, date, revision, shard, epoch, generation)
	WHERE (SELECT d.revision FROM days d WHERE d.site_id = f.site_id AND d.date = f.date) IS DISTINCT FROM f.revision
		OR (SELECT s.generation FROM sites s WHERE s.site_id = f.site_id) IS DISTINCT FROM f.generation
		OR (f.shard, f.epoch) IN (SELECT p.shard, p.epoch FROM passed p)
), first_stale AS (
	SELECT c.site_id, min(c.item) AS item FROM stale s JOIN claim c ON c.fact = s.fact GROUP BY c.site_id
), refused AS (
	SELECT DISTINCT c.item FROM first_stale s JOIN claim c ON c.site_id = s.site_id AND c.item >= s.item
), good AS (
	SELECT c.* FROM claim c WHERE c.item NOT IN (SELECT r.item FROM refused r)
), recorded AS (
	INSERT INTO bookings (booking_key, hold_id, site_id, starts_at, length, date, place, service, programme, dose, person,
		one_person, sealed, siblings, status, version, reason)
	SELECT g.booking_key, g.hold_id, g.site_id, g.starts_at, g.length, g.date, g.place, g.service, g.programme, g.dose,
		g.person, g.one_person, g.sealed, g.siblings, 'booked', 1, ''
	FROM good g
	RETURNING booking_key
), noted AS (
	INSERT INTO journal (id, bucket, events, keys, actors)
	SELECT $25::UUID, $26::INT8, count(*), array_agg(g.booking_key ORDER BY g.item, g.booking_key),
		array_agg(g.actor ORDER BY g.item, g.booking_key)
	FROM good g HAVING count(*) > 0
	RETURNING id
)
SELECT now(), ARRAY(SELECT r.item FROM refused r);

-- name: RecordPinnedChecked
-- The same, and leaves alone every request of which a claim conflicts with a row: its key is there, its place has a live
-- owner, or its person a live booking. Only a race can fail it by a unique index.
WITH claim AS (
	SELECT c.item, c.fact, c.booking_key, c.hold_id, c.site_id, c.starts_at, c.length, c.date, c.place, c.service,
		c.programme, c.dose, c.person, c.one_person, c.sealed, c.siblings, c.actor
	FROM unnest($8::INT4[], $9::INT4[], $10::INT8[], $11::BYTEA[], $12::TEXT[], $13::INT8[], $14::INT2[], $15::INT4[],
		$16::INT4[], $17::TEXT[], $18::TEXT[], $19::INT4[], $20::BYTEA[], $21::BOOL[], $22::BYTEA[], $23::BYTEA[],
		$24::TEXT[])
	AS c(item, fact, booking_key, hold_id, site_id, starts_at, length, date, place, service,
		programme, dose, person, one_person, sealed, siblings, actor)
), passed AS (
	SELECT p.shard, p.epoch
	FROM (SELECT DISTINCT f.shard, f.epoch FROM unnest($5::INT8[], $6::INT8[]) AS f(shard, epoch)) p
	WHERE COALESCE((SELECT max(e.epoch) FROM shard_epochs e WHERE e.shard = p.shard), 0::INT8) <> p.epoch
), stale AS (
	SELECT f.fact, f.site_id
	FROM unnest($1::INT4[], $2::TEXT[], $3::INT4[], $4::INT8[], $5::INT8[], $6::INT8[], $7::INT8[])
		AS f(fact, site_id, date, revision, shard, epoch, generation)
	WHERE (SELECT d.revision FROM days d WHERE d.site_id = f.site_id AND d.date = f.date) IS DISTINCT FROM f.revision
		OR (SELECT s.generation FROM sites s WHERE s.site_id = f.site_id) IS DISTINCT FROM f.generation
		OR (f.shard, f.epoch) IN (SELECT p.shard, p.epoch FROM passed p)
), first_stale AS (
	SELECT c.site_id, min(c.item) AS item FROM stale s JOIN claim c ON c.fact = s.fact GROUP BY c.site_id
), refused AS (
	SELECT c.item FROM first_stale s JOIN claim c ON c.site_id = s.site_id AND c.item >= s.item
	UNION
	SELECT c.item FROM claim c
	WHERE (SELECT b.booking_key FROM bookings b WHERE b.booking_key = c.booking_key) IS NOT NULL
		OR (SELECT b.booking_key FROM bookings b
			WHERE b.live AND b.site_id = c.site_id AND b.starts_at = c.starts_at AND b.length = c.length
				AND b.place = c.place) IS NOT NULL
		OR (c.one_person AND c.person IS NOT NULL AND (SELECT b.booking_key FROM bookings b
			WHERE b.live AND b.one_person AND b.person = c.person AND b.programme = c.programme
				AND b.dose = c.dose) IS NOT NULL)
), good AS (
	SELECT c.* FROM claim c WHERE c.item NOT IN (SELECT r.item FROM refused r)
), recorded AS (
	INSERT INTO bookings (booking_key, hold_id, site_id, starts_at, length, date, place, service, programme, dose, person,
		one_person, sealed, siblings, status, version, reason)
	SELECT g.booking_key, g.hold_id, g.site_id, g.starts_at, g.length, g.date, g.place, g.service, g.programme, g.dose,
		g.person, g.one_person, g.sealed, g.siblings, 'booked', 1, ''
	FROM good g
	RETURNING booking_key
), noted AS (
	INSERT INTO journal (id, bucket, events, keys, actors)
	SELECT $25::UUID, $26::INT8, count(*), array_agg(g.booking_key ORDER BY g.item, g.booking_key),
		array_agg(g.actor ORDER BY g.item, g.booking_key)
	FROM good g HAVING count(*) > 0
	RETURNING id
)
SELECT now(), ARRAY(SELECT r.item FROM refused r);

-- name: RowsByKey
SELECT b.booking_key, b.hold_id, b.site_id, b.starts_at, b.length, b.date, b.place, b.service, b.programme, b.dose,
	b.person, b.one_person, b.sealed, b.status, b.version, b.reason, COALESCE(b.replaced_by, 0::INT8), b.recorded_at,
	COALESCE(b.changed_at, b.recorded_at)
FROM bookings b WHERE b.booking_key = ANY ($1::INT8[]);

-- name: RowForUpdate
SELECT b.booking_key, b.hold_id, b.site_id, b.starts_at, b.length, b.date, b.place, b.service, b.programme, b.dose,
	b.person, b.one_person, b.sealed, b.status, b.version, b.reason, COALESCE(b.replaced_by, 0::INT8), b.recorded_at,
	COALESCE(b.changed_at, b.recorded_at)
FROM bookings b WHERE b.booking_key = $1::INT8 FOR UPDATE;

-- name: LiveByPerson
SELECT b.person, b.programme, b.dose, b.booking_key
FROM unnest($1::BYTEA[], $2::TEXT[], $3::INT4[]) AS q(person, programme, dose)
JOIN bookings b ON b.live AND b.one_person AND b.person = q.person AND b.programme = q.programme AND b.dose = q.dose;

-- name: LiveBySlot
SELECT b.booking_key, b.hold_id, b.site_id, b.starts_at, b.length, b.place, b.service, b.status
FROM unnest($1::TEXT[], $2::INT8[], $3::INT2[]) AS q(site_id, starts_at, length)
JOIN bookings b ON b.live AND b.site_id = q.site_id AND b.starts_at = q.starts_at AND b.length = q.length;

-- name: LiveByPlace
SELECT b.booking_key, b.hold_id, b.site_id, b.starts_at, b.length, b.place, b.service, b.status
FROM unnest($1::TEXT[], $2::INT8[], $3::INT2[], $4::INT4[]) AS q(site_id, starts_at, length, place)
JOIN bookings b ON b.live AND b.site_id = q.site_id AND b.starts_at = q.starts_at AND b.length = q.length
	AND b.place = q.place;

-- name: RevisionsOf
SELECT d.site_id, d.date, d.revision
FROM unnest($1::TEXT[], $2::INT4[]) AS q(site_id, date)
JOIN days d ON d.site_id = q.site_id AND d.date = q.date;

-- name: SiteFacts
SELECT s.site_id, s.generation, s.time_zone FROM sites s WHERE s.site_id = ANY ($1::TEXT[]);

-- name: EpochsOf
SELECT q.shard, (SELECT max(e.epoch) FROM shard_epochs e WHERE e.shard = q.shard)
FROM unnest($1::INT8[]) AS q(shard);

-- name: InsertBookings
INSERT INTO bookings (booking_key, hold_id, site_id, starts_at, length, date, place, service, programme, dose, person,
	one_person, sealed, siblings, status, version, reason, replaced_by, recorded_at, changed_at)
SELECT c.booking_key, c.hold_id, c.site_id, c.starts_at, c.length, c.date, c.place, c.service, c.programme, c.dose,
	c.person, c.one_person, c.sealed, c.siblings, c.status, c.version, c.reason, NULLIF(c.replaced_by, 0),
	$19::TIMESTAMPTZ, CASE WHEN c.status <> 'booked' THEN $20::TIMESTAMPTZ END
FROM unnest($1::INT8[], $2::BYTEA[], $3::TEXT[], $4::INT8[], $5::INT2[], $6::INT4[], $7::INT4[], $8::TEXT[], $9::TEXT[],
	$10::INT4[], $11::BYTEA[], $12::BOOL[], $13::BYTEA[], $14::BYTEA[], $15::TEXT[], $16::INT4[], $17::TEXT[],
	$18::INT8[])
AS c(booking_key, hold_id, site_id, starts_at, length, date, place, service, programme,
	dose, person, one_person, sealed, siblings, status, version, reason, replaced_by);

-- name: UpdateBookings
-- The version is the second guard: a row that changed since it was read is not overwritten.
UPDATE bookings SET status = u.status, version = u.version, reason = u.reason, replaced_by = NULLIF(u.replaced_by, 0),
	changed_at = $6::TIMESTAMPTZ
FROM unnest($1::INT8[], $2::TEXT[], $3::INT4[], $4::TEXT[], $5::INT8[])
	AS u(booking_key, status, version, reason, replaced_by)
WHERE bookings.booking_key = u.booking_key AND bookings.version = u.version - 1;

-- name: RaiseGenerations
UPDATE sites SET generation = sites.generation + r.by
FROM unnest($1::TEXT[], $2::INT8[]) AS r(site_id, by) WHERE sites.site_id = r.site_id;

-- name: InsertJournal
INSERT INTO journal (id, bucket, events, recorded_at, keys, detail)
VALUES ($1::UUID, $2::INT8, $3::INT8, $4::TIMESTAMPTZ, $5::INT8[], $6::TEXT);

-- name: Now
SELECT now();
