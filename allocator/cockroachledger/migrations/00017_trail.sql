-- +goose NO TRANSACTION
-- +goose Up

-- The audit trail: each event once, chained by hashes to the one before. Only one background writer appends.
CREATE TABLE IF NOT EXISTS trail (
	seq INT8 PRIMARY KEY CHECK (seq > 0),
	event INT8 NOT NULL,
	happened_at TIMESTAMPTZ NOT NULL,
	action TEXT NOT NULL,
	actor TEXT NOT NULL,
	request TEXT NOT NULL,
	site_id TEXT NOT NULL,
	booking_key INT8 NOT NULL,
	starts_at INT8 NOT NULL,
	length INT2 NOT NULL,
	date INT4 NOT NULL,
	service TEXT NOT NULL,
	status TEXT NOT NULL,
	version INT4 NOT NULL,
	reason TEXT NOT NULL,
	revision INT8 NOT NULL,
	digest BYTEA NOT NULL CHECK (octet_length(digest) = 32),
	previous BYTEA NOT NULL CHECK (octet_length(previous) = 32),
	hash BYTEA NOT NULL CHECK (octet_length(hash) = 32),
	seal BYTEA
);
