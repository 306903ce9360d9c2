package cockroachledger

import (
	"strings"
	"testing"
	"testing/fstest"

	"muster/allocator"
)

func TestQueriesAreWhole(t *testing.T) {
	q, err := loadQueries(queryFiles)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(q.Now, "SELECT now()") || strings.HasSuffix(q.Now, ";") {
		t.Errorf("a query was cut wrongly: %q", q.Now)
	}
	for name, text := range map[string]string{
		"has no field":   "-- name: Nonsense\nSELECT 1;\n",
		"is there twice": "-- name: Now\nSELECT 1;\n-- name: Now\nSELECT 2;\n",
		"no file has":    "-- name: Now\nSELECT 1;\n",
	} {
		_, err := loadQueries(fstest.MapFS{"queries/a.sql": {Data: []byte(text)}})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPinnedFormsAgree keeps the two forms of the recording statement from drifting apart: they differ in what they
// refuse, and in nothing else.
func TestPinnedFormsAgree(t *testing.T) {
	q, err := loadQueries(queryFiles)
	if err != nil {
		t.Fatal(err)
	}
	parts := func(query string) (head, tail string) {
		query = query[strings.Index(query, "WITH claim"):]
		head, rest, _ := strings.Cut(query, "refused AS (")
		_, tail, _ = strings.Cut(rest, "), good AS (")
		return head, tail
	}
	head, tail := parts(q.RecordPinned)
	checkedHead, checkedTail := parts(q.RecordPinnedChecked)
	if head != checkedHead || tail != checkedTail || head == "" || tail == "" {
		t.Error("RecordPinned and RecordPinnedChecked differ outside of refused: change both")
	}
}

func TestOptionsReportEveryFault(t *testing.T) {
	if err := (Options{}).Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	err := Options{Connections: -1, Attempts: -1, ConnectTimeout: 1, StatementTimeout: 1}.Validate()
	if err == nil || len(strings.Split(err.Error(), "\n")) != 4 {
		t.Errorf("four faults: %v", err)
	}
}

func TestStorable(t *testing.T) {
	for text, want := range map[string]string{"": "", "plain “text”": "plain “text”", "a\x00b": "a\uFFFDb", "a\xffb\x00": "a\uFFFDb\uFFFD"} {
		if got := storable(text); got != want {
			t.Errorf("storable(%q) = %q", text, got)
		}
	}
}

func TestSiblings(t *testing.T) {
	claims := make([]allocator.Booking, 3)
	for i := range claims {
		claims[i].Key = allocator.BookingKey(i + 1)
	}
	claims[2].Hold.Key[0] = 1
	if got := unpackSiblings(siblingsOf(claims, 1)); len(got) != 2 || got[0] != 1 || got[1] != 2 {
		t.Errorf("siblings of the second: %v", got)
	}
	if siblingsOf(claims, 2) != nil || siblingsOf(claims[:1], 0) != nil {
		t.Error("a claim alone in its grant has no siblings")
	}
}
