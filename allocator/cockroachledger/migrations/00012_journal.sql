-- +goose NO TRANSACTION
-- +goose Up

-- Audit trail and outbox: one row per committed group of transitions, written in the transaction that made them.
-- seq, the number of its last event, is given when events are first read. keys names the bookings (0: capacity).
-- With actors, every event is a booking recorded by the actor at the same position; else detail says what happened.
CREATE TABLE IF NOT EXISTS journal (
	id UUID PRIMARY KEY,
	bucket INT8 NOT NULL CHECK (bucket BETWEEN 0 AND 15),
	seq INT8 CHECK (seq >= events),
	events INT8 NOT NULL CHECK (events > 0),
	recorded_at TIMESTAMPTZ NOT NULL DEFAULT now(),
	keys INT8[] NOT NULL,
	actors TEXT[],
	detail TEXT,
	CHECK ((actors IS NULL) <> (detail IS NULL))
);
