-- People's details: who may read them, and their upkeep.

-- name: BookingFor
-- A row that is not void, for anyone, or for the publisher of its site only; nobody is the publisher "".
SELECT b.booking_key, b.hold_id, b.site_id, b.starts_at, b.length, b.date, b.place, b.service, b.programme, b.dose,
	b.person, b.one_person, b.sealed, b.status, b.version, b.reason, COALESCE(b.replaced_by, 0::INT8), b.recorded_at,
	COALESCE(b.changed_at, b.recorded_at)
FROM bookings b
WHERE b.booking_key = $1::INT8 AND b.status <> 'void' AND (NOT $2::BOOL OR (SELECT s.site_id FROM sites s
	WHERE s.site_id = b.site_id AND (s.details::JSONB ->> 'publisher') = NULLIF($3::TEXT, '')) IS NOT NULL);

-- name: PersonBookings
-- From the three indexes that have persons: of live rows that are one per person, of other live rows, and of ended ones.
WITH own AS (
	SELECT o.booking_key FROM bookings o WHERE o.person = $1::BYTEA AND o.person IS NOT NULL AND o.live AND o.one_person
	UNION ALL
	SELECT o.booking_key FROM bookings o WHERE o.person = $1::BYTEA AND o.person IS NOT NULL AND o.live AND NOT o.one_person
	UNION ALL
	SELECT o.booking_key FROM bookings o WHERE o.person = $1::BYTEA AND o.person IS NOT NULL AND NOT o.live
)
SELECT b.booking_key, b.hold_id, b.site_id, b.starts_at, b.length, b.date, b.place, b.service, b.programme, b.dose,
	b.person, b.one_person, b.sealed, b.status, b.version, b.reason, COALESCE(b.replaced_by, 0::INT8), b.recorded_at,
	COALESCE(b.changed_at, b.recorded_at)
FROM own JOIN bookings b ON b.booking_key = own.booking_key
ORDER BY b.booking_key LIMIT $2::INT8;

-- name: Payloads
SELECT b.booking_key, b.date, b.status, b.sealed FROM bookings b
WHERE b.booking_key > $1::INT8 AND b.sealed IS NOT NULL
ORDER BY b.booking_key LIMIT $2::INT8;

-- name: Reseal
-- Where a payload is no longer what was read, it stays.
UPDATE bookings SET sealed = u.fresh, person = CASE WHEN u.nobody THEN NULL ELSE bookings.person END
FROM unnest($1::INT8[], $2::BYTEA[], $3::BYTEA[], $4::BOOL[]) AS u(booking_key, was, fresh, nobody)
WHERE bookings.booking_key = u.booking_key AND bookings.sealed IS NOT DISTINCT FROM u.was;
