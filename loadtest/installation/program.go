package installation

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// shared is what all installations of one test binary have in common: built programs, an empty database's files.
var shared struct {
	mu       sync.Mutex
	folder   string
	programs map[string]string
	template string
}

// Main runs a package's tests and removes what installations shared. Every package that starts installations calls it:
//
//	func TestMain(m *testing.M) { installation.Main(m) }
func Main(m *testing.M) {
	folder, err := os.MkdirTemp("", "muster-installations-")
	if err == nil {
		err = os.Chmod(folder, 0o711) // PostgreSQL runs as another user
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "installation:", err)
		os.Exit(1)
	}
	shared.folder, shared.programs = folder, make(map[string]string)
	code := m.Run()
	_ = os.RemoveAll(folder) // a leftover in the temporary folder is no reason to fail
	os.Exit(code)
}

// sharedFolder is where shared files are; the caller holds shared.mu.
func sharedFolder(tb testing.TB) string {
	tb.Helper()
	if shared.folder == "" {
		tb.Fatal("call installation.Main from TestMain")
	}
	return shared.folder
}

// Program builds muster once per test binary and set of flags of `go build` (say "-tags", "crashpoints"), and returns the
// path of the executable. Safe for concurrent use.
func Program(tb testing.TB, flags ...string) string {
	tb.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	folder := sharedFolder(tb)
	key := strings.Join(flags, "\x00")
	if path, ok := shared.programs[key]; ok {
		return path
	}
	path := filepath.Join(folder, fmt.Sprintf("muster-%d", len(shared.programs)))
	args := append(append([]string{"build", "-ldflags=-s -w", "-o", path}, flags...), "muster/cmd/muster") // half the time to link
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		tb.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	shared.programs[key] = path
	return path
}
