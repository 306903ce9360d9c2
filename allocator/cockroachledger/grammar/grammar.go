// Package grammar reads SQL files with CockroachDB's own parser, without a server, and refuses what
// CockroachDB would refuse, and what it accepts but answers otherwise than PostgreSQL does.
//
// It is a Go module of its own: the parser is large (minutes of compiling), carries some sixty dependencies, and
// none of that belongs in the program or in the everyday `go test ./...`. `make test` runs it.
package grammar

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/cockroachdb/cockroachdb-parser/pkg/sql/parser"
)

// Finding is one statement that must not ship, and why.
type Finding struct {
	File      string
	Line      int    // of the statement's first word, from 1
	Name      string // from `-- name: Xyz`, when the file has such lines
	Statement string
	Problem   string
}

func (f Finding) String() string {
	name := ""
	if f.Name != "" {
		name = " (" + f.Name + ")"
	}
	return fmt.Sprintf("%s:%d%s: %s\n\t%s", f.File, f.Line, name, f.Problem,
		strings.ReplaceAll(strings.TrimSpace(f.Statement), "\n", "\n\t"))
}

// CheckDir checks every *.sql file below dir and says how many there were.
func CheckDir(dir string) (files int, findings []Finding, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".sql" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		findings = append(findings, Check(path, string(text))...)
		return nil
	})
	return files, findings, err
}

var nameLine = regexp.MustCompile(`(?m)^--[ \t]*name:[ \t]*(\S+).*$`)

// Check checks the text of one file: statements ended by semicolons, in sections begun by `-- name: Xyz` lines if it
// has any. A named section ends its last statement, with or without a semicolon. goose's annotations are comments.
func Check(file, text string) []Finding {
	var findings []Finding
	statements := 0
	starts := nameLine.FindAllStringSubmatchIndex(text, -1)
	head := len(text)
	if len(starts) > 0 {
		head = starts[0][0]
	}
	section := func(name string, from, to int) {
		found, n := checkSection(file, text, name, from, to)
		findings = append(findings, found...)
		statements += n
		if n == 0 && name != "" {
			findings = append(findings, Finding{File: file, Line: lineAt(text, from), Name: name,
				Problem: "a name without a statement"})
		}
	}
	section("", 0, head)
	for i, start := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		section(text[start[2]:start[3]], start[0], end)
	}
	if statements == 0 && len(starts) == 0 {
		findings = append(findings, Finding{File: file, Line: 1, Problem: "a file without a statement"})
	}
	return findings
}

// checkSection checks the statements of text[from:to] and says how many there were.
func checkSection(file, text, name string, from, to int) (findings []Finding, statements int) {
	for from < to {
		length, ok := parser.SplitFirstStatement(text[from:to])
		if !ok {
			length = to - from
		}
		statement := text[from : from+length]
		code := blank(statement)
		first := strings.IndexFunc(code, func(r rune) bool { return !strings.ContainsRune(" \t\r\n;", r) })
		if first >= 0 {
			statements++
			for _, problem := range problems(statement, code) {
				findings = append(findings, Finding{File: file, Line: lineAt(text, from+first), Name: name,
					Statement: statement[first:], Problem: problem})
			}
		}
		from += length
	}
	return findings, statements
}

// problems are those of one statement; code is the same with comments and strings blanked.
func problems(statement, code string) []string {
	var all []string
	if err := parse(statement); err != nil {
		all = append(all, "CockroachDB's parser refuses it: "+err.Error())
	}
	for _, rule := range denied {
		if word := rule.pattern.FindString(code); word != "" {
			all = append(all, fmt.Sprintf("%q: %s", word, rule.why))
		}
	}
	return all
}

// parse gives the parser's error. The parser alone, without the server around it, panics on DO blocks: its hook for
// PL/pgSQL is not set.
func parse(statement string) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("the parser panicked (as it does on DO blocks): %v", cause)
		}
	}()
	_, err = parser.Parse(statement)
	return err
}

func lineAt(text string, offset int) int {
	return 1 + strings.Count(text[:offset], "\n")
}
