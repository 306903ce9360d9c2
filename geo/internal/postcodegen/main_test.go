package main

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/geo"
)

func archiveOf(t *testing.T, files map[string]string) string {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "postcodes.tar")
	if err := os.WriteFile(name, archive.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestGenerateLeavesOutNorthernIreland(t *testing.T) {
	archive := archiveOf(t, map[string]string{
		"postcodes/README.md": "no postcodes\n",
		"postcodes/LS.csv":    "Postcode,lat,long\nLS1 4AP,53.5,-1.5\nLS1 4AQ,53.5,-1.5\nLS1 4AR,,0.00000\n",
		"postcodes/BT.csv":    "Postcode,lat,long\nBT1 1AA,54.5,-5.75\n",
	})
	output := filepath.Join(t.TempDir(), "postcodes.bin")
	if err := generate(archive, output); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	overlay, _, _ := geo.LoadPostcodes(strings.NewReader("LS1 4AP,53.5,-1.5\nLS1 4AQ,53.5,-1.5\n"))
	var want bytes.Buffer
	if _, err := new(geo.Postcodes).With(overlay).WriteTo(&want); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("got %d bytes, want %d", len(got), want.Len())
	}
}

func TestGenerateRefusesBadLines(t *testing.T) {
	archive := archiveOf(t, map[string]string{"LS.csv": "LS1 4AP,53.5,-1.5\nLS1,53.5,-1.5\n"})
	output := filepath.Join(t.TempDir(), "postcodes.bin")
	err := generate(archive, output)
	if err == nil || !strings.Contains(err.Error(), "LS.csv: 1 lines rejected, the first: line 2") {
		t.Errorf("%v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(output), "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := generate(filepath.Join(t.TempDir(), "absent.tar"), output); err == nil {
		t.Error("an absent archive was read")
	}
}
