-- +goose NO TRANSACTION
-- +goose Up

-- What belongs to the installation as a whole; its secret above all.
CREATE TABLE IF NOT EXISTS settings (
	name TEXT PRIMARY KEY,
	value BYTEA NOT NULL,
	stored_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
