-- +goose NO TRANSACTION
-- +goose Up

-- What ended lately at a site. Live rows are not in it: recording does not pay for it.
CREATE INDEX IF NOT EXISTS bookings_ended ON bookings (site_id, changed_at) WHERE NOT live;
