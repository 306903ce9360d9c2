-- The outbox, and who subscribes to it. See journal.go and webhooks.go.

-- name: Unsequenced
-- The oldest rows without a number, merged from the buckets; the index answers each bucket's part wholly.
SELECT j.id, j.events
FROM unnest($1::INT8[]) AS b(bucket)
CROSS JOIN LATERAL (
	SELECT i.id, i.events, i.recorded_at FROM journal i
	WHERE i.bucket = b.bucket AND i.seq IS NULL
	ORDER BY i.recorded_at, i.id LIMIT $2::INT8
) AS j
ORDER BY j.recorded_at, j.id LIMIT $2::INT8;

-- name: LastSeq
SELECT j.seq FROM journal j WHERE j.seq IS NOT NULL ORDER BY j.seq DESC LIMIT 1;

-- name: Sequence
UPDATE journal SET seq = n.seq FROM unnest($1::UUID[], $2::INT8[]) AS n(id, seq)
WHERE journal.id = n.id AND journal.seq IS NULL;

-- name: JournalAfter
SELECT j.seq, j.events, j.recorded_at, j.keys, j.actors, j.detail FROM journal j
WHERE j.seq IS NOT NULL AND j.seq > $1::INT8 AND j.seq <= $2::INT8
ORDER BY j.seq LIMIT $3::INT8;

-- name: Webhooks
SELECT w.webhook_id, w.version, w.details FROM webhooks w WHERE w.webhook_id > $1::TEXT ORDER BY w.webhook_id LIMIT $2::INT8;

-- name: WebhookForUpdate
SELECT w.webhook_id, w.version, w.details FROM webhooks w WHERE w.webhook_id = $1::TEXT FOR UPDATE;

-- name: Webhook
SELECT w.webhook_id, w.version, w.details FROM webhooks w WHERE w.webhook_id = $1::TEXT;

-- name: PutWebhook
INSERT INTO webhooks (webhook_id, version, details) VALUES ($1::TEXT, $2::INT8, $3::TEXT)
ON CONFLICT (webhook_id) DO UPDATE SET version = excluded.version, changed_at = now(), details = excluded.details;

-- name: DeleteWebhook
DELETE FROM webhooks WHERE webhook_id = $1::TEXT;
