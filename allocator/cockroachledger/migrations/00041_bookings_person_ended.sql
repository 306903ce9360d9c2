-- +goose NO TRANSACTION
-- +goose Up

-- Ended rows of a person. Live rows are not in it: recording does not pay for it.
CREATE INDEX IF NOT EXISTS bookings_person_ended ON bookings (person) WHERE NOT live AND person IS NOT NULL;
