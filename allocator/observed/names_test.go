package observed

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"
)

// Every outcome of the ports has its name here, so that none is counted as "unnamed".
func TestOutcomesHaveNames(t *testing.T) {
	constants := make(map[string]int)
	for _, file := range []string{"../ports.go", "../ledger.go"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if block, ok := d.(*ast.GenDecl); ok && block.Tok == token.CONST {
				if kind, ok := block.Specs[0].(*ast.ValueSpec).Type.(*ast.Ident); ok {
					constants[kind.Name] = len(block.Specs)
				}
			}
		}
	}
	for kind, names := range map[string][]string{
		"HoldOutcome": holdOutcomes, "GrantState": grantStates, "ApplyOutcome": applyOutcomes,
		"PublishOutcome": publishOutcomes, "RecordOutcome": recordOutcomes,
	} {
		if constants[kind] != len(names) {
			t.Errorf("%s has %d constants and %d names: bring the list in observed.go up to date", kind, constants[kind], len(names))
		}
	}
}
