package chaos

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"muster/loadtest/installation"
)

const diskBytes = "8m"

// smallDisk gives an embedded server a file system of its own with little room.
func smallDisk(t *testing.T, o *installation.Options) {
	t.Helper()
	dir, err := os.MkdirTemp("", "muster-disk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) }) // empty by then
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+diskBytes); err != nil {
		t.Skipf("a full disk needs a small file system, and this user may not mount one: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	o.DataDir = filepath.Join(dir, "data")
}

// fillDisk leaves no room on the server's file system for a while.
var fillDisk = fault{"disk of the embedded ledger full", theLedger, func(s *stage) {
	ballast := filepath.Join(filepath.Dir(s.in.Servers[0].Data), "ballast")
	for range 2 {
		if err := fill(ballast); err != nil {
			s.t.Error(err)
		}
		s.injected()
		s.wait(2*time.Second, 4*time.Second)
		if err := os.Remove(ballast); err != nil {
			s.t.Error(err)
		}
		s.wait(500*time.Millisecond, time.Second)
	}
}}

// fill writes until there is no room.
func fill(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	block := make([]byte, 4096)
	for {
		if _, err := file.Write(block); errors.Is(err, syscall.ENOSPC) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
