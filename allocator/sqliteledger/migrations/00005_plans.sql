-- +goose Up

-- What a site offers as a rule, and the days that are still to be made from it. Due is when somebody has to look at it, in
-- milliseconds since 1970.
CREATE TABLE plans (
	site_id TEXT PRIMARY KEY REFERENCES sites,
	version INTEGER NOT NULL CHECK (version >= 1),
	due INTEGER NOT NULL,
	document TEXT NOT NULL CHECK (json_valid(document)),
	changed_at INTEGER NOT NULL
) STRICT;

CREATE INDEX plans_due ON plans (due);
