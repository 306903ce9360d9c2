-- +goose Up

-- Changes of sites and services are events now, as those of bookings and days are.

CREATE TABLE events_3 (
	id INTEGER PRIMARY KEY CHECK (id > 0),
	type TEXT NOT NULL CHECK (type IN ('booking.cancelled', 'booking.moved', 'booking.status', 'capacity.changed', 'site.changed', 'service.changed')),
	at INTEGER NOT NULL,
	actor TEXT NOT NULL,
	reason TEXT NOT NULL,
	booking_key INTEGER REFERENCES bookings (booking_key),
	status TEXT,
	version INTEGER CHECK (version >= 2),
	site_id TEXT,
	date INTEGER,
	revision INTEGER,
	service TEXT,
	CHECK (CASE type
		WHEN 'capacity.changed' THEN site_id IS NOT NULL AND date IS NOT NULL AND service IS NULL
		WHEN 'site.changed' THEN site_id IS NOT NULL AND date IS NULL AND service IS NULL
		WHEN 'service.changed' THEN site_id IS NULL AND date IS NULL AND service IS NOT NULL
		ELSE site_id IS NULL AND date IS NULL AND service IS NULL END),
	CHECK (CASE WHEN type LIKE 'booking.%'
		THEN booking_key IS NOT NULL AND version IS NOT NULL AND status IS NOT NULL AND revision IS NULL
		ELSE booking_key IS NULL AND version IS NULL AND status IS NULL AND revision IS NOT NULL END)
) STRICT;

INSERT INTO events_3
SELECT id, type, at, actor, reason, booking_key, status, version, site_id, date, revision, NULL FROM events ORDER BY id;

DROP TABLE events;
ALTER TABLE events_3 RENAME TO events;

CREATE UNIQUE INDEX events_booking ON events (booking_key, version) WHERE booking_key IS NOT NULL;
CREATE UNIQUE INDEX events_day ON events (site_id, date, revision) WHERE type = 'capacity.changed';
CREATE UNIQUE INDEX events_site ON events (site_id, revision) WHERE type = 'site.changed';
CREATE UNIQUE INDEX events_service ON events (service, revision) WHERE type = 'service.changed';

-- The audit trail: each event once, chained by hashes to the one before.
CREATE TABLE trail (
	seq INTEGER PRIMARY KEY CHECK (seq > 0),
	event INTEGER NOT NULL UNIQUE,
	happened_at INTEGER NOT NULL,
	action TEXT NOT NULL,
	actor TEXT NOT NULL,
	request TEXT NOT NULL,
	site_id TEXT NOT NULL,
	booking_key INTEGER NOT NULL,
	starts_at INTEGER NOT NULL,
	length INTEGER NOT NULL,
	date INTEGER NOT NULL,
	service TEXT NOT NULL,
	status TEXT NOT NULL,
	version INTEGER NOT NULL,
	reason TEXT NOT NULL,
	revision INTEGER NOT NULL,
	digest BLOB NOT NULL CHECK (length(digest) = 32),
	previous BLOB NOT NULL CHECK (length(previous) = 32),
	hash BLOB NOT NULL CHECK (length(hash) = 32),
	seal BLOB
) STRICT;

CREATE INDEX trail_site ON trail (site_id, seq);
CREATE INDEX trail_booking ON trail (booking_key, seq) WHERE booking_key <> 0;
CREATE INDEX trail_actor ON trail (actor, seq);
CREATE INDEX trail_time ON trail (happened_at);

-- +goose StatementBegin
CREATE TRIGGER trail_is_not_changed BEFORE UPDATE ON trail BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER trail_is_not_shortened BEFORE DELETE ON trail BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
-- +goose StatementEnd
