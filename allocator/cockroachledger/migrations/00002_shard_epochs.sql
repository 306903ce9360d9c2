-- +goose NO TRANSACTION
-- +goose Up

-- Every generation that a shard ever had, so that a superseded incarnation stays superseded. The highest is current.
CREATE TABLE IF NOT EXISTS shard_epochs (
	shard INT8 NOT NULL CHECK (shard >= 0),
	epoch INT8 NOT NULL CHECK (epoch > 0),
	identity TEXT NOT NULL,
	opened_at TIMESTAMPTZ NOT NULL DEFAULT now(),
	PRIMARY KEY (shard, epoch)
);
