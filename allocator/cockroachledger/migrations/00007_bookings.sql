-- +goose NO TRANSACTION
-- +goose Up

-- One row for ever per claim of a request: a booking, or a void one (the request will never be booked).
-- The key is 60 pseudo-random bits, so inserts spread over all ranges. starts_at counts minutes since 1970.
-- changed_at is null until a first change. siblings holds the keys of the grant where it has several claims, 8 bytes each.
CREATE TABLE IF NOT EXISTS bookings (
	booking_key INT8 PRIMARY KEY CHECK (booking_key > 0),
	starts_at INT8 NOT NULL,
	recorded_at TIMESTAMPTZ NOT NULL DEFAULT now(),
	changed_at TIMESTAMPTZ,
	replaced_by INT8,
	date INT4 NOT NULL,
	place INT4 NOT NULL CHECK (place >= 0),
	dose INT4 NOT NULL,
	version INT4 NOT NULL CHECK (version >= 1),
	length INT2 NOT NULL CHECK (length > 0),
	one_person BOOL NOT NULL,
	live BOOL NOT NULL GENERATED ALWAYS AS (status IN ('booked', 'arrived', 'fulfilled', 'noshow')) STORED,
	hold_id BYTEA NOT NULL CHECK (octet_length(hold_id) = 18),
	site_id TEXT NOT NULL,
	service TEXT NOT NULL,
	programme TEXT NOT NULL,
	status TEXT NOT NULL CHECK (status IN ('booked', 'arrived', 'fulfilled', 'noshow', 'cancelled', 'void')),
	reason TEXT NOT NULL,
	person BYTEA CHECK (octet_length(person) = 16),
	sealed BYTEA,
	siblings BYTEA
);
