-- Once, as root, after the cluster has started. The owner migrates; the servers read and write, and change no schema.
CREATE DATABASE IF NOT EXISTS muster;
CREATE USER IF NOT EXISTS muster_owner;
CREATE USER IF NOT EXISTS muster_server;
GRANT ALL ON DATABASE muster TO muster_owner;
GRANT CONNECT ON DATABASE muster TO muster_server;
ALTER DEFAULT PRIVILEGES FOR ROLE muster_owner IN SCHEMA muster.public
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO muster_server;
-- And once more after the first `muster migrate` that makes the audit trail's table, which servers only add to:
--   REVOKE UPDATE, DELETE ON TABLE muster.public.trail FROM muster_server;
