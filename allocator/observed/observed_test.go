package observed_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"muster/allocator"
	"muster/allocator/allocatortest/ledgersuite"
	"muster/allocator/allocatortest/memoryledger"
	"muster/allocator/memoryinventory"
	"muster/allocator/observed"
)

func metrics(t testing.TB) (*observed.Metrics, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	m, err := observed.New(registry)
	if err != nil {
		t.Fatal(err)
	}
	return m, registry
}

// series reads a family: label values joined by "/" → count or value.
func series(t testing.TB, registry *prometheus.Registry, family string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range families {
		if f.GetName() != family {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := make(map[string]string)
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			values[keyOf(labels)] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}

func keyOf(labels map[string]string) string {
	key := labels["method"] + labels["event"]
	for _, name := range []string{"outcome", "kind"} {
		if labels[name] != "" {
			key += "/" + labels[name]
		}
	}
	return key
}

// The whole suite passes through the decorator, and every method of the port is measured meanwhile.
func TestLedgerIsUnaltered(t *testing.T) {
	m, registry := metrics(t)
	t.Run("suite", func(t *testing.T) {
		ledgersuite.Run(t, func(*testing.T) allocator.Ledger { return m.Ledger(memoryledger.New(time.Now)) })
	})
	l := m.Ledger(memoryledger.New(time.Now))
	ctx := t.Context()
	if _, err := l.Agree(ctx, "secret", make([]byte, 32)); err != nil {
		t.Fatal(err)
	}
	if err := l.Check(ctx); err != nil {
		t.Fatal(err)
	}
	wantMeasured[allocator.Ledger](t, series(t, registry, "muster_ledger_call_seconds"), "Close")
	items := series(t, registry, "muster_ledger_items_total")
	for _, key := range []string{"Publish/published", "Record/recorded", "Void/voided", "Transition/changed"} {
		if items[key] == 0 {
			t.Errorf("no item counted as %s in %v", key, items)
		}
	}
}

func wantMeasured[Port any](t *testing.T, measured map[string]float64, except ...string) {
	t.Helper()
	port := reflect.TypeFor[Port]()
	for i := range port.NumMethod() {
		name := port.Method(i).Name
		if measured[name] == 0 && !strings.Contains(strings.Join(except, " "), name) {
			t.Errorf("%s.%s is not measured", port.Name(), name)
		}
	}
}

// Every method of the inventory answers as the bare one does, before it has an epoch and after, and is measured.
func TestInventoryIsUnaltered(t *testing.T) {
	m, registry := metrics(t)
	now := func() time.Time { return time.Date(2027, 3, 28, 9, 0, 0, 0, time.UTC) }
	bare := memoryinventory.New(memoryinventory.Options{Now: now})
	twin := memoryinventory.New(memoryinventory.Options{Now: now})
	decorated := m.Inventory(twin)
	compare(t, bare, decorated)
	openAll(t, bare)
	openAll(t, decorated)
	compare(t, bare, decorated)
	wantMeasured[allocator.Inventory](t, series(t, registry, "muster_inventory_call_seconds"), "Shards")
	failures := series(t, registry, "muster_inventory_errors_total")
	if failures["Reap/incarnation_lost"]+failures["Reap/epoch_stale"] == 0 {
		t.Errorf("calls without an epoch are not counted as failures: %v", failures)
	}
	if batches := series(t, registry, "muster_inventory_batch_items"); batches["Hold"] == 0 {
		t.Errorf("batches of holds are not measured: %v", batches)
	}
}

func openAll(t *testing.T, inv allocator.Inventory) {
	t.Helper()
	for shard := range inv.Shards() {
		identity, err := inv.Identity(t.Context(), shard)
		if err == nil {
			err = inv.Open(t.Context(), shard, 1, identity, true)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// compare calls every method on both with the same made-up arguments.
func compare(t *testing.T, bare, decorated allocator.Inventory) {
	t.Helper()
	b, d := reflect.ValueOf(bare), reflect.ValueOf(decorated)
	port := reflect.TypeFor[allocator.Inventory]()
	for i := range port.NumMethod() {
		method := port.Method(i)
		var args []reflect.Value
		for in := range method.Type.Ins() {
			args = append(args, sampleOf(in))
		}
		want, got := b.MethodByName(method.Name).Call(args), d.MethodByName(method.Name).Call(args)
		for n := range want {
			if text(want[n]) != text(got[n]) {
				t.Errorf("%s: result %d is %s, want %s", method.Name, n, text(got[n]), text(want[n]))
			}
		}
	}
}

func sampleOf(kind reflect.Type) reflect.Value {
	switch {
	case kind == reflect.TypeFor[context.Context]():
		return reflect.ValueOf(context.Background())
	case kind == reflect.TypeFor[int64]():
		return reflect.ValueOf(int64(1)) // the epoch
	case kind == reflect.TypeFor[allocator.SiteID]():
		return reflect.ValueOf(allocator.SiteID("A"))
	case kind == reflect.TypeFor[[]allocator.HoldItem]():
		return reflect.ValueOf([]allocator.HoldItem{{Site: "A", LengthMs: 1000, GraceMs: 1}})
	case kind == reflect.TypeFor[[]allocator.PinItem]():
		return reflect.ValueOf([]allocator.PinItem{{Site: "A"}})
	default:
		return reflect.Zero(kind)
	}
}

// incarnation is what two inventories never have in common.
var incarnation = regexp.MustCompile(`memory-[0-9a-f]+`)

func text(v reflect.Value) string {
	return incarnation.ReplaceAllString(fmt.Sprintf("%T %+v", v.Interface(), v.Interface()), "memory")
}

// Errors keep their identity, and each kind has its name.
func TestErrorsByKind(t *testing.T) {
	m, registry := metrics(t)
	for want, err := range map[string]error{
		"outcome_unknown": fmt.Errorf("commit: %w (%w)", allocator.ErrOutcomeUnknown, context.DeadlineExceeded),
		"deadline":        fmt.Errorf("%w: %w", allocator.ErrUnavailable, context.DeadlineExceeded),
		"unavailable":     fmt.Errorf("dial: %w", allocator.ErrUnavailable),
		"schema":          allocator.ErrSchema,
		"other":           errors.New("something else"),
	} {
		if got := m.Ledger(failing{err: err}).Check(t.Context()); !errors.Is(got, err) {
			t.Errorf("%v came out as %v", err, got)
		}
		if counts := series(t, registry, "muster_ledger_errors_total"); counts["Check/"+want] != 1 {
			t.Errorf("%v is not counted as %s: %v", err, want, counts)
		}
	}
	m.Count("hold_lost")
	m.Count("hold_lost")
	if events := series(t, registry, "muster_allocator_events_total"); events["hold_lost"] != 2 {
		t.Errorf("events are %v, want 2 of hold_lost", events)
	}
}

type failing struct {
	allocator.Ledger
	err error
}

func (f failing) Check(context.Context) error { return f.err }

// Each decorator hands its own arguments on, in order, to the method of its own name, and returns what that returned.
func TestDecoratorsForward(t *testing.T) {
	for _, file := range []string{"inventory.go", "inventoryrebuild.go", "ledger.go", "ledgerreading.go"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && ast.IsExported(f.Name.Name) && f.Type.Params.NumFields() > 0 &&
				f.Name.Name != "Inventory" && f.Name.Name != "Ledger" {
				wantForwarded(t, f)
			}
		}
	}
}

func wantForwarded(t *testing.T, f *ast.FuncDecl) {
	t.Helper()
	var params, args, results, returned []string
	for _, p := range f.Type.Params.List {
		for _, n := range p.Names {
			params = append(params, n.Name)
		}
	}
	calls := 0
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			call, ok := n.Rhs[0].(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || method.Sel.Name != f.Name.Name {
				return true
			}
			if port, ok := method.X.(*ast.SelectorExpr); !ok || port.Sel.Name != "next" {
				return true
			}
			calls++
			args, results = names(call.Args), names(n.Lhs)
		case *ast.FuncLit:
			return false
		case *ast.ReturnStmt:
			returned = append(returned, names(n.Results)...)
		}
		return true
	})
	if calls != 1 || !reflect.DeepEqual(args, params) || !reflect.DeepEqual(results, returned) {
		t.Errorf("%s must call next.%s(%s) once and return exactly what it answers", f.Name.Name, f.Name.Name, strings.Join(params, ", "))
	}
}

func names(list []ast.Expr) (out []string) {
	for _, e := range list {
		if id, ok := e.(*ast.Ident); ok {
			out = append(out, id.Name)
		} else {
			out = append(out, "?")
		}
	}
	return out
}
