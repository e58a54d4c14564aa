# The few commands a person knows. Needs a Rust toolchain, make and a C compiler.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
CARGO ?= cargo
BIN := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)/debug
DEMO_ARGS ?=

.PHONY: help build demo test test-interop faults planted mutants bench install docs fmt lint

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-13s %s\n", $$1, $$2 }'

# Everything at once, tests included: one profile, one set of features, nothing is compiled twice.
build:
	@echo "building (the first time takes about 8 minutes on 2 cores, most of it dependencies)"
	@start=$$(date +%s); $(CARGO) build --workspace --all-targets --quiet; echo "built in $$(( $$(date +%s) - start )) s"

demo: build ## The main job on this machine, with five real nodes (DEMO_ARGS="--keep" leaves them running)
	@$(BIN)/escrow demo $(DEMO_ARGS)

test: build ## All tests that need nothing but this tree
	@start=$$(date +%s); $(CARGO) test --workspace --all-targets --quiet; echo "tests: $$(( $$(date +%s) - start )) s"
	@start=$$(date +%s); $(CARGO) test --workspace --doc --quiet; echo "doc tests: $$(( $$(date +%s) - start )) s"

test-interop: build ## Checks with tools that we did not write; installs what is missing
	@tests/interop/run

faults: build ## Disk faults and sudden death at every write of a deposit and a release (strace; five minutes)
	@$(BIN)/interop-faults

planted: ## Every planted bug must be caught: tests/planted/*.patch on a scratch copy
	@tests/planted/run

# Optimised, so the first time takes long. Ratios are what counts; run it on a machine that does nothing else.
bench: ## Durable appends against raw SQLite, a cosign round against a flush, verification against SHA-256
	$(CARGO) bench -p escrow-node -p escrow-audit --bench append --bench cosign --bench verify

mutants: ## Every small change of the verdict code must fail a test (hours; needs cargo-mutants)
	@tests/mutants/run

lint: ## Formatting and clippy, as CI runs them
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings

fmt: ## Format the tree
	$(CARGO) fmt --all

install: ## Install escrow and escrow-node for this user
	$(CARGO) install --locked --path escrow-cli
	$(CARGO) install --locked --path escrow-node

docs: ## API documentation of our own crates
	$(CARGO) doc --workspace --no-deps
