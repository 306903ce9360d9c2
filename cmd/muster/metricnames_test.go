package main

import (
	"bytes"
	"crypto/cipher"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"muster/allocator"
	"muster/allocator/allocatortest/memoryledger"
	"muster/allocator/guarded"
	"muster/allocator/observed"
	"muster/allocator/trail"
	"muster/api"
	"muster/webhooks"
)

// deploy/prometheus/metrics.json tells every metric of the program, its labels, and the values that a label can have. The
// dashboards and alerts of deploy/ are checked against that file (deploy/validate), and the file here against the program:
// what the code registers, what it can count, and what a running server really shows.
//
//	go test ./cmd/muster -run TestMetricsAreListed -metrics.write      writes it anew

var writeMetrics = flag.Bool("metrics.write", false, "write deploy/prometheus/metrics.json")

const metricsFile = "../../deploy/prometheus/metrics.json"

// metricEntry is one metric: its labels with their possible values; none listed: any.
type metricEntry struct {
	Help   string              `json:"help"`
	Labels map[string][]string `json:"labels"`
}

// noting is a registry that keeps what is registered.
type noting struct{ collectors []prometheus.Collector }

func (n *noting) Register(c prometheus.Collector) error {
	n.collectors = append(n.collectors, c)
	return nil
}
func (n *noting) MustRegister(cs ...prometheus.Collector) {
	n.collectors = append(n.collectors, cs...)
}
func (n *noting) Unregister(prometheus.Collector) bool { return false }

// descText reads what a Desc says of itself: it has no other way to be asked.
var descText = regexp.MustCompile(`fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"), .*variableLabels: \{([^}]*)\}`)

// registered lists what the program's parts register.
func registered(t *testing.T) map[string]metricEntry {
	t.Helper()
	var all noting
	if _, err := observed.New(&all); err != nil {
		t.Fatal(err)
	}
	if _, err := guarded.New(&all); err != nil {
		t.Fatal(err)
	}
	if _, err := api.New(api.Options{Registerer: &all}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := webhooks.New(webhooks.Options{
		Registerer: &all, Ledger: memoryledger.New(time.Now), Source: (*allocator.Allocator)(nil), View: api.EventView, Seal: struct{ cipher.AEAD }{},
	}); err != nil {
		t.Fatal(err)
	}
	if err := measureTrail(&all, trail.New(nil, trail.Key{}, nil, time.Now)); err != nil {
		t.Fatal(err)
	}
	entries := map[string]metricEntry{}
	for _, c := range all.collectors {
		descs := make(chan *prometheus.Desc, 64)
		c.Describe(descs)
		close(descs)
		for d := range descs {
			m := descText.FindStringSubmatch(d.String())
			if m == nil {
				t.Fatalf("cannot read %s", d)
			}
			name, err := strconv.Unquote(m[1])
			help, err2 := strconv.Unquote(m[2])
			if err != nil || err2 != nil {
				t.Fatalf("cannot read %s", d)
			}
			labels := map[string][]string{}
			for l := range strings.SplitSeq(m[3], ",") {
				if l != "" {
					labels[l] = nil
				}
			}
			entries[name] = metricEntry{help, labels}
		}
	}
	return entries
}

// literals finds strings in the sources of a package that is not for tests.
func literals(t *testing.T, folder string, visit func(n ast.Node)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v", folder, err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool { visit(n); return true })
	}
}

func text(e ast.Expr) (string, bool) {
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(literal.Value)
	return s, err == nil
}

// codes are the values of constants of the type allocator.Code.
func codes(t *testing.T) map[string]bool {
	found := map[string]bool{}
	for _, folder := range []string{"../../allocator", "../../api"} {
		literals(t, folder, func(n ast.Node) {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Names) != 1 || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Code") {
				return
			}
			if s, ok := text(spec.Values[0]); ok {
				found[s] = true
			}
		})
	}
	return found
}

// events are what the allocator counts: a literal, or one of two families.
func events(t *testing.T) []string {
	found := map[string]bool{}
	literals(t, "../../allocator", func(n ast.Node) {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 1 {
			return
		}
		var name string
		switch f := call.Fun.(type) {
		case *ast.SelectorExpr:
			name = f.Sel.Name
		case *ast.Ident:
			name = f.Name
		}
		if name != "Count" && name != "count" {
			return
		}
		if s, ok := text(call.Args[0]); ok {
			found[s] = true
			return
		}
		sum, ok := call.Args[0].(*ast.BinaryExpr)
		if !ok {
			return // handed on
		}
		if s, ok := text(sum.X); ok && s == "confirm_refused_" {
			for code := range codes(t) {
				found[s+code] = true
			}
		} else if s, ok := text(sum.Y); ok && s == "_failed" {
			found["settle_failed"], found["free_failed"] = true, true
		} else {
			t.Errorf("an event has a name that this test does not know how to read")
		}
	})
	return slices.Sorted(maps.Keys(found))
}

// named are the strings in package variables of observed.
func named(t *testing.T, variables ...string) []string {
	found := map[string]bool{}
	literals(t, "../../allocator/observed", func(n ast.Node) {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !slices.Contains(variables, spec.Names[0].Name) {
			return
		}
		for _, v := range spec.Values {
			ast.Inspect(v, func(n ast.Node) bool {
				if e, ok := n.(ast.Expr); ok {
					if s, ok := text(e); ok {
						found[s] = true
					}
				}
				return true
			})
		}
	})
	return slices.Sorted(maps.Keys(found))
}

// methods are those of a port.
func methods(port reflect.Type) (names []string) {
	for i := range port.NumMethod() {
		names = append(names, port.Method(i).Name)
	}
	return names
}

// operations are the contract's, and the two of requests outside it.
func operations(t *testing.T) []string {
	data, err := os.ReadFile("../../api/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	found := []string{"options", "unknown"}
	for _, m := range regexp.MustCompile(`"operationId":\s*"([A-Za-z]+)"`).FindAllStringSubmatch(string(data), -1) {
		found = append(found, m[1])
	}
	slices.Sort(found)
	return found
}

// listed is what the file should say.
func listed(t *testing.T) map[string]metricEntry {
	entries := registered(t)
	entries["muster_search_snapshot_age_seconds"] = metricEntry{"How far searches lag behind the inventory.", map[string][]string{}}
	values := map[string][]string{
		"event": events(t), "operation": operations(t), "class": {"1xx", "2xx", "3xx", "4xx", "5xx"},
		"port": {"inventory", "ledger"}, "admission_class": {"bulk", "feed", "finish", "hold", "search", "staff"}, "reason": {"full", "late", "waited"},
		"limit": {"address", "client", "person", "visitor"}, "proof": {"accepted", "asked", "rejected"}, "cause": {"busy", "squatting"},
		"issuer": {"clients", "staff"}, "result": {"ok", "failed"}, "step": {"booked", "entered", "held", "joined", "looked", "refused"},
		"state": {"delivering", "failing", "disabled"}, "why": {webhooks.DisabledGone, webhooks.DisabledFailing},
		"code": slices.Sorted(maps.Keys(codes(t))), "kind": append(named(t, "kinds"), "other"),
		"outcome": append(named(t, "holdOutcomes", "grantStates", "applyOutcomes", "publishOutcomes", "recordOutcomes", "builderOutcomes",
			"transitionStates"), "changed", "unnamed"),
	}
	values["code"] = append(values["code"], "OK")
	for name, e := range entries {
		for label := range e.Labels {
			v := values[label]
			switch {
			case label == "method" && strings.HasPrefix(name, "muster_ledger_"):
				v = methods(reflect.TypeFor[allocator.Ledger]())
			case label == "method":
				v = methods(reflect.TypeFor[allocator.Inventory]())
			}
			v = slices.Clone(v)
			slices.Sort(v)
			e.Labels[label] = slices.Compact(v)
		}
	}
	return entries
}

func TestMetricsAreListed(t *testing.T) {
	data, err := json.MarshalIndent(listed(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	data = append(data, '\n')
	if *writeMetrics {
		if err := os.WriteFile(metricsFile, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(metricsFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, kept) {
		t.Errorf("%s does not tell what the program counts: go test ./cmd/muster -run TestMetricsAreListed -metrics.write", metricsFile)
	}
}

// busy drives a server through what operators ask about.
func busy(t *testing.T, s *server) {
	s.world("MA001", 1)
	s.staff("PUT", roomPath, object{"mode": "by_load"}).want(200)
	booked := s.hold("MA001", soon())
	s.call("POST", "/v1/holds", claim("MA001", soon())).want(409, allocator.CodeSlotFull)
	s.confirm(booked, person(1)).want(201)
	s.call("POST", "/v1/holds", "{").want(400, allocator.CodeInvalid)
	item := claim("MA001", soon())
	item["idempotencyKey"] = "metrics-1"
	s.call("POST", "/v1/holds:batch", object{"holds": []object{item}}).want2xx()
	s.call("GET", "/v1/nowhere", nil).want(404)
}

// series is a line of what a server shows.
type series struct {
	name   string
	labels map[string]string
}

var (
	sampleLine  = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? \S+$`)
	sampleLabel = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)
)

// scrape reads what a server shows of its own, a histogram's series by the histogram's name and without le.
func scrape(t *testing.T, s *server) (all []series) {
	reply, err := client.Get(s.ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	data, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		m := sampleLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil || !strings.HasPrefix(m[1], "muster_") {
			continue
		}
		one := series{m[1], map[string]string{}}
		for _, suffix := range []string{"_seconds_bucket", "_seconds_sum", "_seconds_count", "_items_bucket", "_items_sum", "_items_count"} {
			if base, ok := strings.CutSuffix(one.name, suffix); ok {
				one.name = base + suffix[:strings.LastIndexByte(suffix, '_')]
			}
		}
		for _, l := range sampleLabel.FindAllStringSubmatch(m[2], -1) {
			if l[1] != "le" {
				one.labels[l[1]] = l[2]
			}
		}
		all = append(all, one)
	}
	return all
}

// A running server shows only what is listed, with listed labels and values, and shows all that dashboards count on.
func TestMetricsAreAsListed(t *testing.T) {
	known, shown := listed(t), map[string]bool{}
	s := serve(t, append(embedded(t), newTrust(t).flags...)...)
	busy(t, s)
	refused := false
	for _, one := range scrape(t, s) {
		entry, ok := known[one.name]
		if !ok {
			t.Errorf("the program shows %s, which is not listed", one.name)
			continue
		}
		shown[one.name] = true
		if len(one.labels) != len(entry.Labels) {
			t.Errorf("%s has labels %v, listed are %v", one.name, one.labels, entry.Labels)
		}
		for label, value := range one.labels {
			if values := entry.Labels[label]; len(values) > 0 && !slices.Contains(values, value) {
				t.Errorf("%s{%s=%q} is not listed", one.name, label, value)
			}
		}
		refused = refused || one.labels["operation"] == "createHold" && one.labels["code"] == "SLOT_FULL" && one.labels["status"] == "409"
	}
	for name := range known {
		if !shown[name] && !strings.HasSuffix(name, "_errors_total") && !strings.HasSuffix(name, "_refused_total") {
			t.Errorf("%s was not shown by a server that was asked for all", name)
		}
	}
	if !refused {
		t.Error("a refused hold is not told apart")
	}
}
