package mutants

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// scriptsDir is where the scripts of the Redis inventory are.
const scriptsDir = "allocator/redisinventory/scripts"

// scriptsEnv names the folder that a build with readsScripts takes its scripts from.
const scriptsEnv = "MUSTER_MUTANT_SCRIPTS"

// readsScripts has the Redis inventory read its scripts from a folder instead of itself, so that one build serves every bug
// that only changes scripts.
var readsScripts = Bug{Name: "scripts from a folder", Edits: []Edit{
	{"allocator/redisinventory/scripts.go", "\"errors\"\n", "\"errors\"\n\t\"os\"\n"},
	{"allocator/redisinventory/scripts.go", "scriptFiles.ReadFile(\"scripts/\" + name + \".lua\")", "os.ReadFile(os.Getenv(\"" + scriptsEnv + "\") + \"/\" + name + \".lua\")"},
}}

// inScripts says whether a bug changes nothing but scripts.
func (b *Bug) inScripts() bool {
	for _, e := range b.Edits {
		if filepath.Dir(e.File) != scriptsDir {
			return false
		}
	}
	return true
}

// scripts writes all scripts, a bug's changed, to a new folder.
func (r *Runner) scripts(b *Bug) (string, error) {
	changed, err := b.patched(r.Root)
	if err != nil {
		return "", err
	}
	dir := r.name("scripts")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(r.Root, scriptsDir))); err != nil {
		return "", err
	}
	for file, text := range changed {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// overlay writes a bug's patched copies and the file that names them to the go command.
func (r *Runner) overlay(b *Bug) (string, error) {
	files, err := b.patched(r.Root)
	if err != nil {
		return "", err
	}
	replace := make(map[string]string, len(files))
	for file, text := range files {
		at := filepath.Join(r.Root, file)
		replace[at] = r.name(filepath.Base(file))
		if err := os.WriteFile(replace[at], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := r.name("overlay.json")
	return path, os.WriteFile(path, list, 0o600)
}

// build compiles a package's tests with a bug, or as they are where there is none, and answers the binary. Debug information
// is left out: linking is much of the time that a bug costs.
func (r *Runner) build(ctx context.Context, pkg string, b *Bug) (string, error) {
	path := r.name("test")
	args := []string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", path}
	if b != nil {
		overlay, err := r.overlay(b)
		if err != nil {
			return "", err
		}
		args = append(args, "-overlay", overlay)
	}
	c := exec.CommandContext(ctx, "go", append(args, "./"+pkg)...)
	c.Dir = r.Root
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return path, nil
}

// name is a new path in the folder.
func (r *Runner) name(suffix string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serial++
	return filepath.Join(r.Folder, fmt.Sprintf("%d-%s", r.serial, suffix))
}
