// Package mutants checks the checkers: it breaks the engine on purpose, one sentence of the protocol at a time, and expects
// the named tests to fail.
//
// A bug is a replacement of text in one file or more. It is never written to the source tree: the go command builds from
// patched copies in a temporary folder (go build -overlay, which covers embedded SQL as well), and bugs in scripts share one
// build that reads them from a folder. A bug counts as caught when it compiles and every check that it names fails by its own
// assertions; a build that breaks, a check that hangs or one that is skipped catches nothing. The same commands must pass on
// the tree as it is.
//
// A replacement whose text is no longer there exactly once is stale, and a failure by itself: whoever changes the code
// changes its bug too, so the table cannot rot.
package mutants

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Bug is one deliberate mistake.
type Bug struct {
	Name     string
	Sentence Sentence // what it drops
	Edits    []Edit
	By       []Check // each must catch it
}

// Edit replaces Old, which stands exactly once in File, by New. File is relative to the module's root.
type Edit struct {
	File, Old, New string
}

// Check is a command of the tests: go test Package -run Run Args.
type Check struct {
	Name    string   // for people
	Package string   // relative to the module's root
	Run     string   // as for go test -run
	Args    []string // of the test binary
	Backend string   // the environment variable that names the server it needs; "" for none
}

// edit is a bug's only replacement.
func edit(file, old, replacement string) []Edit { return []Edit{{file, old, replacement}} }

// ErrStale says that a replacement's text is not there exactly once.
type ErrStale struct {
	Bug  string
	Edit Edit
	Hits int
}

func (e *ErrStale) Error() string {
	return fmt.Sprintf("bug %q is stale: %s has its text %d times, not once; find what now does the same and change the bug in "+
		"allocator/allocatortest/mutants. The text:\n%s", e.Bug, e.Edit.File, e.Hits, e.Edit.Old)
}

// patched is the content of every file that a bug changes, by its path relative to root. ErrStale where an edit does not
// apply.
func (b *Bug) patched(root string) (map[string]string, error) {
	files := make(map[string]string)
	for _, e := range b.Edits {
		text, ok := files[e.File]
		if !ok {
			read, err := os.ReadFile(filepath.Join(root, e.File))
			if err != nil {
				return nil, fmt.Errorf("bug %q: %w", b.Name, err)
			}
			text = string(read)
		}
		if n := strings.Count(text, e.Old); n != 1 || e.Old == e.New {
			return nil, &ErrStale{b.Name, e, n}
		}
		files[e.File] = strings.Replace(text, e.Old, e.New, 1)
	}
	return files, nil
}

// Bugs is the whole table, in the order of the protocol's steps.
func Bugs() []Bug {
	var all []Bug
	for _, part := range [][]Bug{holdBugs(), fastBugs(), confirmBugs(), lateBugs(), ledgerBugs(), answerBugs(), epochBugs(), rebuildBugs(), repairBugs()} {
		all = append(all, part...)
	}
	return all
}
