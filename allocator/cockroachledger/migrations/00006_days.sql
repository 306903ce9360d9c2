-- +goose NO TRANSACTION
-- +goose Up

-- A day of a site: one versioned document. Date counts days since 1970.
CREATE TABLE IF NOT EXISTS days (
	site_id TEXT NOT NULL,
	date INT4 NOT NULL,
	revision INT8 NOT NULL CHECK (revision > 0),
	changed_at TIMESTAMPTZ NOT NULL,
	sessions TEXT NOT NULL,
	PRIMARY KEY (site_id, date)
);
