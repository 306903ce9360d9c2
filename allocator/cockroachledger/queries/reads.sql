-- Reading bookings.

-- name: SlotRows
SELECT b.booking_key, b.hold_id, b.site_id, b.starts_at, b.length, b.date, b.place, b.service, b.programme, b.dose,
	b.person, b.one_person, b.sealed, b.status, b.version, b.reason, COALESCE(b.replaced_by, 0::INT8), b.recorded_at,
	COALESCE(b.changed_at, b.recorded_at)
FROM bookings b
WHERE b.live AND b.site_id = $1::TEXT AND b.starts_at = $2::INT8 AND b.length = $3::INT2
ORDER BY b.place;

-- name: LiveByDay
-- Live rows of days: each asked for by its date and the span of minutes that a date can cover in any time zone.
SELECT b.booking_key, b.hold_id, b.site_id, b.starts_at, b.length, b.date, b.place, b.service, b.programme, b.dose,
	b.person, b.one_person, b.sealed, b.status, b.version, b.reason, COALESCE(b.replaced_by, 0::INT8), b.recorded_at,
	COALESCE(b.changed_at, b.recorded_at)
FROM unnest($1::TEXT[], $2::INT4[], $3::INT8[], $4::INT8[]) AS q(site_id, date, first, last)
JOIN bookings b ON b.live AND b.site_id = q.site_id AND b.starts_at BETWEEN q.first AND q.last AND b.date = q.date;

-- name: CancelledByDay
SELECT b.booking_key, b.hold_id, b.site_id, b.starts_at, b.length, b.date, b.place, b.service, b.programme, b.dose,
	b.person, b.one_person, b.sealed, b.status, b.version, b.reason, COALESCE(b.replaced_by, 0::INT8), b.recorded_at,
	COALESCE(b.changed_at, b.recorded_at)
FROM bookings b
WHERE b.status = 'cancelled' AND b.site_id = $1::TEXT AND b.starts_at BETWEEN $3::INT8 AND $4::INT8 AND b.date = $2::INT4;

-- name: LiveBySite
SELECT b.booking_key, b.hold_id, b.site_id, b.starts_at, b.length, b.date, b.place, b.service, b.programme, b.dose,
	b.person, b.one_person, b.sealed, b.status, b.version, b.reason, COALESCE(b.replaced_by, 0::INT8), b.recorded_at,
	COALESCE(b.changed_at, b.recorded_at)
FROM bookings b
WHERE b.live AND b.site_id = $1::TEXT AND b.starts_at >= $2::INT8
ORDER BY b.starts_at, b.length, b.place;

-- name: LivePlaces
SELECT q.n, b.place, b.service, b.hold_id
FROM unnest($1::TEXT[], $2::INT8[], $3::INT2[], $4::INT4[], $5::INT4[])
	WITH ORDINALITY AS q(site_id, starts_at, length, first, last, n)
JOIN bookings b ON b.live AND b.site_id = q.site_id AND b.starts_at = q.starts_at AND b.length = q.length
	AND b.place BETWEEN q.first AND q.last;

-- name: EndedSince
SELECT b.hold_id, b.status, b.reason, b.siblings, b.booking_key
FROM bookings b
WHERE NOT b.live AND b.site_id = $1::TEXT AND b.changed_at >= $2::TIMESTAMPTZ
ORDER BY b.booking_key;

-- name: LiveHolds
SELECT b.hold_id FROM bookings b WHERE b.booking_key = ANY ($1::INT8[]) AND b.live;

-- name: RevisionsFrom
SELECT d.date, d.revision FROM days d WHERE d.site_id = $1::TEXT AND d.date >= $2::INT4;

-- name: Generations
SELECT s.site_id, s.generation FROM sites s WHERE s.generation > 0;

-- name: ChangedDays
SELECT d.site_id, d.date, d.revision
FROM unnest($1::INT8[]) AS q(bucket) JOIN days d ON d.date % 16 = q.bucket AND d.changed_at >= $2::TIMESTAMPTZ;

-- name: EndedClaims
SELECT b.site_id, b.starts_at, b.length, b.hold_id
FROM unnest($1::INT8[]) AS q(bucket)
JOIN bookings b ON NOT b.live AND b.booking_key % 16 = q.bucket AND b.changed_at >= $2::TIMESTAMPTZ;
