-- +goose NO TRANSACTION
-- +goose Up

-- A service, its details as one JSON document.
CREATE TABLE IF NOT EXISTS services (
	service TEXT PRIMARY KEY,
	version INT8 NOT NULL CHECK (version > 0),
	changed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
	changed_by TEXT NOT NULL,
	details TEXT NOT NULL
);
