-- +goose Up

-- All rows of a person, for who asks for his own: of live rows that may be several per person, and of ended ones. What is
-- recorded for one person at most is in bookings_person; recording it pays for neither of these.
CREATE INDEX bookings_person_other ON bookings (person) WHERE person IS NOT NULL AND ended_at IS NULL AND one_person = 0;
CREATE INDEX bookings_person_ended ON bookings (person) WHERE person IS NOT NULL AND ended_at IS NOT NULL;
