package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// linked asks the Go command, which reads the program by itself, what is in this test.
func linked(t *testing.T, program string) map[string]bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "version", "-m", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	found, last := map[string]bool{}, ""
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] != "dep" && f[0] != "=>" {
			continue
		}
		if f[0] == "=>" { // stands for the line before
			delete(found, last)
		}
		last = f[1] + "@" + f[2]
		found[last] = true
	}
	return found
}

func describe(t *testing.T, args ...string) (document, []byte) {
	t.Helper()
	var out bytes.Buffer
	if err := run(args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(out.Bytes()))
	decoder.DisallowUnknownFields()
	var d document
	if err := decoder.Decode(&d); err != nil {
		t.Fatal(err)
	}
	return d, out.Bytes()
}

// The bill of a real program names exactly the modules that the linker put in, each once, and the program's own sum.
func TestBillNamesWhatIsLinked(t *testing.T) {
	program := build(t)
	d, text := describe(t, "-version", "1.2.3", program)
	want := linked(t, program)
	if len(want) < 10 {
		t.Fatalf("only %d modules are linked: this is not the program", len(want))
	}
	for _, c := range d.Components {
		if c.Name == "stdlib" {
			continue
		}
		if !want[c.Ref] {
			t.Errorf("%s is named, but not linked, or named twice", c.Ref)
		}
		delete(want, c.Ref)
		if c.PURL != "pkg:golang/"+strings.ReplaceAll(c.Ref, "+", "%2B") {
			t.Errorf("%s has the package URL %s", c.Ref, c.PURL)
		}
	}
	if len(want) > 0 {
		t.Errorf("linked, but not named: %v", want)
	}
	bytesOf, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(bytesOf)
	own := d.Metadata.Component
	if own.Hashes[0].Content != hex.EncodeToString(sum[:]) || own.Version != "1.2.3" || own.Ref != "muster/cmd/muster" {
		t.Errorf("the program itself is described as %+v", own)
	}
	if len(d.Dependencies) != 1 || len(d.Dependencies[0].DependsOn) != len(d.Components) {
		t.Errorf("not every component is depended on: %+v", d.Dependencies)
	}
	if _, again := describe(t, "-version", "1.2.3", program); !bytes.Equal(text, again) {
		t.Error("the same program has two bills")
	}
	if !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(d.SerialNumber) {
		t.Errorf("serial number %s", d.SerialNumber)
	}
}

func TestReplacedModulesAreNamedAsLinked(t *testing.T) {
	d, _ := describe(t, build(t))
	for _, c := range d.Components {
		for _, p := range c.Properties {
			if p.Name == "muster:replaces" && strings.HasPrefix(p.Value, "github.com/molecule-man/go-brrr@") && c.Version != strings.TrimPrefix(p.Value, c.Name+"@") {
				return
			}
		}
	}
	t.Error("go.mod replaces go-brrr, and the bill does not tell")
}

func TestNoProgramNoBill(t *testing.T) {
	for _, args := range [][]string{{}, {"a", "b"}, {"/nowhere/at/all"}, {"main.go"}, {"-nonsense"}} {
		if err := run(args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q made a bill", args)
		}
	}
}

var built string

// build links the program once, as the image does.
func build(t *testing.T) string {
	t.Helper()
	if built == "" {
		folder, err := os.MkdirTemp("", "muster-sbom")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, "muster")
		cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", "timetzdata", "-o", path, "muster/cmd/muster")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		built = path
	}
	return built
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(filepath.Dir(built))
	}
	os.Exit(code)
}
