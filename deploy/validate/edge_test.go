package validate

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// HAProxy itself runs here with the edge's configuration, before two servers that can become unready or die.

// backend is a server behind the edge.
type backend struct {
	public, ops *httptest.Server
	unready     atomic.Bool
}

func newBackend(t *testing.T, name string) *backend {
	b := new(backend)
	b.public = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %t", name, strings.Join(r.Header.Values("X-Forwarded-For"), "|"), r.Header.Get("X-Request-Id") != "")
	}))
	b.ops = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" && b.unready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(b.stop)
	return b
}

func (b *backend) stop() { b.public.Close(); b.ops.Close() }

// freeAddress is one of loopback that nobody listens on.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// edge runs HAProxy and gives its public address.
func edge(t *testing.T, backends ...*backend) string {
	t.Helper()
	haproxy, public := program(t, "haproxy"), freeAddress(t)
	config := read(t, "haproxy", "haproxy.cfg")
	replace := func(old, new string) {
		if !strings.Contains(config, old) {
			t.Fatalf("haproxy.cfg has no %q", old)
		}
		config = strings.ReplaceAll(config, old, new)
	}
	replace("bind :8080", "bind "+public)
	replace("bind :8404", "bind "+freeAddress(t))
	replace("check port 9090", "check")
	replace(" resolvers names init-addr last,libc,none", "")
	for i, b := range backends {
		_, ops, _ := net.SplitHostPort(b.ops.Listener.Addr().String())
		replace(fmt.Sprintf(" muster-%d:8080", i+1), " "+b.public.Listener.Addr().String()+" port "+ops)
	}
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(haproxy, "-db", "-f", path)
	cmd.Stdout, cmd.Stderr = &said, &said
	// The kernel ends it with this test, however that ends: with the thread, that is, which is therefore kept.
	runtime.LockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // an error says that it is gone
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	return public
}

// ask sends a request through the edge on a connection of its own.
func ask(public string) (status int, body string) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+public+"/v1/services", nil)
	if err != nil {
		return 0, err.Error()
	}
	request.Header.Set("X-Forwarded-For", "203.0.113.66") // a caller who would be somebody else
	reply, err := client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer reply.Body.Close()
	data, err := io.ReadAll(reply.Body)
	if err != nil {
		return 0, err.Error()
	}
	return reply.StatusCode, string(data)
}

// eventually asks until six answers in a row are as they should be.
func eventually(t *testing.T, public, what string, good func(status int, body string) bool) {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for row := 0; row < 6; {
		status, body := ask(public)
		if row++; !good(status, body) {
			row = 0
		}
		select {
		case <-again.C:
		case <-limit.C:
			t.Fatalf("in vain waited for this: %s; the last answer is %d %s", what, status, body)
		}
	}
}

func TestEdgeSendsPeopleWhereTheyAreServed(t *testing.T) {
	one, two := newBackend(t, "one"), newBackend(t, "two")
	public := edge(t, one, two)
	eventually(t, public, "callers cannot write their own address, and requests have ids", func(status int, body string) bool {
		return status == 200 && strings.HasSuffix(body, " 127.0.0.1 true")
	})
	one.unready.Store(true)
	eventually(t, public, "one is not ready: all go to two", func(_ int, body string) bool { return strings.HasPrefix(body, "two ") })
	two.unready.Store(true)
	seen := map[string]bool{}
	eventually(t, public, "nobody is ready: both are asked all the same", func(status int, body string) bool {
		seen[body[:3]] = true
		return status == 200 && seen["one"]
	})
	one.unready.Store(false)
	two.unready.Store(false)
	two.stop()
	eventually(t, public, "two is gone: all go to one", func(status int, body string) bool {
		return status == 200 && strings.HasPrefix(body, "one ")
	})
}
