package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// Set by `make build`; a program built otherwise tells what Go noted.
var version, commit string

type versionCommand struct{}

// Run tells what this program is.
func (versionCommand) Run(p *program) error {
	noted := commit
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				noted = cmp.Or(noted, s.Value)
			}
		}
	}
	_, err := fmt.Fprintf(p.stdout, "muster %s\ncommit %s\n%s %s/%s\n", cmp.Or(version, "devel"), cmp.Or(noted, "unknown"),
		runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
