package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"runtime/debug"
	"strings"
)

// document is as much of CycloneDX 1.6 as a Go program has to say.
type document struct {
	Schema       string       `json:"$schema"`
	Format       string       `json:"bomFormat"`
	SpecVersion  string       `json:"specVersion"`
	SerialNumber string       `json:"serialNumber"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version,omitempty"`
	PURL       string     `json:"purl,omitempty"`
	Hashes     []hash     `json:"hashes,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn,omitempty"`
}

// materials describes a program by what the linker noted in it.
func materials(info *debug.BuildInfo, program []byte, version string) document {
	sum := sha256.Sum256(program)
	if version == "" {
		version = info.Main.Version
	}
	own := component{
		Type: "application", Ref: info.Path, Name: info.Main.Path, Version: version, PURL: purl(info.Main.Path, version),
		Hashes: []hash{{"SHA-256", hex.EncodeToString(sum[:])}}, Properties: settings(info.Settings),
	}
	d := document{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", SpecVersion: "1.6",
		SerialNumber: serial(sum), Version: 1, Metadata: metadata{own},
	}
	toolchain := strings.TrimPrefix(info.GoVersion, "go")
	d.Components = append(d.Components, component{
		Type: "library", Ref: "stdlib@" + toolchain, Name: "stdlib", Version: toolchain, PURL: purl("stdlib", toolchain),
	})
	for _, m := range info.Deps {
		d.Components = append(d.Components, library(m))
	}
	all := dependency{Ref: own.Ref}
	for _, c := range d.Components {
		all.DependsOn = append(all.DependsOn, c.Ref)
	}
	d.Dependencies = []dependency{all}
	return d
}

// library is a module that is linked in: the one that replaced another, where one did.
func library(m *debug.Module) component {
	var notes []property
	if m.Replace != nil {
		notes = append(notes, property{"muster:replaces", m.Path + "@" + m.Version})
		m = m.Replace
	}
	if m.Sum != "" {
		notes = append(notes, property{"muster:go.sum", m.Sum})
	}
	return component{
		Type: "library", Ref: m.Path + "@" + m.Version, Name: m.Path, Version: m.Version, PURL: purl(m.Path, m.Version), Properties: notes,
	}
}

// purl is the package URL of a Go module. Its path keeps its slashes; all else is escaped.
func purl(path, version string) string {
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	text := "pkg:golang/" + strings.Join(parts, "/")
	if version != "" {
		text += "@" + url.QueryEscape(version)
	}
	return text
}

// settings keeps what makes one build differ from another.
func settings(all []debug.BuildSetting) (kept []property) {
	for _, s := range all {
		switch s.Key {
		case "-tags", "CGO_ENABLED", "GOOS", "GOARCH", "vcs.revision", "vcs.modified":
			kept = append(kept, property{"muster:build:" + s.Key, s.Value})
		}
	}
	return kept
}

// serial is a UUID (version 8, RFC 9562) that follows from the program's bytes.
func serial(sum [sha256.Size]byte) string {
	b := sum[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func write(w io.Writer, d document) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(d)
}
