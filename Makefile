# `make help` tells what there is.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)

# The program is pure Go. Only the race detector wants cgo, so only `go test -race` gets it; all else shares one cache.
export CGO_ENABLED = 0

STATICCHECK   = honnef.co/go/tools/cmd/staticcheck@v0.8.2
TEST_TIMEOUT ?= 15m
FUZZTIME     ?= 30s
RUN_ARGS     ?= --dev --sample --data ./data
GRAMMAR       = allocator/cockroachledger/grammar
SCRIPTS       = deploy/testservers/install deploy/testservers/run deploy/testservers/find.sh .ci/run

# step NAME announces a part of a long run, with the time of day.
step = printf '\n== %(%T)T %s\n' -1 $(1)

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: ## Build bin/muster, a static program that knows its version
	go build -trimpath -ldflags "-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)" -o bin/muster ./cmd/muster

.PHONY: run
run: build ## Build, then serve sample sessions on the embedded defaults (RUN_ARGS="…" for other flags)
	bin/muster serve $(RUN_ARGS)

.PHONY: test
test: ## Everything: checks, then all tests with race detector beside real servers (installs what it needs)
	@deploy/testservers/install gcc redis postgresql
	@$(MAKE) lint
	@$(call step,'go build ./...'); go build ./...
	@MUSTER_TEST_REQUIRE_BACKENDS=1 deploy/testservers/run $(MAKE) test-race
	@$(MAKE) test-grammar

.PHONY: test-short
test-short: ## Quick tests, without servers and race detector
	go test -short -count=1 -timeout $(TEST_TIMEOUT) ./...

.PHONY: test-race
test-race: # the middle of `make test`; needs deploy/testservers/run around it
	@$(call step,'go test -race ./...')
	CGO_ENABLED=1 go test -race -count=1 -timeout $(TEST_TIMEOUT) ./...

.PHONY: test-grammar
test-grammar: ## Parse the ledger's SQL with CockroachDB's own grammar (the first compile takes minutes)
	@$(call step,'CockroachDB grammar')
	cd $(GRAMMAR) && go vet ./... && go test -count=1 -timeout $(TEST_TIMEOUT) ./...

.PHONY: fuzz
fuzz: ## Fuzz each target for FUZZTIME (30s)
	@targets=$$(grep -rEo --include='*_test.go' '^func Fuzz[A-Z][A-Za-z0-9_]*' . | sort) || \
		{ echo 'no fuzz target in any *_test.go' >&2; exit 0; }; \
	while IFS=: read -r file target; do \
		target=$${target#func }; \
		printf '\n== %s in %s\n' "$$target" "$${file%/*}"; \
		go -C "$${file%/*}" test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) . </dev/null; \
	done <<<"$$targets"

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, and shellcheck where it is installed
	@$(call step,gofmt); \
	unformatted=$$(gofmt -l .); \
	if [[ -n $$unformatted ]]; then printf 'gofmt -w these:\n%s\n' "$$unformatted" >&2; exit 1; fi
	@$(call step,'go vet ./...'); go vet ./...
	@$(call step,staticcheck); go run $(STATICCHECK) ./...
	@if command -v shellcheck >/dev/null; then $(call step,shellcheck); shellcheck -x $(SCRIPTS); fi

.PHONY: generate
generate: ## Run go generate
	go generate ./...

.PHONY: clean
clean: ## Remove what builds and runs leave behind, ./data included
	rm -rf bin data tmp
	go clean -testcache
