package grammar

import "regexp"

// A rule refuses words that CockroachDB's grammar may well accept, because the server has no such thing or does
// something else than PostgreSQL does under the same name. Each was seen on a real CockroachDB 26.1.
type rule struct {
	pattern *regexp.Regexp
	why     string
	example string // a statement that this rule must refuse; a test holds it to that
}

func deny(pattern, why, example string) rule {
	return rule{pattern: regexp.MustCompile(`(?is)` + pattern), why: why, example: example}
}

var denied = []rule{
	deny(`\bpg_advisory_\w+`, "CockroachDB has no advisory locks: lock a row FOR UPDATE",
		`SELECT pg_advisory_lock(1)`),
	deny(`\bpg_try_advisory_\w+`, "exists in CockroachDB and always answers true, to two sessions at once: lock a row",
		`SELECT pg_try_advisory_lock(1)`),
	deny(`\bhashtext(extended)?\b`, "no such function in CockroachDB: compute the hash in Go",
		`SELECT hashtext($1)`),
	deny(`\b(txid_current\w*|pg_current_xact_id\w*)`, "no transaction numbers in CockroachDB",
		`SELECT txid_current()`),
	deny(`\b(xmin|xmax|cmin|cmax|ctid)\b`,
		"no such system column in CockroachDB: tell inserts from updates with a column of your own",
		`INSERT INTO t (a) VALUES ($1) ON CONFLICT (a) DO UPDATE SET b = 1 RETURNING xmax = 0`),
	deny(`(^\s*(LISTEN|UNLISTEN|NOTIFY)\b|\bpg_notify\b)`, "CockroachDB has no LISTEN and NOTIFY: poll",
		`LISTEN changes`),
	deny(`\bMERGE\s+INTO\b`, "CockroachDB has no MERGE: INSERT … ON CONFLICT",
		`MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE`),
	deny(`\b(DEFERRABLE|INITIALLY\s+DEFERRED|SET\s+CONSTRAINTS)\b`, "CockroachDB has no deferrable constraints",
		`ALTER TABLE t ADD CONSTRAINT c UNIQUE (a) DEFERRABLE INITIALLY DEFERRED`),
	deny(`\bUNLOGGED\b`, "CockroachDB takes the word and logs all the same: the engines would differ in what survives",
		`CREATE UNLOGGED TABLE t (a INT8)`),
	deny(`\bEXCLUDE\s+(USING\b|\()`, "CockroachDB has no exclusion constraints",
		`CREATE TABLE t (a INT8, EXCLUDE USING gist (a WITH =))`),
	deny(`\b(int4|int8|num|ts|tstz|date)(multi)?range\b`, "CockroachDB has no range types: two columns",
		`CREATE TABLE t (a tstzrange)`),
	deny(`\bPARTITION\s+(OF\b|BY\s+(RANGE|LIST|HASH)\b)`, "PostgreSQL's partitioning does not exist in CockroachDB",
		`CREATE TABLE t (a INT8) PARTITION BY HASH (a)`),
	deny(`\bpg_size_pretty\b`, "no such function in CockroachDB",
		`SELECT pg_size_pretty(1)`),
	deny(`\bsha(224|256|384|512)\s*\(`, "takes and returns text in CockroachDB, bytes in PostgreSQL: hash in Go",
		`SELECT sha256('a')`),
	deny(`\b(small|big)?serial[248]?\b`, "a row id in CockroachDB, 1, 2, 3 in PostgreSQL: make keys in Go",
		`CREATE TABLE t (a SERIAL PRIMARY KEY)`),
	deny(`\b(AS\s+IDENTITY|CREATE\s+SEQUENCE|nextval|setval)\b`,
		"a sequence puts neighbouring keys into one range and all writers onto it: make keys in Go",
		`CREATE TABLE t (a INT8 GENERATED ALWAYS AS IDENTITY)`),
	deny(`\b(int|integer)\b`, "8 bytes in CockroachDB, 4 in PostgreSQL: say INT8 or INT4",
		`CREATE TABLE t (a INT)`),
	deny(`\bREPEATABLE\s+READ\b`, "silently runs as SERIALIZABLE in CockroachDB",
		`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ`),
}
