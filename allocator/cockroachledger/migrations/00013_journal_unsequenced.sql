-- +goose NO TRANSACTION
-- +goose Up

-- Rows whose events have no number yet, in their order within each of 16 buckets: writers of one moment meet in no range.
CREATE INDEX IF NOT EXISTS journal_unsequenced ON journal (bucket, recorded_at, id) INCLUDE (events) WHERE seq IS NULL;
