// Package servers gives tests the servers they need: databases of their own in a shared PostgreSQL or CockroachDB,
// and private Redis servers that a test may kill, restart, pause and replicate.
//
// The shared servers come from `make test` (deploy/testservers/run), which names them in MUSTER_TEST_… variables.
// A test whose backend is missing is skipped with the command that gets it; in CI, and wherever
// MUSTER_TEST_REQUIRE_BACKENDS=1 (as `make test` sets it), it fails, so that nothing goes untested unseen. `go test
// -short` skips them all, required ones excepted.
//
// What is started here ends with the test: by process id at cleanup, and through the kernel when the test binary dies
// without its cleanups.
package servers

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// readyTimeout bounds every wait for a server that was just addressed.
const readyTimeout = 30 * time.Second

// remedy is what to do about a missing backend.
const remedy = "run the whole suite with `make test`, or one package with " +
	"`deploy/testservers/run go test ./PACKAGE`: both install and start what is missing"

// required says whether a missing backend is a failure.
func required() bool {
	return os.Getenv("CI") != "" || os.Getenv("MUSTER_TEST_REQUIRE_BACKENDS") == "1"
}

// missing ends the test for want of a backend.
func missing(tb testing.TB, what string) {
	tb.Helper()
	if required() {
		tb.Fatalf("%s: a required backend is missing; %s", what, remedy)
	}
	tb.Skipf("%s: %s", what, remedy)
}

// skipIfShort spares short runs the servers.
func skipIfShort(tb testing.TB) {
	tb.Helper()
	if testing.Short() && !required() {
		tb.Skip("needs a server, and -short was asked for")
	}
}

// variable reads the address of a shared server.
func variable(tb testing.TB, name string) string {
	tb.Helper()
	skipIfShort(tb)
	value := os.Getenv(name)
	if value == "" {
		missing(tb, name+" is not set")
	}
	return value
}

// uniqueName ends a readable prefix in enough chance to be alone in a server shared by many test binaries.
func uniqueName(prefix string) string {
	return fmt.Sprintf("%s_%d_%08x", prefix, os.Getpid(), rand.Uint32())
}
