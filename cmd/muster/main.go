// Command muster allocates appointments. See `muster --help`, and docs/ for all else.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"muster/allocator"
	"muster/bench"
)

// commands is the map of the program: each has a file of its own.
type commands struct {
	Serve     serveCommand     `cmd:"" help:"Run the server."`
	Migrate   migrateCommand   `cmd:"" help:"Bring the ledger's schema up to date."`
	Import    importCommands   `cmd:"" help:"Load files straight into the ledger."`
	Audit     auditCommand     `cmd:"" help:"Compare ledger, inventory and capacity; exit 3 where they differ."`
	Rebuild   rebuildCommand   `cmd:"" help:"Rebuild inventory from the ledger."`
	Bench     benchCommand     `cmd:"" help:"Measure this program beside real baselines, and audit every engine's books."`
	Loadtest  loadtestCommands `cmd:"" help:"Rehearse a national peak, and audit what the server kept."`
	Keys      keysCommands     `cmd:"" help:"Make, check and rotate the installation's keys."`
	Person    personCommands   `cmd:"" help:"Export or erase one person."`
	Retention retentionCommand `cmd:"" help:"Delete people's details whose time is over."`
	Worklist  worklistCommand  `cmd:"" help:"Check a signed day list and print it, without any server."`
	Draw      drawCommand      `cmd:"" help:"Check the draw of a waiting room, without any server."`
	DevIssuer devIssuerCommand `cmd:"" help:"Issue access tokens for tests (with --dev, on this machine only)."`
	Version   versionCommand   `cmd:"" help:"Tell version, commit and Go version."`
}

// The program's exit codes.
const (
	exitDone    = 0
	exitFailed  = 1 // it could not be done, or (import) some lines were refused
	exitUsage   = 2 // the command line or the configuration is wrong
	exitDiffers = 3 // audit found what should not be

	exitBreached = 2 // loadtest: a threshold was not held
)

const description = `Allocates appointments: publish capacity, search, hold, confirm, move, cancel.

Every flag may be given as an environment variable too: --redis as MUSTER_REDIS. The installation's secret may be given as
MUSTER_SECRET. Exit codes: 0 done, 1 failed (import: or some lines were refused), 2 wrong command line or configuration,
3 audit found differences (bench: in anybody's books); loadtest: 1 could not run, 2 a threshold was breached, 3 the audit found a violation.`

func main() {
	if served, err := bench.Child(); served { // a benchmark started this process to be one of its baselines
		if err != nil {
			fmt.Fprintln(os.Stderr, "muster:", err)
			os.Exit(exitFailed)
		}
		os.Exit(exitDone)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal asks to finish, the second one ends the program at once
	os.Exit(Main(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// program is one run of the program.
type program struct {
	ctx    context.Context // ends when the program is asked to finish
	stdout io.Writer       // answers
	stderr io.Writer       // progress, logs, complaints

	// For tests: serving is told the addresses once the server answers; sampled leaves out sites of the sample.
	serving func(listening, operations string)
	sampled func(site *allocator.Site) bool
}

// Main runs the whole program and answers its exit code. It returns only when all that it started has ended.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return (&program{ctx: ctx, stdout: stdout, stderr: stderr}).run(args)
}

// usageError is a fault of the command line or the configuration.
type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// leave carries the exit code that kong asks for out of its parser.
type leave int

func (p *program) run(args []string) (code int) {
	defer func() {
		if cause := recover(); cause != nil {
			asked, ok := cause.(leave)
			if !ok {
				panic(cause)
			}
			code = int(asked)
		}
	}()
	parser, err := kong.New(new(commands), kong.Name("muster"), kong.Description(description), kong.DefaultEnvars("MUSTER"),
		kong.Writers(p.stdout, p.stderr), kong.Exit(func(code int) { panic(leave(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}))
	if err != nil {
		panic(err) // the map of commands itself is wrong
	}
	chosen, err := parser.Parse(args)
	if err != nil && len(args) > 0 && args[0] == "loadtest" { // whose exit code 2 says that a threshold was breached
		return p.exit(fmt.Errorf("%w (muster loadtest --help tells what there is)", err))
	}
	if err != nil {
		return p.exit(usage("%w (muster --help tells what there is)", err))
	}
	return p.exit(chosen.Run(p))
}

// exit tells what went wrong, if anything, and answers the code.
func (p *program) exit(err error) int {
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(p.stderr, "muster:", err)
	switch {
	case errors.Is(err, errDiffers):
		return exitDiffers
	case errors.Is(err, errBreached):
		return exitBreached
	case errors.As(err, new(usageError)):
		return exitUsage
	default:
		return exitFailed
	}
}
