-- +goose NO TRANSACTION
-- +goose Up

-- The few sites that were ever rebuilt, so that asking for them reads only them.
CREATE INDEX IF NOT EXISTS sites_generation ON sites (site_id) INCLUDE (generation) WHERE generation > 0;
