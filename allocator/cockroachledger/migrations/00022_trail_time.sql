-- +goose NO TRANSACTION
-- +goose Up

-- What happened in a span of time.
CREATE INDEX IF NOT EXISTS trail_time ON trail (happened_at);
