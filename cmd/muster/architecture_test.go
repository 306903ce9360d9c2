package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A room is a package and what it may import, besides the harmless part of the standard library. docs/architecture.md
// tells why.
type room struct {
	path string
	// may lists what its production code imports from this module and others: a path, or a path and all below it (…/*).
	may []string
	// testing rooms are for tests only: no production code imports them.
	testing bool
	// outside says that it may use the network, files, processes, the terminal or a database through the standard library.
	outside bool
}

const (
	core       = "muster/allocator"
	redisLib   = "github.com/redis/go-redis/v9/*"
	metricsLib = "github.com/prometheus/client_golang/*"
	pgxLib     = "github.com/jackc/pgx/v5/*"
	joseLib    = "github.com/go-jose/go-jose/v4/*"
	otelLib    = "go.opentelemetry.io/otel/*"
	gooseLib   = "github.com/pressly/goose/v3/*"
	syncLib    = "golang.org/x/sync/errgroup"
	vegetaLib  = "github.com/tsenart/vegeta/v12/lib"
)

var rooms = []room{
	{path: "muster/allocator", may: []string{"muster/allocator/keyring"}},
	{path: "muster/allocator/keyring"},
	{path: "muster/allocator/memoryinventory", may: []string{core}},
	{path: "muster/allocator/redisinventory", may: []string{core, redisLib}, outside: true},
	{path: "muster/allocator/sqliteledger", may: []string{core, gooseLib, "modernc.org/sqlite/*"}, outside: true},
	{path: "muster/allocator/cockroachledger", may: []string{core, pgxLib, gooseLib, "github.com/cockroachdb/cockroach-go/v2/*"}, outside: true},
	{path: "muster/admission"},
	{path: "muster/allocator/guarded", may: []string{core, "muster/admission", metricsLib}},
	{path: "muster/allocator/observed", may: []string{core, metricsLib}},
	{path: "muster/allocator/trail", may: []string{core}},
	{path: "muster/allocator/crashpoints", may: []string{core, "modernc.org/sqlite"}, outside: true},
	{path: "muster/allocator/allocatortest", may: []string{core}, testing: true},
	{path: "muster/allocator/allocatortest/checkers", may: []string{core, "github.com/anishathalye/porcupine"}, testing: true},
	{path: "muster/allocator/allocatortest/faults", may: []string{core}, testing: true},
	{path: "muster/allocator/allocatortest/inventorysuite", may: []string{core, "muster/allocator/memoryinventory"}, testing: true, outside: true},
	{path: "muster/allocator/allocatortest/ledgersuite", may: []string{core, "muster/allocator/allocatortest/memoryledger", "pgregory.net/rapid"}, testing: true},
	{path: "muster/allocator/allocatortest/memoryledger", may: []string{core}, testing: true},
	{path: "muster/allocator/allocatortest/mutants", testing: true, outside: true},
	{path: "muster/allocator/allocatortest/reliability", may: []string{"muster/allocator/allocatortest/checkers"}, testing: true, outside: true},
	{path: "muster/allocator/allocatortest/reliability/report", may: []string{"muster/allocator/allocatortest/reliability"}, testing: true, outside: true},
	{path: "muster/allocator/allocatortest/simulation", may: []string{
		core, "muster/allocator/redisinventory", "muster/allocator/allocatortest", "muster/allocator/allocatortest/checkers",
		"muster/allocator/allocatortest/faults", "muster/allocator/allocatortest/memoryledger",
		redisLib, "github.com/alicebob/miniredis/v2/*", "github.com/yuin/gopher-lua/*",
	}, testing: true, outside: true},
	{path: "muster/allocator/allocatortest/servers", may: []string{"muster/loadtest/processes", pgxLib}, testing: true, outside: true},
	{path: "muster/loadtest/crash", testing: true, outside: true},
	{path: "muster/loadtest/abuse", testing: true},
	{path: "muster/loadtest/overload", testing: true},
	{path: "muster/loadtest/rehearsal", testing: true, outside: true},
	{path: "muster/bench", may: []string{
		core, "muster/allocator/cockroachledger", "muster/allocator/redisinventory", "muster/allocator/sqliteledger", "muster/bench/baseline", "muster/cmd/muster/sample",
		"muster/geo", "muster/loadtest/processes", pgxLib, redisLib,
	}, outside: true},
	{path: "muster/bench/baseline", may: []string{core, "github.com/valyala/fasthttp", pgxLib, redisLib}, outside: true},
	{path: "muster/deploy/image/licences", may: []string{"github.com/google/licensecheck"}, outside: true},
	{path: "muster/deploy/image/sbom", outside: true},
	{path: "muster/geo", outside: true},
	{path: "muster/geo/internal/postcodegen", may: []string{"muster/geo", "muster/geo/internal/postcodetar"}, outside: true},
	{path: "muster/geo/internal/postcodetar", outside: true},
	{path: "muster/api/callers", may: []string{core}},
	{path: "muster/api/daytable", may: []string{core}},
	{path: "muster/api/worklist", may: []string{joseLib}},
	{path: "muster/api", may: []string{core, "muster/admission", "muster/api/callers", "muster/api/daytable", "muster/api/fhir", "muster/api/framing", "muster/api/tokens", "muster/api/worklist", "muster/waitingroom", "muster/webhooks", "github.com/valyala/fasthttp", "github.com/fasthttp/router", metricsLib}, outside: true},
	{path: "muster/api/framing", outside: true},
	{path: "muster/api/tokens", may: []string{metricsLib, joseLib}, outside: true},
	{path: "muster/api/fhir", may: []string{core}},
	{path: "muster/api/fhir/fhirtest", may: []string{"github.com/santhosh-tekuri/jsonschema/v6"}, testing: true},
	{path: "muster/cmd/muster", may: []string{"muster/*", "github.com/alecthomas/kong", metricsLib, redisLib, syncLib}, outside: true},
	{path: "muster/cmd/muster/bulk", may: []string{core, syncLib, "muster/api/daytable"}, outside: true},
	{path: "muster/cmd/muster/devissuer", may: []string{joseLib}, outside: true},
	{path: "muster/cmd/muster/linksimport", may: []string{core, "muster/cmd/muster/bulk", "muster/publicweb", syncLib}, outside: true},
	{path: "muster/cmd/muster/sample", may: []string{core}},
	{path: "muster/cmd/muster/tracing", may: []string{core, "muster/allocator/observed", otelLib}},
	{path: "muster/publicweb", outside: true},
	{path: "muster/smartlinks", may: []string{core, "github.com/klauspost/compress/flate"}},
	{path: "muster/smartlinks/linkstest", testing: true, outside: true},
	{path: "muster/waitingroom", may: []string{core}},
	{path: "muster/webhooks", may: []string{core, "muster/publicweb", metricsLib}, outside: true},
	{path: "muster/loadtest/attack", may: []string{
		"muster/loadtest/audit", "muster/loadtest/people", "muster/loadtest/profile", "muster/loadtest/result", "github.com/valyala/fasthttp", vegetaLib,
	}, outside: true},
	{path: "muster/loadtest/audit", may: []string{core, "muster/loadtest/result", syncLib}, outside: true},
	{path: "muster/loadtest/chaos", testing: true},
	{path: "muster/loadtest/fakeserver", testing: true, outside: true},
	{path: "muster/loadtest/installation", may: []string{core, "muster/allocator/cockroachledger", "muster/allocator/redisinventory", "muster/allocator/sqliteledger", "muster/allocator/allocatortest", "muster/allocator/allocatortest/checkers", "muster/allocator/allocatortest/servers", "muster/loadtest/processes", pgxLib, redisLib, "github.com/Shopify/toxiproxy/v2/*", "github.com/rs/zerolog"}, testing: true, outside: true},
	{path: "muster/loadtest/people", may: []string{"muster/geo", "muster/loadtest/profile"}},
	{path: "muster/loadtest/processes", may: []string{redisLib}, outside: true},
	{path: "muster/loadtest/profile", may: []string{"github.com/oasdiff/yaml", vegetaLib}},
	{path: "muster/loadtest/report", may: []string{"muster/geo", "muster/loadtest/people", "muster/loadtest/profile", "muster/loadtest/result"}},
	{path: "muster/loadtest/result", may: []string{
		"muster/geo", "muster/loadtest/profile", "muster/loadtest/threshold", "github.com/HdrHistogram/hdrhistogram-go",
	}, outside: true},
	{path: "muster/loadtest/threshold"},
	{path: "muster/loadtest/world", may: []string{core, "muster/cmd/muster/sample", "muster/loadtest/attack", "muster/loadtest/result"}, outside: true},
}

// world is what the standard library offers to reach out of the process: not for rooms that decide.
var world = []string{"net/*", "os/*", "database/sql", "syscall", "plugin", "expvar", "testing"}

// harmless parts of it.
var harmless = []string{"net/url", "net/netip"}

type goPackage struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	var complaints bytes.Buffer
	list := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,GoFiles,Imports", "muster/...")
	list.Stderr = &complaints
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, complaints.String())
	}
	var all []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func covers(pattern, path string) bool {
	below, all := strings.CutSuffix(pattern, "/*")
	return path == below || all && strings.HasPrefix(path, below+"/")
}

func anyCovers(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return covers(pattern, path) })
}

// Every package has a row, every row a package, and every import is allowed.
func TestRooms(t *testing.T) {
	rows := make(map[string]room)
	for _, r := range rooms {
		rows[r.path] = r
	}
	found := make(map[string]bool)
	for _, p := range packages(t) {
		found[p.ImportPath] = true
		r, ok := rows[p.ImportPath]
		if !ok {
			t.Errorf("%s has no row: add one to rooms in cmd/muster/architecture_test.go that lists the least it may import, and tell of it in docs/architecture.md", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if why := r.refuses(imported, rows); why != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, why)
			}
		}
		for _, pattern := range r.may {
			if pattern != "muster/*" && !slices.ContainsFunc(p.Imports, func(imported string) bool { return covers(pattern, imported) }) {
				t.Errorf("%s may import %s, and does not: take that out of its row", p.ImportPath, pattern)
			}
		}
	}
	for _, r := range rooms {
		if !found[r.path] {
			t.Errorf("%s has a row and is no package: take its row out of cmd/muster/architecture_test.go", r.path)
		}
	}
}

// refuses tells why a room may not import a path; "" where it may.
func (r room) refuses(path string, rows map[string]room) string {
	first, _, _ := strings.Cut(path, "/")
	switch own := first == "muster"; {
	case own && rows[path].testing && !r.testing:
		return "that is for tests only: move what both need into a room of its own"
	case own || strings.Contains(first, "."):
		if !anyCovers(r.may, path) {
			return fmt.Sprintf("its row allows only %v: go through a port of allocator/ports.go, or, where the room really grows, change its row and docs/architecture.md together", r.may)
		}
	case path == "testing" && r.testing || anyCovers(harmless, path):
	case anyCovers(world, path) && !r.outside:
		return "this room decides and touches nothing outside: take what it needs as an argument"
	}
	return ""
}

// The core reads no clock but the one that it is given (P9: no safety rule reads an application clock).
func TestCoreReadsNoClock(t *testing.T) {
	const remedy = "ask the Clock of the Config, or the inventory's or the ledger's own time"
	files, err := filepath.Glob("../../allocator/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of the core: %v", err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && (f.Name.Name == "Now" && f.Recv != nil || f.Name.Name == "bounded" || f.Name.Name == "machineTime") {
				continue // the default Clock; and how long contexts, which run on the machine's clock, have left
			}
			ast.Inspect(d, func(n ast.Node) bool {
				use, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if from, ok := use.X.(*ast.Ident); ok && from.Name == "time" && slices.Contains([]string{"Now", "Since", "Until"}, use.Sel.Name) {
					t.Errorf("%s reads the wall clock: %s", set.Position(use.Pos()), remedy)
				}
				return true
			})
		}
	}
}

// The rules themselves refuse what they should.
func TestRoomsRefuse(t *testing.T) {
	rows := map[string]room{"muster/helpers": {path: "muster/helpers", testing: true}}
	r := room{path: "muster/x", may: []string{core, "example.org/a/*"}}
	for path, refused := range map[string]bool{
		core: false, "example.org/a": false, "example.org/a/b": false, "strings": false, "net/url": false, "context": false,
		"example.org/ab": true, "muster/api": true, "muster/helpers": true, "net/http": true, "os": true, "database/sql": true, "testing": true,
	} {
		if why := r.refuses(path, rows); (why != "") != refused {
			t.Errorf("importing %s: %q, want refused %v", path, why, refused)
		}
	}
}
