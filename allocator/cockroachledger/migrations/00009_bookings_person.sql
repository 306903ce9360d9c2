-- +goose NO TRANSACTION
-- +goose Up

-- At most one live booking per person, programme and dose, where the service asks for it.
CREATE UNIQUE INDEX IF NOT EXISTS bookings_person ON bookings (person, programme, dose) WHERE live AND one_person;
