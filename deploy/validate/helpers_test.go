package validate

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// deploy is the folder that this module checks.
const deploy = ".."

func read(t testing.TB, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{deploy}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// files lists those below a folder of deploy/ whose name ends so.
func files(t testing.TB, folder, suffix string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(deploy, folder), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, suffix) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("deploy/%s has no *%s", folder, suffix)
	}
	slices.Sort(found)
	return found
}

// program finds a program that judges its own files. `deploy/validate/install` puts it there; where the whole suite runs
// (MUSTER_TEST_REQUIRE_BACKENDS), one that is missing is a failure.
func program(t testing.TB, name string) string {
	t.Helper()
	for _, candidate := range []string{filepath.Join(deploy, "..", "bin", "tools", name), name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			absolute, err := filepath.Abs(path)
			if err != nil {
				t.Fatal(err)
			}
			return absolute
		}
	}
	if os.Getenv("MUSTER_TEST_REQUIRE_BACKENDS") != "" {
		t.Fatalf("%s is not there: run deploy/validate/install", name)
	}
	t.Skipf("%s is not there: run deploy/validate/install", name)
	return ""
}

// run runs a program in a folder and gives what it said.
func run(t testing.TB, folder, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	return string(out), err
}
