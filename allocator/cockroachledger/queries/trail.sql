-- The audit trail. See trail.go. Queries of it differ in the condition that leads to few rows; all take the same parameters.

-- name: AppendTrail
-- Adds entries where the last one has the expected number, else nothing.
INSERT INTO trail (seq, event, happened_at, action, actor, request, site_id, booking_key, starts_at, length, date, service,
	status, version, reason, revision, digest, previous, hash, seal)
SELECT n.seq, n.event, n.happened_at, n.action, n.actor, n.request, n.site_id, n.booking_key, n.starts_at, n.length, n.date, n.service,
	n.status, n.version, n.reason, n.revision, n.digest, n.previous, n.hash, n.seal
FROM unnest($1::INT8[], $2::INT8[], $3::TIMESTAMPTZ[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::INT8[], $9::INT8[],
	$10::INT2[], $11::INT4[], $12::TEXT[], $13::TEXT[], $14::INT4[], $15::TEXT[], $16::INT8[], $17::BYTEA[], $18::BYTEA[],
	$19::BYTEA[], $20::BYTEA[])
AS n(seq, event, happened_at, action, actor, request, site_id, booking_key, starts_at, length, date, service, status, version,
	reason, revision, digest, previous, hash, seal)
WHERE COALESCE((SELECT max(t.seq) FROM trail t), 0::INT8) = $21::INT8;

-- name: TrailEnd
SELECT t.seq, t.event, t.happened_at, t.action, t.actor, t.request, t.site_id, t.booking_key, t.starts_at, t.length, t.date,
	t.service, t.status, t.version, t.reason, t.revision, t.digest, t.previous, t.hash, t.seal
FROM trail t ORDER BY t.seq DESC LIMIT 1;

-- name: Trail
SELECT t.seq, t.event, t.happened_at, t.action, t.actor, t.request, t.site_id, t.booking_key, t.starts_at, t.length, t.date,
	t.service, t.status, t.version, t.reason, t.revision, t.digest, t.previous, t.hash, t.seal
FROM trail t
WHERE t.seq > $1::INT8 AND t.happened_at >= $2::TIMESTAMPTZ AND t.happened_at < $3::TIMESTAMPTZ
	AND ($4::TEXT = '' OR t.site_id = $4::TEXT) AND ($5::INT8 = 0 OR t.booking_key = $5::INT8) AND ($6::TEXT = '' OR t.actor = $6::TEXT)
ORDER BY t.seq LIMIT $7::INT8;

-- name: TrailOfSite
SELECT t.seq, t.event, t.happened_at, t.action, t.actor, t.request, t.site_id, t.booking_key, t.starts_at, t.length, t.date,
	t.service, t.status, t.version, t.reason, t.revision, t.digest, t.previous, t.hash, t.seal
FROM trail t
WHERE t.seq > $1::INT8 AND t.happened_at >= $2::TIMESTAMPTZ AND t.happened_at < $3::TIMESTAMPTZ
	AND t.site_id = $4::TEXT AND ($5::INT8 = 0 OR t.booking_key = $5::INT8) AND ($6::TEXT = '' OR t.actor = $6::TEXT)
ORDER BY t.seq LIMIT $7::INT8;

-- name: TrailOfBooking
SELECT t.seq, t.event, t.happened_at, t.action, t.actor, t.request, t.site_id, t.booking_key, t.starts_at, t.length, t.date,
	t.service, t.status, t.version, t.reason, t.revision, t.digest, t.previous, t.hash, t.seal
FROM trail t
WHERE t.seq > $1::INT8 AND t.happened_at >= $2::TIMESTAMPTZ AND t.happened_at < $3::TIMESTAMPTZ
	AND t.booking_key = $5::INT8 AND t.booking_key <> 0 AND ($4::TEXT = '' OR t.site_id = $4::TEXT)
	AND ($6::TEXT = '' OR t.actor = $6::TEXT)
ORDER BY t.seq LIMIT $7::INT8;

-- name: TrailOfActor
SELECT t.seq, t.event, t.happened_at, t.action, t.actor, t.request, t.site_id, t.booking_key, t.starts_at, t.length, t.date,
	t.service, t.status, t.version, t.reason, t.revision, t.digest, t.previous, t.hash, t.seal
FROM trail t
WHERE t.seq > $1::INT8 AND t.happened_at >= $2::TIMESTAMPTZ AND t.happened_at < $3::TIMESTAMPTZ
	AND t.actor = $6::TEXT AND ($4::TEXT = '' OR t.site_id = $4::TEXT) AND ($5::INT8 = 0 OR t.booking_key = $5::INT8)
ORDER BY t.seq LIMIT $7::INT8;
