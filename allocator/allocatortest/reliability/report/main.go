// Command report merges the reports of a folder, prints what they say, and fails unless every one of them is clean.
//
//	report [--markdown] FOLDER
//
// It leaves FOLDER/reliability.json. It exits with 1 where there is a violation, an oversell, a lost booking, a seeded bug that
// was not caught, a crash point that was not covered, a rare path that was never taken or a recovery of more than 60 s, and
// with 2 where there is nothing to report.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"muster/allocator/allocatortest/reliability"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	flags.SetOutput(stderr)
	markdown := flags.Bool("markdown", false, "print tables for a document")
	if err := flags.Parse(args); err != nil || flags.NArg() != 1 {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(stderr, "usage: report [--markdown] FOLDER")
		}
		return 2
	}
	r, err := reliability.Merge(flags.Arg(0))
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	show := r.Table
	if *markdown {
		show = r.Markdown
	}
	if err := show(stdout); err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	if len(r.Failures) > 0 {
		fmt.Fprintf(stderr, "not clean: %d reasons\n", len(r.Failures))
		return 1
	}
	return 0
}
