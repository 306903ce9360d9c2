-- +goose NO TRANSACTION
-- +goose Up

-- Sites of which a booking ended lately. Live rows are not in it: recording does not pay for it.
CREATE INDEX IF NOT EXISTS bookings_changed ON bookings ((booking_key % 16), changed_at) INCLUDE (site_id) WHERE NOT live;
