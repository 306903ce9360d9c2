-- +goose NO TRANSACTION
-- +goose Up

-- The order of the outbox. Only who numbers events writes here.
CREATE UNIQUE INDEX IF NOT EXISTS journal_seq ON journal (seq) WHERE seq IS NOT NULL;
