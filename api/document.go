package api

import (
	"context"
	_ "embed"
	"encoding/json"
	"time"
)

// The description of the contract is written as openapi.yaml; openapi.json is the same, made by go generate, so that the
// program needs no YAML reader. A test compares the two.
//
//go:generate go test -run ^TestDocumentIsGenerated$ . -update

//go:embed openapi.json
var document []byte

// Document is the OpenAPI 3.1 description of the contract, as JSON.
func Document() []byte { return append([]byte(nil), document...) }

const documentPublic = 5 * time.Minute

func (s *Server) getDocument(context.Context, *exchange) (reply, error) {
	return reply{body: json.RawMessage(document), public: documentPublic}, nil
}
