package grammar

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestShippedSQL checks what ships. A directory with no file in it would pass unseen, so that fails too.
func TestShippedSQL(t *testing.T) {
	for _, dir := range []string{"../migrations", "../queries"} {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			files, findings, err := CheckDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			if files == 0 {
				t.Fatalf("no *.sql file under %s: if they moved, change this test's paths with them", dir)
			}
			for _, finding := range findings {
				t.Error(finding)
			}
			t.Logf("%d files, %d findings", files, len(findings))
		})
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

const goodMigration = `-- +goose NO TRANSACTION
-- +goose Up
-- A comment may say xmax, SERIAL and pg_advisory_lock().
CREATE TABLE IF NOT EXISTS bookings (
	id UUID PRIMARY KEY, key BYTEA NOT NULL UNIQUE, site TEXT NOT NULL, slot INT8 NOT NULL, made TIMESTAMPTZ NOT NULL,
	detail JSONB, state INT4 NOT NULL CHECK (state IN (1, 2))
);
CREATE INDEX IF NOT EXISTS bookings_slot ON bookings (site, slot) INCLUDE (state) WHERE state = 1;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION one() RETURNS INT8 LANGUAGE SQL AS $$ SELECT 1; $$;
-- +goose StatementEnd
-- +goose Down
DROP TABLE IF EXISTS bookings;
`

const goodQueries = `-- Statements of the ledger.

-- name: Record :many
INSERT INTO bookings (id, key, site, slot, made, state)
SELECT id, key, site, slot, made, 1 FROM unnest($1::uuid[], $2::bytea[], $3::text[], $4::int8[], $5::timestamptz[])
	AS b(id, key, site, slot, made)
ON CONFLICT (key) DO NOTHING RETURNING id;

-- name: Claim
UPDATE bookings SET state = 2 WHERE id IN (
	SELECT id FROM bookings WHERE site = $1 AND state = 1 ORDER BY slot LIMIT $2 FOR UPDATE SKIP LOCKED
) RETURNING id, 'LISTEN; xmax' AS "note"
`

func TestCheckDirAccepts(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "001_bookings.sql", goodMigration)
	write(t, dir, "deeper/bookings.sql", goodQueries)
	write(t, dir, "notes.md", "no SQL at all")
	files, findings, err := CheckDir(dir)
	if err != nil || files != 2 || len(findings) != 0 {
		t.Errorf("files %d, error %v, findings %v", files, err, findings)
	}
}

func TestCheckDirMissing(t *testing.T) {
	if _, _, err := CheckDir(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing directory must be an error")
	}
}

// TestParserRefuses has statements that PostgreSQL takes and CockroachDB's grammar does not: the parser itself must
// say so, whatever the list of denied words holds.
func TestParserRefuses(t *testing.T) {
	for _, statement := range []string{
		"MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE",
		"NOTIFY changes",
		"CREATE TABLE t (a INT8, EXCLUDE USING gist (a WITH =))",
		"CREATE TABLE t (a INT8 UNIQUE DEFERRABLE)",
		"DO $$ BEGIN NULL; END $$",
		"SELEC 1",
	} {
		if err := parse(statement); err == nil {
			t.Errorf("%s: parsed", statement)
		} else {
			t.Logf("%s: %v", statement, err)
		}
	}
}

// TestDenied keeps each rule alive: its own example must be refused for its own reason.
func TestDenied(t *testing.T) {
	for _, rule := range denied {
		found := false
		for _, finding := range Check("example.sql", rule.example) {
			found = found || strings.Contains(finding.Problem, rule.why)
		}
		if !found {
			t.Errorf("%s: not refused by the rule %s", rule.example, rule.pattern)
		}
	}
	for _, statement := range []string{
		"CREATE FUNCTION f() RETURNS INT8 LANGUAGE SQL AS $body$ SELECT pg_advisory_lock(1) $body$",
		"CREATE FUNCTION f() RETURNS INT8 LANGUAGE SQL AS $$ SELECT 1 /* fine */ FROM t WHERE xmax = 0 $$",
	} {
		if len(Check("function.sql", statement)) == 0 {
			t.Errorf("%s: a function's body hides denied words", statement)
		}
	}
}

func TestFindingsTellWhere(t *testing.T) {
	text := "-- name: Fine\nSELECT $1::INT8;\n\n-- name: Broken\n-- what follows\n/* /* is */ */\nSELEC 2;\nSELECT 3;\n" +
		"-- name: Empty\n-- nothing\n-- name: Unended\nSELECT 'a;\n"
	findings := Check("queries/some.sql", text)
	want := []struct {
		line int
		name string
	}{{7, "Broken"}, {9, "Empty"}, {12, "Unended"}}
	if len(findings) != len(want) {
		t.Fatalf("findings: %v", findings)
	}
	for i, finding := range findings {
		if finding.File != "queries/some.sql" || finding.Line != want[i].line || finding.Name != want[i].name {
			t.Errorf("finding %d: %+v, want %+v", i, finding, want[i])
		}
	}
	if len(Check("empty.sql", "-- only words\n")) != 1 {
		t.Error("a file without a statement must be a finding")
	}
}

func TestBlank(t *testing.T) {
	for sql, want := range map[string]string{
		"a -- b\nc":                 "a     \nc",
		"a /* b /* c */ d */ e":     "a                   e",
		"x 'it''s' y":               "x         y",
		`x E'a\'b' y`:               `x E       y`,
		`"ct'id" 'x'`:               `"ct'id"    `,
		"$1::text $2":               "$1::text $2",
		"$$ a -- b\n $$ 'c'":        "$$ a     \n $$    ",
		"$t$ 'a' $$ b $$ $t$ -- no": "$t$     $$ b $$ $t$      ",
		"'open":                     "     ",
	} {
		if got := blank(sql); got != want {
			t.Errorf("blank(%q) = %q, want %q", sql, got, want)
		}
	}
}
