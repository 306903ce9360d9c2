-- Sites, services, days, settings and epochs.

-- name: SchemaVersion
SELECT COALESCE(max(v.version_id), 0) FROM muster_schema v WHERE v.is_applied;

-- name: ReadSetting
SELECT s.value FROM settings s WHERE s.name = $1::TEXT;

-- name: StoreSetting
INSERT INTO settings (name, value) VALUES ($1::TEXT, $2::BYTEA) ON CONFLICT (name) DO NOTHING;

-- name: AmendSetting
UPDATE settings SET value = $3::BYTEA, stored_at = now() WHERE settings.name = $1::TEXT AND settings.value = $2::BYTEA;

-- name: SiteForUpdate
SELECT s.version, s.details, s.changed_at FROM sites s WHERE s.site_id = $1::TEXT FOR UPDATE;

-- name: PutSite
INSERT INTO sites (site_id, version, time_zone, changed_by, details, changed_at)
VALUES ($1::TEXT, $2::INT8, $3::TEXT, $4::TEXT, $5::TEXT, $6::TIMESTAMPTZ)
ON CONFLICT (site_id) DO UPDATE SET version = excluded.version, time_zone = excluded.time_zone, changed_at = excluded.changed_at,
	changed_by = excluded.changed_by, details = excluded.details;

-- name: ServiceForUpdate
SELECT s.version, s.details, s.changed_at FROM services s WHERE s.service = $1::TEXT FOR UPDATE;

-- name: PutService
INSERT INTO services (service, version, changed_by, details, changed_at)
VALUES ($1::TEXT, $2::INT8, $3::TEXT, $4::TEXT, $5::TIMESTAMPTZ)
ON CONFLICT (service) DO UPDATE SET version = excluded.version, changed_at = excluded.changed_at, changed_by = excluded.changed_by,
	details = excluded.details;

-- name: CreateService
INSERT INTO services (service, version, changed_by, details)
VALUES ($1::TEXT, 1, $2::TEXT, $3::TEXT) ON CONFLICT (service) DO NOTHING;

-- name: Services
SELECT s.version, s.details FROM services s ORDER BY s.service;

-- name: KnownServices
SELECT s.service FROM services s WHERE s.service = ANY ($1::TEXT[]);

-- name: Sites
SELECT s.generation, s.version, s.details FROM sites s WHERE s.site_id > $1::TEXT ORDER BY s.site_id LIMIT $2::INT8;

-- name: SiteDetails
SELECT s.site_id, s.details FROM sites s WHERE s.site_id = ANY ($1::TEXT[]);

-- name: Site
SELECT s.generation, s.version, s.details FROM sites s WHERE s.site_id = $1::TEXT;

-- name: Days
SELECT d.site_id, d.date, d.revision, d.sessions FROM days d
WHERE (d.site_id, d.date) > ($1::TEXT, $2::INT4) AND d.date >= $3::INT4
ORDER BY d.site_id, d.date LIMIT $4::INT8;

-- name: Day
SELECT d.site_id, d.date, d.revision, d.sessions FROM days d WHERE d.site_id = $1::TEXT AND d.date = $2::INT4;

-- name: DaysByID
SELECT d.site_id, d.date, d.revision, d.sessions
FROM unnest($1::TEXT[], $2::INT4[]) AS q(site_id, date)
JOIN days d ON d.site_id = q.site_id AND d.date = q.date;

-- name: DaysForUpdate
SELECT d.site_id, d.date, d.revision, d.sessions, d.changed_at
FROM unnest($1::TEXT[], $2::INT4[]) AS q(site_id, date)
JOIN days d ON d.site_id = q.site_id AND d.date = q.date
FOR UPDATE OF d;

-- name: SiteDaysForUpdate
SELECT d.site_id, d.date, d.revision, d.sessions, d.changed_at FROM days d
WHERE d.site_id = $1::TEXT AND d.date >= $2::INT4 ORDER BY d.date FOR UPDATE;

-- name: PutDays
INSERT INTO days (site_id, date, revision, sessions, changed_at)
SELECT n.site_id, n.date, n.revision, n.sessions, $5::TIMESTAMPTZ
FROM unnest($1::TEXT[], $2::INT4[], $3::INT8[], $4::TEXT[]) AS n(site_id, date, revision, sessions)
ON CONFLICT (site_id, date) DO UPDATE SET revision = excluded.revision, sessions = excluded.sessions,
	changed_at = excluded.changed_at;

-- name: SitePlan
SELECT p.site_id, p.version, p.due, p.document FROM plans p WHERE p.site_id = $1::TEXT;

-- name: PlanForUpdate
SELECT p.site_id, p.version, p.due, p.document FROM plans p WHERE p.site_id = $1::TEXT FOR UPDATE;

-- name: PutPlan
INSERT INTO plans (site_id, version, due, document) VALUES ($1::TEXT, $2::INT8, $3::INT8, $4::TEXT)
ON CONFLICT (site_id) DO UPDATE SET version = excluded.version, due = excluded.due, document = excluded.document,
	changed_at = now();

-- name: DuePlans
SELECT p.site_id, p.version, p.due, p.document FROM plans p
WHERE p.due <= $1::INT8 AND p.site_id > $2::TEXT ORDER BY p.site_id LIMIT $3::INT8;

-- name: PlanVersions
-- Locked, so that whoever writes a plan's next version finds every day made that depends on this one.
SELECT p.site_id, p.version FROM plans p WHERE p.site_id = ANY ($1::TEXT[]) FOR UPDATE;

-- name: Epochs
SELECT e.shard, e.epoch, e.identity FROM shard_epochs e
WHERE e.epoch = (SELECT max(l.epoch) FROM shard_epochs l WHERE l.shard = e.shard);

-- name: EpochHistory
SELECT e.epoch, e.identity, now() - e.opened_at FROM shard_epochs e WHERE e.shard = $1::INT8 ORDER BY e.epoch;

-- name: OpenEpoch
INSERT INTO shard_epochs (shard, epoch, identity) VALUES ($1::INT8, $2::INT8, $3::TEXT);
