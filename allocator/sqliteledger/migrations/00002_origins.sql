-- +goose Up

-- Recording is what a ledger does most, and it paid for six trees per booking, three of them in the random order of the
-- booking key. Now a booking's row is its booked event as well: rows come in order of the id, which is the event's place
-- in the outbox, and the table of events keeps what happens afterwards. Ids of both tables are one sequence, which the one
-- writer counts; void rows take part in it and are no events.

CREATE TABLE bookings_2 (
	id INTEGER PRIMARY KEY CHECK (id > 0),
	booking_key INTEGER NOT NULL UNIQUE CHECK (booking_key > 0),
	hold BLOB NOT NULL CHECK (length(hold) = 18),
	claims INTEGER NOT NULL CHECK (claims >= 1),
	site_id TEXT NOT NULL,
	starts_at INTEGER NOT NULL,
	length INTEGER NOT NULL CHECK (length >= 1),
	date INTEGER NOT NULL,
	place INTEGER NOT NULL CHECK (place >= 0),
	service TEXT NOT NULL,
	programme TEXT NOT NULL,
	dose INTEGER NOT NULL,
	person BLOB CHECK (length(person) = 16),
	one_person INTEGER NOT NULL CHECK (one_person IN (0, 1)),
	sealed BLOB,
	status TEXT NOT NULL CHECK (status IN ('booked', 'arrived', 'fulfilled', 'noshow', 'cancelled', 'void')),
	version INTEGER NOT NULL CHECK (version >= 1),
	reason TEXT NOT NULL,
	replaced_by INTEGER,
	recorded_at INTEGER NOT NULL,
	booked_by TEXT,
	ended_at INTEGER,
	CHECK ((status IN ('cancelled', 'void')) = (ended_at IS NOT NULL)),
	CHECK ((status = 'void') = (booked_by IS NULL)),
	CHECK (status <> 'void' OR (person IS NULL AND sealed IS NULL)),
	CHECK (replaced_by IS NULL OR status = 'cancelled'),
	-- No zone is further from UTC than 15 hours: a day's rows are found by their starts.
	CHECK (status = 'void' OR starts_at BETWEEN date * 1440 - 900 AND date * 1440 + 2340)
) STRICT;

INSERT INTO bookings_2
SELECT coalesce(e.id, (SELECT coalesce(max(id), 0) FROM events) + row_number() OVER (PARTITION BY e.id IS NULL ORDER BY b.recorded_at, b.booking_key)),
	b.booking_key, b.hold, b.claims, b.site_id, b.starts_at, b.length, b.date, b.place, b.service, b.programme, b.dose, b.person,
	b.one_person, b.sealed, b.status, b.version, b.reason, b.replaced_by, b.recorded_at,
	CASE WHEN b.status <> 'void' THEN coalesce(e.actor, '') END, b.ended_at
FROM bookings b LEFT JOIN events e ON e.booking_key = b.booking_key AND e.version = 1
ORDER BY 1;

-- What happened to bookings after they were booked, and to days. Audit trail and outbox, with the rows of bookings: one
-- row per transition, written in its transaction and never changed.
CREATE TABLE events_2 (
	id INTEGER PRIMARY KEY CHECK (id > 0),
	type TEXT NOT NULL CHECK (type IN ('booking.cancelled', 'booking.moved', 'booking.status', 'capacity.changed')),
	at INTEGER NOT NULL,
	actor TEXT NOT NULL,
	reason TEXT NOT NULL,
	booking_key INTEGER REFERENCES bookings_2 (booking_key),
	status TEXT,
	version INTEGER CHECK (version >= 2),
	site_id TEXT,
	date INTEGER,
	revision INTEGER,
	CHECK (CASE type WHEN 'capacity.changed'
		THEN booking_key IS NULL AND version IS NULL AND site_id IS NOT NULL AND date IS NOT NULL AND revision IS NOT NULL
		ELSE booking_key IS NOT NULL AND version IS NOT NULL AND status IS NOT NULL AND revision IS NULL END)
) STRICT;

INSERT INTO events_2
SELECT id, type, at, actor, reason, booking_key, status, version, site_id, date, revision FROM events
WHERE type <> 'booking.booked' ORDER BY id;

DROP TABLE events;
DROP TABLE bookings;
ALTER TABLE bookings_2 RENAME TO bookings;
ALTER TABLE events_2 RENAME TO events;

-- At most one live booking per place. Serves reads by slot, and by site and time, too.
CREATE UNIQUE INDEX bookings_place ON bookings (site_id, starts_at, length, place) WHERE ended_at IS NULL;

-- At most one live booking per person, programme and dose, where the service asks for it.
CREATE UNIQUE INDEX bookings_person ON bookings (person, programme, dose)
WHERE ended_at IS NULL AND one_person = 1 AND person IS NOT NULL;

-- Rows of grants with several claims, so that a grant can be told ended only when all of it has.
CREATE INDEX bookings_family ON bookings (hold) WHERE claims > 1;

-- What ended lately, at a site and anywhere, and what was cancelled of a day. Live rows are in none of them: recording
-- does not pay for them.
CREATE INDEX bookings_ended ON bookings (site_id, ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX bookings_ended_anywhere ON bookings (ended_at, site_id) WHERE ended_at IS NOT NULL;
CREATE INDEX bookings_cancelled ON bookings (site_id, date) WHERE status = 'cancelled';

CREATE UNIQUE INDEX events_booking ON events (booking_key, version) WHERE booking_key IS NOT NULL;
CREATE UNIQUE INDEX events_day ON events (site_id, date, revision) WHERE booking_key IS NULL;
