-- +goose NO TRANSACTION
-- +goose Up

-- What a site offers as a rule, and the days that are still to be made from it. Due is when somebody has to look at it, in
-- milliseconds since 1970.
CREATE TABLE IF NOT EXISTS plans (
	site_id TEXT PRIMARY KEY,
	version INT8 NOT NULL CHECK (version > 0),
	due INT8 NOT NULL,
	changed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
	document TEXT NOT NULL
);
