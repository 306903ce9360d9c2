-- +goose Up

-- A publisher's subscription to events, with its cursor and its lease, as one JSON document.
CREATE TABLE webhooks (
	webhook_id TEXT PRIMARY KEY,
	version INTEGER NOT NULL CHECK (version >= 1),
	changed_at INTEGER NOT NULL,
	details TEXT NOT NULL CHECK (json_valid(details))
) STRICT;
