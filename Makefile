# Thin: one line per recipe where possible. `make help` lists what there is.
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/zhengyun/target
SITES ?= hohhot ulanqab
comma := ,
empty :=
space := $(empty) $(empty)
BIN := $(CARGO_TARGET_DIR)/release

.PHONY: prove prove-full prove-model prove-mutants prove-kills help deps build dist generate check chart-test test prove-fuzz prove-conformance demo demo-recovery demo-down lab-up lab-down lab-status figures bench bench-backup bench-migration bench-peers

help: ## this list
	@awk -F':.*## ' '/^[a-zA-Z0-9%-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## prints, and as root installs, the system packages
	@tests/lab/deps

build: ## operator, API, worker, lab and demo, optimised
	cargo build --release --locked --workspace --bins

dist: ## what is shipped, optimised across crates; programs in the folder dist of the cargo target
	cargo build --profile dist --locked --workspace --bins

generate: ## writes CRD YAML, OpenAPI, chart copies and deploy/
	cargo run -q --locked -p zhengyun-crds --bin crdgen
	cargo run -q --locked -p zhengyun-api --bin openapi > api/openapi.json
	charts/render

check: ## format, lints, generated files
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo run -q --locked -p zhengyun-crds --bin crdgen -- --check
	tests/check/tree

chart-test: ## builds the pinned helm, lints the charts, finds drift in deploy/
	charts/render --check

test: ## all tests; FAST=1 only the pure ones and the CRD lint (3 minutes)
	@tests/run $(if $(FAST),--fast)

prove: ## every fault on the simulated world, at most 30 minutes; REPLAY='PLAN' plays one, ARGS="--class crash"
	@tests/prove $(if $(REPLAY),--replay '$(REPLAY)') $(ARGS)

prove-full: ## the same to the end: every plan, 2,000 pairs for each workload
	@tests/prove --minutes 6000 --pairs 2000 $(ARGS)

prove-mutants: ## the proof itself is tried: seeded bugs, each must be caught; ARGS="--mutants ZeroAssumed"
	@tests/prove-mutants $(ARGS)

prove-model: ## every state of ledger, lease, fence and revocation: 3 departments, 4 requests, 2 operators, 2 crashes, a pause
	@tests/prove-model $(ARGS)

prove-kills: ## the worker killed at 100 moments of a backup and 100 of a restore; ZHENGYUN_KILLS=1000
	ZHENGYUN_KILLS=$${ZHENGYUN_KILLS:-100} cargo test --locked --workspace --test worker a_run_that_is_killed_at_any_moment -- --nocapture

prove-fuzz: ## what strangers can send, tried in masses: CASES=50000 of each target
	@tests/prove-fuzz $(CASES)

prove-conformance: ## 10,000 random sequences, in memory as on a real API server; SEQUENCES=300, REPLAY=SEED
	@tests/prove-conformance $(if $(REPLAY),--replay $(REPLAY),$(SEQUENCES)) $(ARGS)

demo: ## the story on real data: two sites, real people, from request to zero
	@tests/demo

demo-recovery: ## disaster recovery on real data: two sites, one lost; backups, drills, restores, compared
	@tests/demo recovery

demo-down: lab-down ## ends what `make demo` started

lab-up: ## hub and sites, e.g. SITES="hohhot ulanqab"
	tests/lab/up --sites $(subst $(space),$(comma),$(strip $(SITES)))

lab-down: ## ends the lab's processes, and only those
	tests/lab/up --down

lab-status: ## what runs
	@tests/lab/up --status

figures: ## measures what README and docs state; JSON in target/figures.json
	@tests/figures

bench: ## all benchmarks at a size that takes half an hour; JSON in target/bench, a table; ARGS="--scale 1" for full size, some hours
	@tests/bench/run $(ARGS)

bench-B%: ## one of them, bench-B1 to bench-B7
	@tests/bench/run B$* $(ARGS)

bench-backup: ## the worker beside bare requests and beside restic: 71,000 objects, 1 GiB of files, 1,000 flipped bits
	@tests/bench/run backup $(ARGS)

bench-migration: ## the movers: 1 GB of PostgreSQL at 500 commits a second, beside a dump; 20,000 files beside rsync
	@tests/bench/run migration $(ARGS)

bench-peers: ## beside Kueue on the same control plane; builds Kueue the first time
	@tests/bench/run peers $(ARGS)
