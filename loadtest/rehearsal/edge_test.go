package rehearsal

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/loadtest/installation"
	"muster/loadtest/processes"
)

// edge starts HAProxy before two servers, as compose does, and gives its public address.
func edge(t *testing.T, servers []*installation.Server) string {
	t.Helper()
	public, watch := freeAddress(t), freeAddress(t)
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, []byte(edgeConfig(t, servers, public, watch)), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("haproxy")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/haproxy"); err != nil {
			t.Fatal("no haproxy: deploy/validate/install installs it")
		}
	}
	var said bytes.Buffer
	cmd := exec.Command(program, "-db", "-f", path)
	cmd.Stdout, cmd.Stderr = &said, &said
	processes.EndWithParent(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // an error says that it is gone
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("haproxy: %.4000s", said.String())
		}
	})
	awaitEdge(t, "http://"+public)
	return "http://" + public
}

// edgeConfig is deploy/haproxy/haproxy.cfg with the addresses of this machine.
func edgeConfig(t *testing.T, servers []*installation.Server, public, watch string) string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/haproxy/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	config := string(text)
	replace := func(old, new string) {
		if !strings.Contains(config, old) {
			t.Fatalf("haproxy.cfg has no %q", old)
		}
		config = strings.ReplaceAll(config, old, new)
	}
	replace("bind :8080", "bind "+public)
	replace("bind :8404", "bind "+watch)
	replace("check port 9090", "check")
	replace(" resolvers names init-addr last,libc,none", "")
	for i, s := range servers {
		base, err := url.Parse(s.Base)
		if err != nil {
			t.Fatal(err)
		}
		ops, err := url.Parse(s.Ops)
		if err != nil {
			t.Fatal(err)
		}
		replace(fmt.Sprintf(" muster-%d:8080", i+1), fmt.Sprintf(" %s port %s", base.Host, ops.Port()))
	}
	return config
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// awaitEdge waits until somebody answers through the edge.
func awaitEdge(t *testing.T, base string) {
	t.Helper()
	client := &http.Client{Timeout: time.Second}
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		reply, err := client.Get(base + "/v1/services")
		if err == nil {
			reply.Body.Close()
			if reply.StatusCode == http.StatusOK {
				return
			}
			err = fmt.Errorf("status %d", reply.StatusCode)
		}
		select {
		case <-again.C:
		case <-limit.C:
			t.Fatalf("nobody answers through the edge: %v", err)
		}
	}
}
