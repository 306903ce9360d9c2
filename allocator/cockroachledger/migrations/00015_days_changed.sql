-- +goose NO TRANSACTION
-- +goose Up

-- Days that changed lately, for servers that follow them. 16 parts, so that a bulk load does not meet in one range.
CREATE INDEX IF NOT EXISTS days_changed ON days ((date % 16), changed_at) INCLUDE (revision);
