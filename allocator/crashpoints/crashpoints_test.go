package crashpoints

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest/memoryledger"
	"muster/allocator/memoryinventory"
)

// Every method of a port is a step, and every step of a port is one of its methods: whoever adds one adds the other.
func TestEveryMethodIsAStep(t *testing.T) {
	quiet := []string{"Shards"} // never changes, reaches nobody
	for port, methods := range map[string]reflect.Type{
		inventoryPort: reflect.TypeFor[allocator.Inventory](), ledgerPort: reflect.TypeFor[allocator.Ledger](),
	} {
		named := make(map[string]int)
		for _, s := range steps {
			if s.port == port {
				named[s.method]++
			}
		}
		for i := range methods.NumMethod() {
			name := methods.Method(i).Name
			if want := 1 - count(quiet, name); named[name] != want {
				t.Errorf("%s.%s has %d steps, want %d: see the table in points.go", methods.Name(), name, named[name], want)
			}
			delete(named, name)
		}
		for name := range named {
			t.Errorf("a step of %s is its method %s, which it has not", methods.Name(), name)
		}
	}
	all := Points()
	if unique := slices.Compact(slices.Sorted(slices.Values(all))); len(unique) != len(all) {
		t.Errorf("%d points have %d names", len(all), len(unique))
	}
}

func count(list []string, name string) (n int) {
	for _, one := range list {
		if one == name {
			n++
		}
	}
	return n
}

// deaths makes a plan that notes where it would have died instead.
func deaths(t *testing.T, at string) (*Plan, *[]string) {
	t.Helper()
	var died []string
	p, err := FromEnvironment(func(name string) string { return map[string]string{AtVariable: at}[name] })
	if err != nil {
		t.Fatal(err)
	}
	p.die = func(point string, hit int) { died = append(died, fmt.Sprintf("%s %d", point, hit)) }
	return p, &died
}

// Each decorated method dies at its own points, before and after, and at no other.
func TestEveryMethodPassesItsPoints(t *testing.T) {
	for _, s := range steps {
		if s.port != inventoryPort && s.port != ledgerPort {
			continue
		}
		for _, moment := range []string{before, after} {
			p, died := deaths(t, s.name+"/"+moment)
			inventory := p.Inventory(openInventory(t))
			ledger := p.Ledger(memoryledger.New(time.Now))
			callAll(t, reflect.TypeFor[allocator.Inventory](), reflect.ValueOf(inventory))
			callAll(t, reflect.TypeFor[allocator.Ledger](), reflect.ValueOf(ledger))
			if want := []string{s.name + "/" + moment + " 1"}; !slices.Equal(*died, want) {
				t.Errorf("calling each method once died at %q, want %q", *died, want)
			}
		}
	}
}

func openInventory(t *testing.T) allocator.Inventory {
	t.Helper()
	inventory := memoryinventory.New(memoryinventory.Options{Shards: 1})
	identity, err := inventory.Identity(t.Context(), 0)
	if err == nil {
		err = inventory.Open(t.Context(), 0, 1, identity, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return inventory
}

// callAll calls each method of a port once with harmless arguments, and wants it to succeed.
func callAll(t *testing.T, port reflect.Type, on reflect.Value) {
	t.Helper()
	identity := ""
	for i := range port.NumMethod() {
		method := port.Method(i)
		var args []reflect.Value
		for in := range method.Type.Ins() {
			args = append(args, harmless(in, identity))
		}
		results := on.MethodByName(method.Name).Call(args)
		if method.Name == "Identity" {
			identity = results[0].String() // methods come in the order of their names: before Open
		}
		if err, _ := results[len(results)-1].Interface().(error); err != nil {
			t.Errorf("%s.%s: %v", port.Name(), method.Name, err)
		}
	}
}

func harmless(kind reflect.Type, identity string) reflect.Value {
	switch kind {
	case reflect.TypeFor[context.Context]():
		return reflect.ValueOf(context.Background())
	case reflect.TypeFor[int64](): // the epoch, where it is one
		return reflect.ValueOf(int64(1))
	case reflect.TypeFor[string]():
		return reflect.ValueOf(identity)
	case reflect.TypeFor[allocator.Site](): // PutOwnSite wants to know whose it is
		return reflect.ValueOf(allocator.Site{ID: "S1", Publisher: "chain"})
	default:
		return reflect.Zero(kind)
	}
}

// Every route has its reply, so that no answer leaves unseen.
func TestEveryRouteHasItsReply(t *testing.T) {
	text, err := os.ReadFile("../../api/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	reached := make(map[string]bool)
	for path, operations := range document.Paths {
		for method := range operations {
			if method == "parameters" {
				continue // those that the operations share
			}
			step := replyTo(strings.ToUpper(method), path)
			if step == "" {
				t.Errorf("%s %s has no step: see replies", method, path)
			}
			reached[step] = true
		}
	}
	for _, s := range steps {
		if s.port == replyPort && !reached[s.name] {
			t.Errorf("no route is answered by %s", s.name)
		}
	}
}

func TestEnvironment(t *testing.T) {
	for _, test := range []struct {
		variables map[string]string
		passes    int
		dies      string
		wrong     bool
	}{
		{variables: nil, passes: 3},
		{variables: map[string]string{AtVariable: "record/after"}, passes: 3, dies: "record/after 1"},
		{variables: map[string]string{AtVariable: "record/after", HitVariable: "3"}, passes: 2},
		{variables: map[string]string{AtVariable: "record/after", HitVariable: "3"}, passes: 4, dies: "record/after 3"},
		{variables: map[string]string{AtVariable: "record/during"}, wrong: true},
		{variables: map[string]string{AtVariable: "settle-commit/before"}, wrong: true},
		{variables: map[string]string{AtVariable: "record/after", HitVariable: "0"}, wrong: true},
		{variables: map[string]string{AtVariable: "record/after", HitVariable: "often"}, wrong: true},
	} {
		p, err := FromEnvironment(func(name string) string { return test.variables[name] })
		if (err != nil) != test.wrong {
			t.Errorf("%v: error %v", test.variables, err)
		}
		if err != nil {
			continue
		}
		died := ""
		p.die = func(point string, hit int) { died = fmt.Sprintf("%s %d", point, hit) }
		for range test.passes {
			p.pass("record", before)
			p.pass("record", after)
		}
		if died != test.dies {
			t.Errorf("%v after %d passes: died at %q, want %q", test.variables, test.passes, died, test.dies)
		}
	}
}

// A file changes the order while the process runs; what was passed without it, or under another order, does not count.
func TestFile(t *testing.T) {
	file := t.TempDir() + "/order"
	p, err := FromEnvironment(func(name string) string { return map[string]string{FileVariable: file}[name] })
	if err != nil {
		t.Fatal(err)
	}
	var died []string
	p.die = func(point string, hit int) { died = append(died, fmt.Sprintf("%s %d", point, hit)) }
	passes := func(times int, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for range times {
			p.pass("record", after)
			p.pass("void", before)
		}
	}
	p.pass("record", after) // there is no file yet
	passes(1, "record/after 2\n")
	passes(1, "void/before 3\n")
	passes(1, "record/after 2\n")
	passes(2, "nonsense 1\n")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	p.pass("record", after)
	if len(died) > 0 {
		t.Errorf("died at %q, too early", died)
	}
	passes(3, "record/after 2\n")
	passes(1, "void/before 1\n")
	if want := []string{"record/after 2", "void/before 1"}; !slices.Equal(died, want) {
		t.Errorf("died at %q, want %q", died, want)
	}
}

// A call that failed has not happened: it does not pass the point after it.
func TestFailedCallHasNoAfter(t *testing.T) {
	p, died := deaths(t, "record/after")
	if err := p.Around("record", func() error { return allocator.ErrUnavailable }); err != allocator.ErrUnavailable || len(*died) > 0 {
		t.Errorf("error %v, died at %q", err, *died)
	}
}

// Dying is by SIGKILL, says where, and runs nothing more.
func TestDie(t *testing.T) {
	if os.Getenv(AtVariable) != "" {
		p, err := FromEnvironment(os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		defer fmt.Println("deferred")
		_ = p.Around("hold", func() error { return nil })
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestDie$")
	child.Env = append(os.Environ(), AtVariable+"=hold/before")
	var complaint strings.Builder
	child.Stderr = &complaint
	out, _ := child.Output() // it dies: that is the point
	status, ok := child.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Errorf("the child ended by %v", child.ProcessState)
	}
	if complaint.String() != Announcement+"hold/before hit 1\n" || strings.Contains(string(out), "deferred") {
		t.Errorf("it said %q and %q", complaint.String(), out)
	}
}
