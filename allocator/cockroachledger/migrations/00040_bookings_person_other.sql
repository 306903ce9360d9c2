-- +goose NO TRANSACTION
-- +goose Up

-- Live rows of a person where the service allows several. Recording what is one per person does not pay for it.
CREATE INDEX IF NOT EXISTS bookings_person_other ON bookings (person) WHERE live AND NOT one_person AND person IS NOT NULL;
