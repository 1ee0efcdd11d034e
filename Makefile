# The front door. `make demo` shows the main job, `make test` runs the tests, `make check` is the gate.
# Everything lives in .venv and build/; nothing else on the machine is touched but uv's download cache.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WARD ?= build/ward

# Dozens of processes are started: each would compile six hundred files anew where byte code is not kept.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup demo up test check format bench conformance interop torture escape bench-sandbox crashes approvals rollback bench-safeguards bench-neighbours bench-overload bench-tools day paths rug-pulls interleavings lock clean bench-lineage leaks traces honeytokens bench-agentdojo examples

help: ## what can be asked for
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: $(READY) ## the virtual environment, from the lock file

$(READY): requirements/dev.txt requirements/uv.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "toolward needs Python 3.11 or newer as $(PYTHON); set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet --require-hashes requirements/dev.txt requirements/uv.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --editable .
	@touch $@

demo: setup ## the main job on real servers, in under three minutes
	$(BIN)/python -m toolward.lab.demo

up: setup ## a daemon on WARD (default build/ward)
	$(BIN)/toolward up $(WARD)

test: setup ## all tests; under 15 minutes on two cores
	$(BIN)/python -m pytest -n 3 --dist loadfile

check: setup ## format, lint, types, import contracts
	$(BIN)/ruff format --check src tests
	$(BIN)/ruff check src tests
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## put the code into the one format
	$(BIN)/ruff format src tests
	$(BIN)/ruff check --fix src tests

bench: setup ## CPU and throughput beside direct, fastmcp and mcp-policy-gateway; audit; policy
	$(BIN)/python -m toolward.lab.bench

bench-agentdojo: setup ## AgentDojo's suites through the real corridor, without a model: attacks executed, tasks unasked
	$(BIN)/python -m toolward.lab.agentdojo

conformance: setup ## the official MCP suite through the gateway, both eras
	$(BIN)/python -m toolward.lab.conformance

interop: setup ## ten real servers and three real clients
	$(BIN)/python -m toolward.lab.interop

torture: setup ## kill -9 and failing disks under load
	$(BIN)/python -m toolward.lab.torture

escape: setup ## what hostile tools try, in every kind of cage, each with a control without one
	$(BIN)/python -m toolward.lab.escape

bench-sandbox: setup ## start-up, throughput, CPU and memory of cages beside plain fork and exec
	$(BIN)/python -m toolward.lab.bench_sandbox

bench-safeguards: setup ## what idempotency keys, frontiers and escrow cost on the hot path; 10 000 held calls and questions while idle
	$(BIN)/python -m toolward.lab.bench_safeguards

bench-tools: setup ## ten thousand tools beside ten: start, list, search, describe, call, memory
	$(BIN)/python -m toolward.lab.paths.many_tools

bench-lineage: setup ## CPU of label and decide at 100 earlier results; a session of 10 000 calls
	$(BIN)/python -m toolward.lab.bench_lineage

leaks: setup ## a confidential value in every encoding to sinks that nobody cleared, with a control
	$(BIN)/python -m toolward.lab.leaks

traces: setup ## public benign traces (BFCL, multi-turn) through the corridor: what rules against leaks stop of honest work
	$(BIN)/python -m toolward.lab.traces

bench-neighbours: setup ## one hung, one flooding and one flapping server among ten: the others' latency, in pairs
	$(BIN)/python -m toolward.lab.neighbours

bench-overload: setup ## ten times as many callers of one tool as keep the gateway busy: what is answered still
	$(BIN)/python -m toolward.lab.neighbours.overload

rug-pulls: setup ## hostile servers that turn, each with a control; false alarms of ten real servers over restarts
	$(BIN)/python -m toolward.lab.rugpull

day: setup ## a benign day on thirteen real servers, and the same with an attacker's words in what is read; a control
	$(BIN)/python -m toolward.lab.day

honeytokens: setup ## planted values stolen by an agent over the daemon: incidents, and how soon
	$(BIN)/python -m toolward.lab.honeytokens

paths: setup ## one ward with a secure core and an open periphery at work; a canary that rolls itself back
	$(BIN)/python -m toolward.lab.paths work
	$(BIN)/python -m toolward.lab.paths canary

examples: setup ## the ready wards on real servers, each with the same attack where no rule stands
	$(BIN)/python -m toolward.lab.examples customer-support
	$(BIN)/python -m toolward.lab.examples customer-support --control

crashes: setup ## crash at every commit and around every effect: approvals, escrow, keys, rollback; and real kill -9
	$(BIN)/python -m pytest -q tests/corridor/test_crash_points.py tests/corridor/test_approval_crash_points.py \
	  tests/corridor/test_rollback_crash_points.py tests/corridor/test_escrow.py tests/corridor/test_idempotency.py \
	  tests/e2e/test_rollback_killed.py tests/e2e/test_keys_killed.py tests/e2e/test_approvals_killed.py

approvals: setup ## what may change between ask and execution, who may answer, forged and repeated answers, real clients
	$(BIN)/python -m pytest -q tests/corridor/test_approvals.py tests/corridor/test_approvals_between.py \
	  tests/corridor/test_approval_people.py tests/corridor/test_approval_edges.py tests/corridor/test_grants.py \
	  tests/unit/governance/test_webhooks.py tests/laws/test_ask_never_escalates.py tests/e2e/test_approvals_clients.py

rollback: setup ## ten writes on four real servers taken back by one command; and again with an undo that fails
	$(BIN)/python -m pytest -q tests/e2e/test_rollback_servers.py

interleavings: setup ## every interleaving of two sessions on two resources, through the real kernel
	$(BIN)/python -m toolward.lab.interleavings

lock: setup ## the lock files again, from pyproject.toml
	$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-header --no-annotate pyproject.toml -o requirements/core.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-header --no-annotate pyproject.toml --group dev -o requirements/dev.txt

clean: ## remove what was built
	rm -rf build $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
