-- +goose NO TRANSACTION
-- +goose Up

-- No event is in the trail twice.
CREATE UNIQUE INDEX IF NOT EXISTS trail_event ON trail (event);
