package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The page in docs/ is what the modules of this build say.
func TestPage(t *testing.T) {
	var page bytes.Buffer
	if err := list(&page, "muster/cmd/muster"); err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile("../../../docs/licences.md")
	if err != nil {
		t.Fatal(err)
	}
	if page.String() != string(kept) {
		t.Errorf("docs/licences.md is out of date: go generate ./deploy/image/licences\n%s", page.String())
	}
	for _, sure := range []string{"| Go's standard library and runtime | as built | BSD-3-Clause |", "| github.com/valyala/fasthttp | v1.77.0 | MIT |", "| go.opentelemetry.io/otel | v1.47.0 | Apache-2.0"} {
		if !strings.Contains(page.String(), sure) {
			t.Errorf("the page lacks %s", sure)
		}
	}
	if strings.Contains(page.String(), "licensecheck") {
		t.Error("the page lists what is not linked")
	}
}

// A licence that nobody knows, or that asks for more than a notice, is an error.
func TestUnusableLicences(t *testing.T) {
	for name, text := range map[string]string{
		"none": "", "unknown": "Do as the author would.", "copyleft": "SPDX-License-Identifier: AGPL-3.0-only\nhttps://www.gnu.org/licenses/agpl-3.0.html",
	} {
		folder := t.TempDir()
		if text != "" {
			if err := os.WriteFile(filepath.Join(folder, "LICENSE"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if found, err := licencesIn(folder); err == nil {
			t.Errorf("%s: %v is taken", name, found)
		}
	}
	if err := list(&bytes.Buffer{}, "muster/nothing/there"); err == nil {
		t.Error("a program that does not exist has licences")
	}
}
