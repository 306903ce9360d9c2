// Package fhirtest validates resources against HL7's JSON schema of FHIR R4, which README.md tells of. For tests only.
package fhirtest

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed fhir.schema.json.gz
var compressed []byte

const address = "fhir.schema.json"

// compiler reads the schema once.
var compiler = sync.OnceValues(func() (*jsonschema.Compiler, error) {
	r, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(r)
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	return c, c.AddResource(address, doc)
})

var (
	mu       sync.Mutex
	compiled = map[string]*jsonschema.Schema{}
)

// schemaOf compiles the definition of a type of resource.
func schemaOf(resource string) (*jsonschema.Schema, error) {
	mu.Lock()
	defer mu.Unlock()
	if known := compiled[resource]; known != nil {
		return known, nil
	}
	c, err := compiler()
	if err != nil {
		return nil, fmt.Errorf("the schema cannot be read: %w", err)
	}
	s, err := c.Compile(address + "#/definitions/" + resource)
	if err == nil {
		compiled[resource] = s
	}
	return s, err
}

// Validate says what is wrong with the JSON of a resource: nil where the schema allows it. Resources within a bundle are
// also validated each for itself, for the sake of a message that says what is wrong. Safe for concurrent use.
func Validate(data []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return validate(v)
}

func validate(v any) error {
	o, _ := v.(map[string]any)
	resource, _ := o["resourceType"].(string)
	if resource == "" {
		return fmt.Errorf("no resource: %v", v)
	}
	entries, _ := o["entry"].([]any)
	for i, e := range entries {
		entry, _ := e.(map[string]any)
		if err := validate(entry["resource"]); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
	}
	s, err := schemaOf(resource)
	if err != nil {
		return err
	}
	return s.Validate(v)
}
