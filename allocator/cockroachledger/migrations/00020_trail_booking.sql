-- +goose NO TRANSACTION
-- +goose Up

-- What happened to a booking.
CREATE INDEX IF NOT EXISTS trail_booking ON trail (booking_key, seq) WHERE booking_key <> 0;
