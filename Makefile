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
BENCHSTAT     = golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
TEST_TIMEOUT ?= 15m
FUZZTIME     ?= 30s
FUZZ_INPUTS  ?= 45000
RUN_ARGS     ?= --dev --sample --data ./data
GRAMMAR       = allocator/cockroachledger/grammar
VALIDATE      = deploy/validate
SEEDS        ?= 5000
STEPS        ?= 220
MINUTES      ?= 30
LOADTEST_ARGS ?=
# Which third of the seeded bugs `make test` tries: it follows from the commit, so that commits take turns.
THIRD        ?= $(shell echo $$(( 0x$$(git rev-parse --short=7 HEAD 2>/dev/null || echo 0) % 3 + 1 )))
RELIABILITY  ?= $(CURDIR)/bin/reliability
HARNESS       = go test -count=1 -v -timeout
REPORT        = go run ./allocator/allocatortest/reliability/report $(RELIABILITY)
SCRIPTS       = deploy/testservers/install deploy/testservers/run deploy/testservers/find.sh bench/compare bench/publish .ci/run .ci/fuzz-count

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
	@$(MAKE) loadtest-small
	@$(MAKE) fuzz-count
	@$(MAKE) reliability SEEDS=1500 MUTANTS_ARGS='-mutants.cheaply -mutants.third=$(THIRD)'
	@$(MAKE) test-grammar
	@MUSTER_TEST_REQUIRE_BACKENDS=1 $(MAKE) test-deploy
	@$(MAKE) rehearsal REHEARSAL_ARGS=-rehearsal.seconds=20

.PHONY: test-short
test-short: ## Quick tests, without servers and race detector
	go test -short -count=1 -timeout $(TEST_TIMEOUT) ./...

.PHONY: test-race
test-race: # the middle of `make test`; needs deploy/testservers/run around it
	@$(call step,'go test -race ./...')
	CGO_ENABLED=1 go test -race -count=1 -timeout $(TEST_TIMEOUT) $$(go list ./... | grep -v '/loadtest/')
	@$(MAKE) test-race-loadtest

.PHONY: test-race-loadtest
test-race-loadtest: # in turn, since each fills the machine
	@$(call step,'go test -race ./loadtest/...')
	CGO_ENABLED=1 go test -race -count=1 -p 1 -timeout $(TEST_TIMEOUT) $$(go list ./... | grep '/loadtest/')

.PHONY: test-grammar
test-grammar: ## Parse the ledger's SQL with CockroachDB's own grammar (the first compile takes minutes)
	@$(call step,'CockroachDB grammar')
	cd $(GRAMMAR) && go vet ./... && go test -count=1 -timeout $(TEST_TIMEOUT) ./...

.PHONY: test-deploy
test-deploy: ## Check deploy/: manifests, compose, dashboards, alerts and their runbooks (the first compile takes a minute)
	@$(VALIDATE)/install
	@$(call step,deployment)
	cd $(VALIDATE) && go vet ./... && go test -count=1 -timeout $(TEST_TIMEOUT) ./...

.PHONY: simulate
simulate: ## Simulate SEEDS (5000) of STEPS (220), or show one SEED step by step
	@$(call step,simulate)
ifdef SEED
	GOMAXPROCS=1 GODEBUG=asyncpreemptoff=1 $(HARNESS) 10m ./allocator/allocatortest/simulation -run '^TestSimulate$$' \
		-simulate.seed=$(SEED) -simulate.steps=$(STEPS)
else
	@mkdir -p $(RELIABILITY)
	$(HARNESS) 60m ./allocator/allocatortest/simulation -run '^(TestSimulate|TestReplays)$$' -simulate.seeds=$(SEEDS) \
		-simulate.steps=$(STEPS) -simulate.report=$(RELIABILITY)
	@$(REPORT)
endif

.PHONY: chaos
chaos: ## Break real processes under load, and judge what is left
	@$(call step,chaos); mkdir -p $(RELIABILITY)
	deploy/testservers/run $(HARNESS) 15m ./loadtest/chaos -run '^TestChaos$$' -chaos.report=$(RELIABILITY)
	@$(REPORT)

.PHONY: crashpoints
crashpoints: ## Kill a server before and after every step of the protocol
	@$(call step,crashpoints); mkdir -p $(RELIABILITY)
	deploy/testservers/run $(HARNESS) 20m ./loadtest/crash -run '^TestCrashPoints$$' -crash.all -crash.report=$(RELIABILITY)
	@$(REPORT)

.PHONY: mutants
mutants: ## Break the engine on purpose, and expect every bug to be caught
	@$(call step,mutants); mkdir -p $(RELIABILITY)
	deploy/testservers/run $(HARNESS) 30m ./allocator/allocatortest/mutants -run '^TestSeededBugs$$' -mutants.all -mutants.report=$(RELIABILITY) $(MUTANTS_ARGS)
	@$(REPORT)

.PHONY: reliability
reliability: ## All four from scratch; reliability.json and the table are in bin/reliability
	@rm -rf $(RELIABILITY)
	@$(MAKE) simulate
	@$(MAKE) chaos
	@$(MAKE) crashpoints
	@$(MAKE) mutants

.PHONY: soak
soak: ## Simulation and chaos with new seeds for MINUTES (30)
	@$(call step,soak); mkdir -p $(RELIABILITY)/soak
	$(HARNESS) 0 ./allocator/allocatortest/simulation -run '^TestSimulate$$' -simulate.minutes=$$(($(MINUTES) / 2)) \
		-simulate.first=$$(date +%s)0000 -simulate.report=$(RELIABILITY)/soak
	deploy/testservers/run $(HARNESS) 0 ./loadtest/chaos -run '^TestSoak$$' -chaos.minutes=$$((($(MINUTES) + 1) / 2)) \
		-chaos.report=$(RELIABILITY)/soak
	@go run ./allocator/allocatortest/reliability/report $(RELIABILITY)/soak

.PHONY: loadtest
loadtest: build ## A minute of opening-bell on the embedded defaults, audited, with a page in bin/loadtest.html (LOADTEST_ARGS="…")
	@$(call step,loadtest)
	bin/muster loadtest --profile opening-bell --duration 60s --threshold 'lost==0' --threshold 'oversold==0' --threshold 'violations==0' \
		--threshold 'error_rate<0.1%' --threshold 'phantom_slot_rate<1%' --threshold 'achieved_rate>99%' --threshold 'p99(confirm)<300ms' \
		--report bin/loadtest.html --json bin/loadtest.json $(LOADTEST_ARGS)

.PHONY: overload
overload: ## What is left of service at 1, 2, 5 and 10 times the knee; overload.json and overload.md in bin/overload (OVERLOAD_ARGS="…")
	@$(call step,overload); mkdir -p bin/overload
	deploy/testservers/run $(HARNESS) 15m ./loadtest/overload -run '^TestOverload$$' -overload.full -overload.report=$(CURDIR)/bin/overload $(OVERLOAD_ARGS)

.PHONY: attack
attack: ## Abuse a server in every way we know, and count how little it wins; attack.json and attack.md in bin/attack
	@$(call step,attack); mkdir -p bin/attack
	$(HARNESS) 10m ./loadtest/abuse -run '^TestAttack$$' -attack.full -attack.report=$(CURDIR)/bin/attack

.PHONY: rehearsal
rehearsal: ## A rollout on this machine: a Redis master killed and a server rolled under opening-bell (REHEARSAL_ARGS="…")
	@$(VALIDATE)/install
	@$(call step,rehearsal); mkdir -p bin
	deploy/testservers/run $(HARNESS) 20m ./loadtest/rehearsal -run '^TestRehearsal$$' -rehearsal.seconds=60 \
		-rehearsal.report=$(CURDIR)/bin $(REHEARSAL_ARGS)

# What CI runs: the same in small, where slow is no failure and wrong is one.
.PHONY: loadtest-small
loadtest-small: build # part of `make test`
	@$(call step,loadtest)
	bin/muster loadtest --profile opening-bell --duration 10s --scale 0.0005 --max-lag 1m --quiet --threshold 'violations==0' \
		--threshold 'lost==0' --threshold 'oversold==0' --report bin/loadtest.html

.PHONY: bench
bench: build ## Measure muster beside real baselines, into bench/results (BENCH_ARGS=--quick for a minute, --scale …)
	@$(call step,bench)
	@deploy/testservers/install redis postgresql
	bin/muster bench --report bench/results $(BENCH_ARGS)

.PHONY: bench-compare
bench-compare: ## Go benchmarks of the hot packages at BASE (where main was left, or the last commit) and now
	@$(call step,bench-compare)
	BENCHSTAT=$(BENCHSTAT) deploy/testservers/run bench/compare $(BASE)

.PHONY: fuzz
fuzz: ## Fuzz each target for FUZZTIME (30s)
	@targets=$$(grep -rEo --include='*_test.go' '^func Fuzz[A-Z][A-Za-z0-9_]*' . | sort) || \
		{ echo 'no fuzz target in any *_test.go' >&2; exit 0; }; \
	while IFS=: read -r file target; do \
		target=$${target#func }; \
		printf '\n== %s in %s\n' "$$target" "$${file%/*}"; \
		go -C "$${file%/*}" test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) . </dev/null; \
	done <<<"$$targets"

.PHONY: fuzz-count
fuzz-count: ## Try a million inputs at the fuzz targets, and count them
	@$(call step,fuzz-count)
	.ci/fuzz-count $(FUZZ_INPUTS) 1000000

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
