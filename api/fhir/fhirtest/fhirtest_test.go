package fhirtest

import "testing"

// The schema bites, also within bundles.
func TestValidate(t *testing.T) {
	const slot = `{"resourceType":"Slot","id":"a.b","schedule":{"reference":"Schedule/a"},"status":"free","start":"2026-12-01T09:10:00Z","end":"2026-12-01T09:20:00Z"}`
	for _, good := range []string{slot, `{"resourceType":"Bundle","type":"searchset","entry":[{"resource":` + slot + `,"search":{"mode":"match"}}]}`} {
		if err := Validate([]byte(good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		`{}`, `[]`, `{`, `{"resourceType":"Place"}`,
		`{"resourceType":"Slot","status":"free"}`,
		`{"resourceType":"Slot","schedule":{"reference":"Schedule/a"},"status":"maybe"}`,
		`{"resourceType":"Slot","schedule":{"reference":"Schedule/a"},"free":3}`,
		`{"resourceType":"Slot","id":"a_b","schedule":{"reference":"Schedule/a"}}`,
		`{"resourceType":"Slot","schedule":{"reference":"Schedule/a"},"start":"2026-12-01T09:10:00"}`,
		`{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resourceType":"Slot"}}]}`,
		`{"resourceType":"OperationOutcome","issue":[{"severity":"bad","code":"invalid"}]}`,
	} {
		if Validate([]byte(bad)) == nil {
			t.Errorf("%s passes", bad)
		}
	}
}
