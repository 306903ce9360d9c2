// Command sbom writes the bill of materials of a Go program: sbom [-version V] PROGRAM > program.cdx.json
//
// It reads the program itself, not the sources: what the linker noted in it is what runs, whatever go.mod says. The answer
// is CycloneDX 1.6 in JSON, and the same bytes for the same program.
package main

import (
	"debug/buildinfo"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("sbom", flag.ContinueOnError)
	flags.SetOutput(stderr)
	version := flags.String("version", "", "the program's own version; otherwise what Go noted")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return fmt.Errorf("want the path of one program, got %d arguments", flags.NArg())
	}
	program, err := os.ReadFile(flags.Arg(0))
	if err != nil {
		return err
	}
	info, err := buildinfo.ReadFile(flags.Arg(0))
	if err != nil {
		return err
	}
	return write(stdout, materials(info, program, *version))
}
