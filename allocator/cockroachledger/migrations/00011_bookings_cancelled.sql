-- +goose NO TRANSACTION
-- +goose Up

-- Cancelled rows by day. Live rows are not in it: recording does not pay for it.
CREATE INDEX IF NOT EXISTS bookings_cancelled ON bookings (site_id, starts_at) WHERE status = 'cancelled';
