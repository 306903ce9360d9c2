-- +goose NO TRANSACTION
-- +goose Up

-- A site, its details as one JSON document. Generation rises when something was recorded past the inventory.
CREATE TABLE IF NOT EXISTS sites (
	site_id TEXT PRIMARY KEY,
	generation INT8 NOT NULL DEFAULT 0 CHECK (generation >= 0),
	version INT8 NOT NULL CHECK (version > 0),
	time_zone TEXT NOT NULL,
	changed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
	changed_by TEXT NOT NULL,
	details TEXT NOT NULL
);
