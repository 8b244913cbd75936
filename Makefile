# The commands of a developer and of CI. `make help` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help
.NOTPARALLEL:

GO ?= go
FUZZTIME ?= 20s
# How long the tests of a package may take: some build programs, which takes long where
# nothing is in the build cache yet, and a busy machine takes longer still.
export PATIENCE ?= 40m
# Modules of their own for tests, and for the image, whose libraries regcred itself does
# not need.
TEST_MODULES := $(patsubst %/go.mod,%,$(wildcard test/*/go.mod)) tools/image

CF_PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64

START := $(shell date +%s)
# step says what comes next, and how long all so far took.
step = @echo "==> $(1) (after $$(( $$(date +%s) - $(START) )) s)"

.PHONY: help
help: ## List the commands
	@awk -F ':[^#]*## ' '/^[a-z-]+:[^#]*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: ## Show the main job from end to end, on real input
	$(GO) run ./cmd/regcred demo

.PHONY: build
build: ## Build the programs into bin/
	$(GO) build -trimpath -o bin/ ./cmd/...

.PHONY: cf-plugin
cf-plugin: ## Build the cf CLI plugin for every platform that cf runs on into dist/
	@mkdir -p dist
	@for platform in $(CF_PLATFORMS); do set -x; \
		CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/} $(GO) build -trimpath -ldflags='-s -w' \
			-o dist/cf-regcred-$${platform/\//-}$$([[ $$platform != windows/* ]] || echo .exe) ./cmd/cf-regcred; done

.PHONY: image
image: ## Write a container image of regcred to dist/, without Docker
	$(GO) -C tools/image run . -source $(CURDIR) -out $(CURDIR)/dist

.PHONY: test
test: check unit race modules integration ## Check everything and run every test
	$(call step,make test: done)

.PHONY: check
check: ## Vet, gofmt, lint and the import rules
	$(call step,go vet)
	$(GO) vet ./...
	$(GO) vet -tags=integration ./...
	$(call step,gofmt)
	@files=$$(gofmt -l .); [[ -z $$files ]] || { echo "run gofmt -w on: $$files"; exit 1; }
	$(call step,import rules)
	$(GO) test ./internal/importtest
	@$(MAKE) lint

.PHONY: lint
lint: bin/golangci-lint ## Lint
	$(call step,golangci-lint)
	bin/golangci-lint run --allow-parallel-runners ./...

.PHONY: unit
unit: ## Run the tests of the main module
	$(call step,go test)
	$(GO) test -timeout=$(PATIENCE) ./...

.PHONY: race
race: ## Run the tests of the main module under the race detector, which needs gcc
	$(call step,go test -race)
	@test/need.sh gcc
	@if command -v gcc >/dev/null; then set -x; $(GO) test -race -short -timeout=$(PATIENCE) ./...; fi

.PHONY: modules
modules: ## Run the tests in modules of their own
	@for module in $(TEST_MODULES); do $(MAKE) module MODULE=$$module; done

.PHONY: module
module:
	$(call step,go test in $(MODULE): its libraries are fetched where they are missing)
	$(GO) -C $(MODULE) vet -tags=integration ./...
	$(GO) -C $(MODULE) test -timeout=$(PATIENCE) ./...

.PHONY: integration
integration: bin/kube-apiserver bin/etcd bin/versitygw ## Run the tests against programs of others, such as skopeo
	$(call step,integration tests)
	@test/integration.sh

.PHONY: bench
bench: ## Measure what the figures in the documentation say
	$(GO) run ./test/bench

.PHONY: bench-kubernetes
bench-kubernetes: build bin/kube-apiserver bin/etcd ## Measure the target kubernetes on a real API server
	$(GO) run ./test/benchkube

.PHONY: bench-registry
bench-registry: build bin/registry bin/versitygw ## Measure the registry against distribution, nginx and skopeo
	@test/need.sh nginx
	@test/need.sh skopeo
	$(GO) run ./test/benchregistry

.PHONY: bench-small
bench-small: build bin/kube-apiserver bin/etcd bin/registry bin/versitygw ## All in fewer rounds; times fail nothing
	@test/need.sh nginx
	@test/need.sh skopeo
	$(GO) run ./test/bench -small
	$(GO) run ./test/benchkube -small
	$(GO) run ./test/benchregistry -small

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (20s)
	@test/fuzz.sh $(FUZZTIME)

.PHONY: soak
soak: ## Play 10 times 90 days of failing issuers: the figures in docs/reliability.md
	$(GO) test ./refresh -run '^TestZeroGap$$' -count=1 -v -timeout 0 -days 90 -seeds 10

.PHONY: vuln
vuln: bin/govulncheck ## Look for known vulnerabilities, where their database can be reached
	@bin/govulncheck ./... || { code=$$?; \
		[[ $$code = 3 ]] || echo "govulncheck could not finish: without its database nothing was checked"; \
		exit $$code; }

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin dist

# Tools have modules of their own, so that their dependencies are not regcred's.
bin/golangci-lint: tools/lint/go.mod tools/lint/go.sum
	$(call step,building golangci-lint: some minutes the first time)
	$(GO) -C tools/lint build -o $(CURDIR)/bin/ tool
	@touch $@

# The tests against Kubernetes run a real API server and its store.
bin/kube-apiserver: tools/kube/go.mod tools/kube/go.sum
	$(call step,building kube-apiserver: some minutes the first time)
	$(GO) -C tools/kube build -o $(CURDIR)/bin/kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
	@touch $@

bin/etcd: tools/kube/go.mod tools/kube/go.sum
	$(call step,building etcd)
	$(GO) -C tools/kube build -o $(CURDIR)/bin/etcd go.etcd.io/etcd/server/v3
	@touch $@

# The tests of object storage run a real S3 server.
bin/versitygw: tools/s3/go.mod tools/s3/go.sum
	$(call step,building versitygw: a minute the first time)
	$(GO) -C tools/s3 build -o $(CURDIR)/bin/ tool
	@touch $@

# The registry of CNCF Distribution is what ours is measured against.
bin/registry: tools/distribution/go.mod tools/distribution/go.sum
	$(call step,building distribution: a minute the first time)
	$(GO) -C tools/distribution build -o $(CURDIR)/bin/ tool
	@touch $@

bin/govulncheck: tools/vuln/go.mod tools/vuln/go.sum
	$(GO) -C tools/vuln build -o $(CURDIR)/bin/ tool
	@touch $@
