package processes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// actVariable makes this test binary a child that does what tests are about.
const actVariable = "PROCESSES_TEST_ACT"

func TestMain(m *testing.M) {
	switch os.Getenv(actVariable) {
	case "serve":
		fmt.Println("starting")
		fmt.Println("serving at here")
		select {}
	case "fail":
		fmt.Fprintln(os.Stderr, "there is no way")
		os.Exit(3)
	case "silent":
		select {}
	case "parent": // starts a child and dies without a word
		child, _, err := Serve(context.Background(), act("serve"), os.DevNull, pattern)
		if err != nil {
			panic(err)
		}
		fmt.Println("child", child.Pid())
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	os.Exit(m.Run())
}

var pattern = regexp.MustCompile(`^serving at (\S+)$`)

func act(as string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), actVariable+"="+as)
	return cmd
}

func TestServe(t *testing.T) {
	cmd := act("serve")
	Apart(cmd)
	p, said, err := Serve(t.Context(), cmd, filepath.Join(t.TempDir(), "log"), pattern)
	if err != nil {
		t.Fatal(err)
	}
	if said[1] != "here" || !p.Running() {
		t.Errorf("it said %q; running %v", said, p.Running())
	}
	if group, err := syscall.Getpgid(p.Pid()); err != nil || group != p.Pid() {
		t.Errorf("it is in process group %d, %v, and not in its own %d", group, err, p.Pid())
	}
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Error(err)
	}
	p.Stop(syscall.SIGTERM, time.Minute)
	p.Stop(syscall.SIGTERM, time.Minute)
	if p.Running() || p.State().Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v", p.State())
	}
}

func TestServeFails(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	if _, _, err := Serve(t.Context(), act("fail"), log, pattern); err == nil || !strings.Contains(err.Error(), "there is no way") {
		t.Errorf("one that ends: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := Serve(ctx, act("silent"), log, pattern); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one that says nothing: %v", err)
	}
	if _, _, err := Serve(t.Context(), exec.Command("/nowhere/at/all"), log, pattern); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("one that is not there: %v", err)
	}
	if _, err := Start(act("silent"), "/nowhere/at/all"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a log that cannot be: %v", err)
	}
}

// A process that is killed takes its children with it.
func TestChildrenEndWithParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can do that")
	}
	out, _ := act("parent").Output() // it dies: that is the point
	var child int
	if _, err := fmt.Sscanf(string(out), "child %d", &child); err != nil {
		t.Fatalf("it said %q: %v", out, err)
	}
	err := Await(t.Context(), Patience, func(context.Context) error {
		state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		if err != nil || strings.Contains(string(state), ") Z ") { // whoever adopted it may be slow to reap
			return nil
		}
		return fmt.Errorf("process %d lives on", child)
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAwait(t *testing.T) {
	looks := 0
	err := Await(t.Context(), Patience, func(context.Context) error {
		if looks++; looks < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil || looks != 3 {
		t.Errorf("%d looks: %v", looks, err)
	}
	never := errors.New("never")
	if err := Await(t.Context(), 30*time.Millisecond, func(context.Context) error { return never }); !errors.Is(err, never) {
		t.Errorf("in vain: %v", err)
	}
	looks = 0
	if err := Await(t.Context(), Patience, func(context.Context) error { looks++; return ErrGone }); !errors.Is(err, ErrGone) || looks != 1 {
		t.Errorf("after the end: %d looks, %v", looks, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Await(ctx, Patience, func(context.Context) error { return never }); !errors.Is(err, context.Canceled) || !errors.Is(err, never) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestFreePort(t *testing.T) {
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", Loopback(port))
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
}

// program writes an executable that tells a version.
func program(t *testing.T, name, says string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+says+"'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// Programs that are not there or too old are not used.
func TestFind(t *testing.T) {
	for says, missing := range map[string]bool{
		"Redis server v=7.0.15 sha=0": false, "Redis server v=10.1.0 sha=0": false, "Redis server v=6.2.1 sha=0": true, "hello": true,
	} {
		path := program(t, "redis-server", says)
		t.Setenv("MUSTER_TEST_REDIS_SERVER", path)
		if found, err := FindRedis(); errors.Is(err, ErrMissing) != missing || found != path {
			t.Errorf("%s: %s, %v", says, found, err)
		}
	}
	t.Setenv("MUSTER_TEST_REDIS_SERVER", "/nowhere/redis-server")
	if _, err := FindRedis(); !errors.Is(err, ErrMissing) {
		t.Errorf("without: %v", err)
	}
	for says, missing := range map[string]bool{"postgres (PostgreSQL) 16.2": false, "postgres (PostgreSQL) 13.4": true} {
		path := program(t, "postgres", says)
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), "initdb"), []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if folder, err := postgresPrograms(path); errors.Is(err, ErrMissing) != missing || !missing && folder != filepath.Dir(path) {
			t.Errorf("%s: %s, %v", says, folder, err)
		}
	}
	if _, err := postgresPrograms(program(t, "postgres", "postgres (PostgreSQL) 16.2")); err == nil {
		t.Error("a postgres without initdb will do")
	}
}

// A PostgreSQL survives being killed, keeps its address, and is gone when it is stopped.
func TestPostgres(t *testing.T) {
	programs, err := FindPostgres()
	if errors.Is(err, ErrMissing) && os.Getenv("MUSTER_TEST_REQUIRE_BACKENDS") != "1" || testing.Short() {
		t.Skip("needs PostgreSQL's programs: deploy/testservers/run go test ./loadtest/processes installs them")
	}
	if err != nil {
		t.Fatal(err)
	}
	folder := openFolder(t)
	data, err := InitPostgres(programs, filepath.Join(folder, "files"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := StartPostgres(t.Context(), PostgresOptions{Programs: programs, Data: data, Log: filepath.Join(folder, "log"), Apart: true})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	address := p.URL()
	p.Kill()
	if p.Running() {
		t.Error("it was killed and runs")
	}
	if err := p.Restart(t.Context()); err != nil || p.URL() != address || !p.Running() {
		t.Errorf("after a restart at %s, before %s: %v", p.URL(), address, err)
	}
	p.Stop()
	if p.Running() {
		t.Error("it was stopped and runs")
	}
}

// openFolder is one that another user may enter, as t.TempDir() is not.
func openFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "muster-processes-")
	if err == nil {
		err = os.Chmod(folder, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) }) // a leftover in the temporary folder is no reason to fail
	return folder
}
