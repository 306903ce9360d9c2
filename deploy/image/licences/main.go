// Command licences lists under which licences the modules are that a program is made of: licences [PACKAGE] > licences.md
//
// It reads the licence files in Go's module cache and recognises their texts. Everything that is linked is listed; a module
// whose licence is not recognised, or is not one of those that may be used here, is an error.
package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

//go:generate sh -c "go run . > ../../../docs/licences.md"

func main() {
	program := "muster/cmd/muster"
	if len(os.Args) > 1 {
		program = os.Args[1]
	}
	if err := list(os.Stdout, program); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

const introduction = `# Licences

What the program ` + "`muster`" + ` is made of, besides its own code, and under which licences. Made by
` + "`go generate ./deploy/image/licences`" + ` from the licence files of the modules; a test compares. The image's bill of materials
(` + "`muster.cdx.json`" + `) names the same modules with their versions and sums. The postcodes in ` + "`geo/`" + ` are data with a
[notice of their own](../geo/postcodes.LICENCE.txt); other programs that an installation runs (Redis, PostgreSQL, CockroachDB,
HAProxy) are not part of this one.

| Module | Version | Licence |
|---|---|---|
`

// allowed are the licences that ask for nothing but their notice, and for changes to their own files (MPL).
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MPL-2.0", "Unlicense", "Zlib"}

type module struct{ path, version, folder string }

func list(w io.Writer, program string) error {
	modules, err := linked(program)
	if err != nil {
		return err
	}
	var faults []error
	var page bytes.Buffer
	page.WriteString(introduction)
	for _, m := range modules {
		found, err := licencesIn(m.folder)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", m.path, err))
		}
		fmt.Fprintf(&page, "| %s | %s | %s |\n", m.path, m.version, strings.Join(found, ", "))
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	_, err = w.Write(page.Bytes())
	return err
}

// form has go list name the module of each package that is linked: the one that stands in for it, where one does.
const form = `{{with .Module}}{{if not .Main}}{{$m := .}}{{with .Replace}}{{$m = .}}{{end}}{{$m.Path}} {{$m.Version}} {{.Dir}}{{end}}{{end}}`

// linked finds the modules of a program in this build's settings, and Go itself.
func linked(program string) ([]module, error) {
	var complaints bytes.Buffer
	command := exec.Command("go", "list", "-deps", "-f", form, program)
	command.Stderr = &complaints
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, complaints.String())
	}
	version, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	all := []module{{"Go's standard library and runtime", "as built", strings.TrimSpace(string(version))}}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) == 3 {
			all = append(all, module{f[0], f[1], f[2]})
		}
	}
	slices.SortFunc(all[1:], func(a, b module) int { return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.version, b.version)) })
	return slices.Compact(all), nil
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)`)

// licencesIn recognises the licences of a module.
func licencesIn(folder string) (found []string, err error) {
	files, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if file.IsDir() || !licenceFile.MatchString(file.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, file.Name()))
		if err != nil {
			return nil, err
		}
		for _, match := range licensecheck.Scan(text).Match {
			if !match.IsURL && !slices.Contains(found, match.ID) {
				found = append(found, match.ID)
			}
		}
	}
	slices.Sort(found)
	if len(found) == 0 {
		return nil, errors.New("no licence is recognised")
	}
	for _, licence := range found {
		if !slices.Contains(allowed, licence) {
			return found, fmt.Errorf("%s is not among the licences that may be used: %v", licence, allowed)
		}
	}
	return found, nil
}
