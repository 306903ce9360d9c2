package abuse

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"muster/api/callers"
)

// TestProofInJavaScript: what docs/proof.js makes is a proof, where there is a Node to run it.
func TestProofInJavaScript(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node")
	}
	text, err := os.ReadFile("../../docs/proof.js")
	if err != nil {
		t.Fatal(err)
	}
	module := filepath.Join(t.TempDir(), "proof.mjs")
	if err := os.WriteFile(module, text, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := callers.New(callers.Options{AddressHolds: 1, ProofBits: 12})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c := callers.Caller{Address: "192.0.2.1/32", Visitor: callers.NewVisitor(now)}
	l.Hold(now, callers.Caller{Address: c.Address}, 1)
	d := l.Hold(now, c, 1)
	if !d.Refused {
		t.Fatal("no proof is asked for")
	}
	script := "import { prove } from " + strconv.Quote(module) + "; console.log(prove(" + strconv.Quote(d.Challenge+";bits="+strconv.Itoa(d.Bits)) + "))"
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, node, "--input-type=module", "-e", script).Output()
	if err != nil {
		t.Fatalf("node: %v", err)
	}
	c.Proof = strings.TrimSpace(string(out))
	if d = l.Hold(now, c, 1); d.Refused {
		t.Errorf("%s is not taken", c.Proof)
	}
}
