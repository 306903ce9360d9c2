package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	aTest     = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z]\w*)\(\w+ \*testing\.[TF]\)`)
	namedTest = regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w*)`")
	promise   = regexp.MustCompile(`\bP([1-9]|1[0-2])\b`)
)

// The threats and hazards that are said to be under control have the tests that are said to prove it: every name is one of a test
// of this repository, and every row of those tables has one.
func TestNamedTestsExist(t *testing.T) {
	there := allTests(t)
	for path, promised := range map[string]bool{"../../docs/security.md": false, "../../docs/hazards.md": true} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range namedTest.FindAllStringSubmatch(string(text), -1) {
			if !there[name[1]] {
				t.Errorf("%s names %s, which is no test: has it another name now?", path, name[1])
			}
		}
		rows := 0
		for line := range strings.Lines(string(text)) {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			last := strings.TrimSpace(cells[len(cells)-1])
			if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || last == "Proved by" || last == "Tests" {
				continue
			}
			rows++
			if !namedTest.MatchString(last) {
				t.Errorf("%s: no test proves %.100s", path, line)
			}
			if promised && !promise.MatchString(cells[len(cells)-2]) {
				t.Errorf("%s: no promise of the protocol's in %.100s", path, line)
			}
		}
		if rows < 15 {
			t.Errorf("%s has %d rows: this test does not see its tables", path, rows)
		}
	}
}

// allTests finds every test and fuzz target of the repository.
func allTests(t *testing.T) map[string]bool {
	t.Helper()
	there := make(map[string]bool)
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, name := range aTest.FindAllStringSubmatch(string(text), -1) {
			there[name[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return there
}
