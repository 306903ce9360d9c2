-- +goose NO TRANSACTION
-- +goose Up

-- A publisher's subscription to events, with its cursor and its lease, as one JSON document.
CREATE TABLE IF NOT EXISTS webhooks (
	webhook_id TEXT PRIMARY KEY,
	version INT8 NOT NULL CHECK (version > 0),
	changed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
	details TEXT NOT NULL
);
