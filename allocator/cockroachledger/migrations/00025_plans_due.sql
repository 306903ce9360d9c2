-- +goose NO TRANSACTION
-- +goose Up

-- Plans that somebody has to look at.
CREATE INDEX IF NOT EXISTS plans_due ON plans (due);
