-- +goose NO TRANSACTION
-- +goose Up

-- What somebody did.
CREATE INDEX IF NOT EXISTS trail_actor ON trail (actor, seq);
