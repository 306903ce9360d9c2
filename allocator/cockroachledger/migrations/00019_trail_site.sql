-- +goose NO TRANSACTION
-- +goose Up

-- What happened at a site.
CREATE INDEX IF NOT EXISTS trail_site ON trail (site_id, seq);
