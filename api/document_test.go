package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oasdiff/yaml"

	"muster/allocator"
)

var update = flag.Bool("update", false, "write openapi.json anew")

// TestDocumentIsGenerated keeps openapi.json the same as openapi.yaml.
func TestDocumentIsGenerated(t *testing.T) {
	source, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := yaml.YAMLToJSON(source)
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := json.Indent(&want, raw, "", " "); err != nil {
		t.Fatal(err)
	}
	want.WriteByte('\n')
	if *update {
		if err := os.WriteFile("openapi.json", want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(want.Bytes(), document) {
		t.Error("openapi.json is not what openapi.yaml says: run go generate ./api")
	}
}

func spec(t testing.TB) *openapi3.T {
	t.Helper()
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(document)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestDocumentIsValid(t *testing.T) {
	doc := spec(t)
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("version %q", doc.OpenAPI)
	}
}

// TestRoutesAndDocument compares both ways: paths, methods, operation ids, scopes and bodies.
func TestRoutesAndDocument(t *testing.T) {
	doc := spec(t)
	documented := map[string]*openapi3.Operation{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			documented[method+" "+path] = op
		}
	}
	for _, r := range routes() {
		at := r.method + " " + r.path
		op := documented[at]
		if op == nil {
			t.Errorf("%s is a route but not in openapi.yaml: describe it there", at)
			continue
		}
		delete(documented, at)
		if op.OperationID != r.operation {
			t.Errorf("%s is %s in openapi.yaml and %s in routes.go", at, op.OperationID, r.operation)
		}
		if got := scopesIn(op); len(r.scopes) > 0 && !slices.Equal(got, r.scopes) {
			t.Errorf("%s wants %v in openapi.yaml and %v in routes.go", at, got, r.scopes)
		}
		if len(r.scopes) == 0 && op.Security != nil && !slices.ContainsFunc(*op.Security, func(r openapi3.SecurityRequirement) bool { return len(r) == 0 }) {
			t.Errorf("%s is public in routes.go but not in openapi.yaml", at)
		}
		if (r.body != noBody) != (op.RequestBody != nil) {
			t.Errorf("%s has a body in only one of openapi.yaml and routes.go", at)
		}
	}
	for at := range documented {
		t.Errorf("%s is in openapi.yaml but no route: add it to routes.go", at)
	}
}

func scopesIn(op *openapi3.Operation) (scopes []string) {
	if op.Security == nil {
		return nil
	}
	for _, r := range *op.Security {
		scopes = append(scopes, r["bearer"]...)
	}
	return scopes
}

// TestDocumentedCodes checks that every code has a meaning, is in the document's list, and that the codes of an operation
// have their statuses among its responses.
func TestDocumentedCodes(t *testing.T) {
	doc := spec(t)
	all := append(slices.Clone(allocator.Codes), CodeNotFound, CodeMethodNotAllowed)
	if len(meanings) != len(all) {
		t.Errorf("%d meanings for %d codes", len(meanings), len(all))
	}
	var listed []string
	for _, c := range doc.Components.Schemas["Code"].Value.Enum {
		listed = append(listed, c.(string))
	}
	for _, c := range all {
		m, ok := meanings[c]
		if !ok || m.title == "" || m.status < 400 {
			t.Errorf("%s has no meaning: add it to problem.go", c)
		}
		if !slices.Contains(listed, string(c)) {
			t.Errorf("%s is not in the schema Code of openapi.yaml", c)
		}
	}
	if len(listed) != len(all) {
		t.Errorf("openapi.yaml lists %d codes, there are %d", len(listed), len(all))
	}
	for _, r := range routes() {
		op := doc.Paths.Value(r.path).GetOperation(r.method)
		codes, ok := op.Extensions["x-codes"].([]any)
		if !ok {
			t.Errorf("%s lists no x-codes", r.operation)
		}
		for _, c := range codes {
			m, ok := meanings[allocator.Code(c.(string))]
			if !ok || op.Responses.Value(strconv.Itoa(m.status)) == nil {
				t.Errorf("%s: code %v has no response of status %d", r.operation, c, m.status)
			}
		}
	}
}

// TestExamplesDecode sends every example of a request body to its route, and checks that the handlers take it.
func TestExamplesDecode(t *testing.T) {
	q := newQueue(t)
	q.now = time.Date(2026, 12, 1, 8, 45, 0, 0, time.UTC) // when the examples make sense
	w := serve(t, Options{Dev: true, Webhooks: fakeHooks(t), Rooms: q.Rooms}, &fake{})
	path := strings.NewReplacer("{webhookId}", someHook, "{siteId}", "FA512", "{date}", "2026-12-01", "{service}", "RSV:Adult", "{holdId}", "h1.x",
		"{reference}", someKey.Reference())
	doc, tried := spec(t), 0
	for _, r := range routes() {
		op := doc.Paths.Value(r.path).GetOperation(r.method)
		if op.RequestBody == nil {
			continue
		}
		for kind, media := range op.RequestBody.Value.Content {
			examples := []any{media.Example}
			for _, e := range media.Examples {
				examples = append(examples, e.Value.Value)
			}
			for _, e := range examples {
				if e == nil {
					continue
				}
				tried++
				body, err := json.Marshal(e)
				if err != nil {
					t.Fatal(err)
				}
				a := w.staff(r.method, path.Replace(r.path), string(body), "Content-Type", kind)
				if a.status >= 300 || bytes.Contains(a.body, []byte(`"problem"`)) {
					t.Errorf("%s refuses its example %s: %s", r.operation, body, a.body)
				}
			}
		}
	}
	if tried < 9 {
		t.Errorf("only %d examples", tried)
	}
}

func TestServedDocument(t *testing.T) {
	w := serve(t, Options{}, &fake{})
	a := w.call("GET", "/openapi.json", "").wants(200)
	if !bytes.Equal(a.body, document) || !strings.Contains(a.header.Get("Cache-Control"), "public") {
		t.Errorf("%v %d bytes", a.header, len(a.body))
	}
	if fmt.Sprint(len(Document())) != fmt.Sprint(len(document)) {
		t.Error("Document is something else")
	}
}
