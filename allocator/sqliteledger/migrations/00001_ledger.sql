-- +goose Up

-- Instants are microseconds since 1970, dates days since 1970, starts minutes since 1970.

-- What belongs to the installation as a whole; its secret above all.
CREATE TABLE settings (
	name TEXT PRIMARY KEY,
	value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Every generation that a shard ever had, so that a superseded incarnation stays superseded. The highest is current.
CREATE TABLE shard_epochs (
	shard INTEGER NOT NULL CHECK (shard >= 0),
	epoch INTEGER NOT NULL CHECK (epoch >= 1),
	identity TEXT NOT NULL,
	opened_at INTEGER NOT NULL,
	PRIMARY KEY (shard, epoch)
) STRICT, WITHOUT ROWID;

-- A site, its details as one JSON document. Generation rises when something was recorded past the inventory.
CREATE TABLE sites (
	site_id TEXT PRIMARY KEY,
	generation INTEGER NOT NULL DEFAULT 0 CHECK (generation >= 0),
	version INTEGER NOT NULL CHECK (version >= 1),
	time_zone TEXT NOT NULL,
	details TEXT NOT NULL CHECK (json_valid(details)),
	changed_at INTEGER NOT NULL,
	changed_by TEXT NOT NULL
) STRICT;

CREATE INDEX sites_generation ON sites (site_id, generation) WHERE generation > 0;

-- A service, its details as one JSON document.
CREATE TABLE services (
	service TEXT PRIMARY KEY,
	version INTEGER NOT NULL CHECK (version >= 1),
	details TEXT NOT NULL CHECK (json_valid(details)),
	changed_at INTEGER NOT NULL,
	changed_by TEXT NOT NULL
) STRICT;

-- A day of a site: one versioned document.
CREATE TABLE days (
	site_id TEXT NOT NULL REFERENCES sites,
	date INTEGER NOT NULL,
	revision INTEGER NOT NULL CHECK (revision >= 1),
	sessions TEXT NOT NULL CHECK (json_valid(sessions)),
	changed_at INTEGER NOT NULL,
	PRIMARY KEY (site_id, date)
) STRICT;

CREATE INDEX days_changed ON days (changed_at);

-- One row for ever per claim of a request: a booking, or a void one (the request will never be booked). A row without
-- ended_at is live: it uses its place and counts for its person. Claims is how many claims the grant had at this site.
CREATE TABLE bookings (
	booking_key INTEGER PRIMARY KEY CHECK (booking_key > 0),
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
	ended_at INTEGER,
	CHECK ((status IN ('cancelled', 'void')) = (ended_at IS NOT NULL)),
	CHECK (status <> 'void' OR (person IS NULL AND sealed IS NULL)),
	CHECK (replaced_by IS NULL OR status = 'cancelled'),
	-- No zone is further from UTC than 15 hours: a day's rows are found by their starts.
	CHECK (status = 'void' OR starts_at BETWEEN date * 1440 - 900 AND date * 1440 + 2340)
) STRICT;

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

-- Audit trail and outbox: one row per transition of a booking or a day, written in its transaction and never changed. What
-- a booking's transitions have in common is in its row.
CREATE TABLE events (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	type TEXT NOT NULL CHECK (type IN ('booking.booked', 'booking.cancelled', 'booking.moved', 'booking.status', 'capacity.changed')),
	at INTEGER NOT NULL,
	actor TEXT NOT NULL,
	reason TEXT NOT NULL,
	booking_key INTEGER REFERENCES bookings,
	status TEXT,
	version INTEGER,
	site_id TEXT,
	date INTEGER,
	revision INTEGER,
	CHECK (CASE type WHEN 'capacity.changed'
		THEN booking_key IS NULL AND version IS NULL AND site_id IS NOT NULL AND date IS NOT NULL AND revision IS NOT NULL
		ELSE booking_key IS NOT NULL AND version IS NOT NULL AND status IS NOT NULL AND revision IS NULL END)
) STRICT;

CREATE UNIQUE INDEX events_booking ON events (booking_key, version) WHERE booking_key IS NOT NULL;
CREATE UNIQUE INDEX events_day ON events (site_id, date, revision) WHERE booking_key IS NULL;
