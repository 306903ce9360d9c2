package validate

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// instructions are a Dockerfile's, each on one line.
func instructions(t testing.TB) (all []string) {
	t.Helper()
	joined := strings.ReplaceAll(read(t, "image", "Dockerfile"), "\\\n", " ")
	for line := range strings.Lines(joined) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			all = append(all, strings.Join(strings.Fields(line), " "))
		}
	}
	return all
}

// The image holds the program and what it reads, belongs to nobody, and takes its version as `make build` gives it.
func TestImageIsSmallAndNobodys(t *testing.T) {
	all := instructions(t)
	last := 0
	for i, line := range all {
		if strings.HasPrefix(line, "FROM ") {
			last = i
		}
	}
	final := all[last:]
	for _, want := range []string{"FROM scratch", "USER 65532:65532", `ENTRYPOINT ["/muster"]`, "COPY --from=build /image/muster /muster",
		"COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt",
		"COPY --from=build /image/muster.cdx.json /usr/share/sbom/muster.cdx.json"} {
		if !slices.Contains(final, want) {
			t.Errorf("the image lacks %q", want)
		}
	}
	for _, line := range final {
		if strings.HasPrefix(line, "RUN ") || strings.HasPrefix(line, "HEALTHCHECK") || strings.HasPrefix(line, "ADD ") {
			t.Errorf("an empty image cannot do: %s", line)
		}
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{"CGO_ENABLED=0", "-tags timetzdata", "-trimpath", "-X main.version=${VERSION}", "-X main.commit=${COMMIT}"} {
		if !strings.Contains(text, want) {
			t.Errorf("the program is not linked with %s", want)
		}
	}
	if !strings.Contains(read(t, "..", "Makefile"), "-X main.version=$(VERSION) -X main.commit=$(COMMIT)") {
		t.Error("make build gives the version in another way than the image")
	}
	if version := strings.TrimPrefix(all[0], "ARG GO_VERSION="); !strings.HasPrefix(version, "1.26.") {
		t.Errorf("the image is built with Go %s, go.mod asks for 1.26", version)
	}
}

// What go build reads of this repository goes to the builder: a package left out would fail there, and only there.
func TestBuilderGetsWhatIsCompiled(t *testing.T) {
	ignore := strings.Fields(read(t, "image", "Dockerfile.dockerignore"))
	out, err := run(t, filepath.Join(deploy, ".."), "go", "list", "-deps", "-f", "{{with .Module}}{{if .Main}}{{$.Dir}}{{end}}{{end}}",
		"./cmd/muster", "./deploy/image/sbom")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	root, err := filepath.Abs(filepath.Join(deploy, ".."))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for folder := range strings.FieldsSeq(out) {
		path, err := filepath.Rel(root, folder)
		if err != nil {
			t.Fatal(err)
		}
		seen++
		if !slices.ContainsFunc(ignore, func(line string) bool {
			kept, ok := strings.CutPrefix(line, "!")
			return ok && (path == kept || strings.HasPrefix(path, kept+"/"))
		}) {
			t.Errorf("the builder does not get %s", path)
		}
	}
	if seen < 8 {
		t.Errorf("%d packages were looked at", seen)
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil || !slices.Contains(ignore, "!"+name) {
			t.Errorf("the builder does not get %s: %v", name, err)
		}
	}
}
