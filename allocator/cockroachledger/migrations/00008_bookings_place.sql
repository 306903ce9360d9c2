-- +goose NO TRANSACTION
-- +goose Up

-- At most one live booking per place. Serves reads by site and time too.
CREATE UNIQUE INDEX IF NOT EXISTS bookings_place ON bookings (site_id, starts_at, length, place) WHERE live;
