# `make up` and `make test` do all of their own set-up; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# sandbox: a cluster of its own, without Docker. current: the kube context of the stack, else kubectl's.
CLUSTER ?= sandbox
$(if $(filter-out sandbox current,$(CLUSTER)),$(error CLUSTER is sandbox or current, and not "$(CLUSTER)"))
STACK ?= dev
ON := $(if $(filter current,$(CLUSTER)),current,)

UV := $(or $(shell command -v uv),.uv/bin/uv)
UV_VERSION := 0.13.8
PYTHON := .venv/bin/python
PYTEST := .venv/bin/pytest
export UV
# Python starts in half the time where its modules are compiled, and much here starts it: containers tend to forbid it.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help dist setup up demo down status shell preview test check unit unit-beside everything apiserver browser e2e screenshots shared apart format generate bench bench-preview bench-evidence bench-analysis

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- set-up -------------------------------------------------------------------------------------------------------------

setup: .venv/.locked ## the Python environment, exactly as locked

.venv/.locked: uv.lock pyproject.toml controller/pyproject.toml sandbox/pyproject.toml | $(UV)
	@$(UV) sync --locked --quiet
	@touch $@

.uv/bin/uv:
	@echo "Fetching uv $(UV_VERSION), which sets up the Python environment"
	@python3 -c 'import ensurepip' 2>/dev/null || { apt-get update -qq; apt-get install -qq --yes python3-venv > /dev/null; }
	@python3 -m venv .uv
	@.uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# --- the main job -------------------------------------------------------------------------------------------------------

up: setup ## Istio, monitoring, gateway, controller and two canaries (CLUSTER=current: your own cluster; WAIT=1: follow rollouts)
	@$(PYTHON) -m sandbox $(ON) up $(if $(WAIT),--wait) $(if $(ON),$(if $(YES),--yes))

demo: setup ## a good version promoted and a bad one rolled back, live
	@$(PYTHON) -m sandbox $(ON) demo $(if $(ON),$(if $(YES),--yes))

status: setup ## the canaries, and the addresses to open
	@$(PYTHON) -m sandbox $(ON) status

shell: setup ## a shell whose kubectl, canary and pulumi work on the sandbox
	@$(PYTHON) -m sandbox $(ON) shell

down: setup ## remove all that `make up` made
	@$(PYTHON) -m sandbox $(ON) down $(if $(ON),$(if $(YES),--yes))

preview: setup ## what `up` would do, as the comment of a pull request (STACK="dev prod")
	@$(if $(shell command -v pulumi),,$(PYTHON) -m sandbox shell) $(PYTHON) -m preview $(addprefix --stack=,$(STACK)) $(OPTIONS)

# --- tests --------------------------------------------------------------------------------------------------------------

test: check everything browser ## every test; `unit` runs beside `e2e`, which waits most of the time
	@$(MAKE) -j3 --keep-going shared apart unit-beside
	@$(MAKE) apiserver

check: setup ## style, types, layers, generated files; no cluster
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@$(PYTHON) -m controller.api.crd --check

unit-beside:
	@$(BESIDE) 19 $(MAKE) unit

unit: setup ## the controller against fakes, the program against Pulumi's mocks; no cluster
	@$(PYTEST) -n 2 tests/unit tests/components

apiserver: setup browser ## against a real kube-apiserver
	@$(PYTHON) -m sandbox build
	@$(PYTEST) -n 2 tests/apiserver

browser: ## Chromium, for the tests of the page; without it they are skipped
	@command -v chromium > /dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -qq --yes --no-install-recommends chromium > /dev/null; } \
	  || echo "Chromium is not there and cannot be installed: the tests of the page in a browser are skipped"

everything: setup # with the version of Istio before, for the test of an upgrade
	@$(PYTHON) -m sandbox build istio-before

e2e: everything ## in sandboxes of their own, with real traffic
	@$(MAKE) -j2 --keep-going shared apart

# In sandboxes of their own, and so beside the others.
APART := tests/e2e/test_0_newcomer.py tests/e2e/test_5_upgrade.py

shared:
	@$(PYTEST) tests/e2e $(addprefix --ignore=,$(APART))

apart:
	@$(BESIDE) 10 $(PYTEST) $(APART)

# A command at this niceness, whose output is shown when it has ended.
BESIDE := sh -c 'log=$$(mktemp); nice -n "$$0" "$$@" > "$$log" 2>&1; status=$$?; cat "$$log"; rm "$$log"; exit $$status'

# --- upkeep -------------------------------------------------------------------------------------------------------------

format: setup ## format the code
	@.venv/bin/ruff check --fix --quiet
	@.venv/bin/ruff format --quiet

generate: setup ## CRDs and golden files, from the code
	@$(PYTHON) -m controller.api.crd --write
	@UPDATE_GOLDEN=1 $(PYTEST) --quiet tests/unit tests/components

screenshots: setup browser ## the pictures of the page in the documentation, from the code
	@UPDATE_GOLDEN=1 $(PYTEST) --quiet tests/apiserver/test_screenshots.py

dist: setup ## the files of a release: the CRDs, the wheel with the command line; with IMAGE a manifest for those without Pulumi
	@$(UV) build --quiet --wheel --package canary-controller --out-dir dist
	@.venv/bin/canary crds > dist/crds.yaml
	@$(if $(IMAGE),$(PYTHON) -m package.manifest "$(IMAGE)" > dist/install.yaml,true)

bench: setup ## the table of docs/cost.md: what the controller costs, beside Flagger (OPTIONS="--canaries 100 --rollouts 0")
	@$(PYTHON) -m sandbox build
	@$(PYTHON) -m bench.cost $(OPTIONS)

bench-preview: setup ## a preview of `dev`, beside one of as many plain resources; in the sandbox of `make up`
	@$(PYTHON) -m bench.preview

bench-evidence: setup ## the table of docs/statistics.md, and a plot
	@$(PYTHON) -m bench.evidence --rollouts 1000 --out bench/out

bench-analysis: setup ## the same faults judged by a threshold and by comparison, with real traffic
	@$(PYTHON) -m tests.e2e.comparison
