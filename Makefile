# `make` alone lists the verbs. Only Python 3.11+, pip, venv and make are needed.
FITS := -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p $(FITS) 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
DEMO_READY := $(VENV)/.demo-installed
DEV_READY := $(VENV)/.dev-installed
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517 -c constraints.txt

.DEFAULT_GOAL := help
# An environment that was not made to its end, for want of ensurepip or by Ctrl-C, is made again.
.DELETE_ON_ERROR:
.PHONY: help demo test test-data test-all test-fast compose-test lint types format native fuzz screenshots bench bench-full soak clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(or $(PYTHON),false) $(FITS) 2>/dev/null || \
		{ echo "Gristmill needs Python 3.11, 3.12 or 3.13, and found $(or $(PYTHON),none on the PATH): say make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# What the native library is made of.
NATIVE := hatch_build.py $(wildcard worker_service/native/source/*)

$(DEMO_READY): pyproject.toml constraints.txt $(NATIVE) | $(BIN)/python
	@echo "Installing Gristmill into $(VENV) (once; about a minute)"
	@$(PIP_INSTALL) -e '.[demo]'
	@touch $@

$(DEV_READY): pyproject.toml constraints.txt $(NATIVE) | $(BIN)/python
	@echo "Installing Gristmill and its test tools into $(VENV) (once; about two minutes)"
	@$(PIP_INSTALL) -e '.[dev,bench]'
	@touch $@ $(DEMO_READY)

demo: $(DEMO_READY) ## start everything, run two jobs over 336,776 real flights, show the answer
	@$(BIN)/gristmill demo

PYTEST := $(BIN)/python -m pytest
SIDE_BY_SIDE := -n 2 --dist loadgroup --no-loadscope-reorder

test: $(DEV_READY) ## the tests, on embedded Postgres and Valkey, two files at a time
	@$(PYTEST) $(SIDE_BY_SIDE) -m 'not full'

test-all: $(DEV_READY) ## make test, the slow and heavy tests, and the pure ones without the native library
	@$(PYTEST) $(SIDE_BY_SIDE)
	@GRISTMILL_NATIVE=off $(PYTEST) $(SIDE_BY_SIDE) -m 'not full' tests/unit tests/property

test-fast: $(DEV_READY) ## the pure tests only, in seconds
	@$(PYTEST) tests/unit tests/meta -m 'not slow and not full'

test-data: $(DEV_READY) ## fetch the files of tests that npm and Debian have, where they can be had
	@$(BIN)/python -m tests.support.real_files

compose-test: $(DEMO_READY) ## docker-compose.yml for real, with faults, an update, a restore; skipped where no Docker engine answers
	@$(BIN)/python -m tests.compose.run

lint: $(DEV_READY) ## ruff and the import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

native: $(DEV_READY) ## compile the native library anew
	@$(BIN)/python hatch_build.py

screenshots: $(DEV_READY) ## pictures of every page of the dashboard, into docs/images; needs Chromium
	@$(BIN)/python -m tests.screenshots

SECONDS := 60
fuzz: $(DEV_READY) ## the C functions under AddressSanitizer and UBSan for SECONDS
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

types: $(DEV_READY) ## mypy --strict
	@$(BIN)/mypy

format: $(DEV_READY) ## format the code and apply safe fixes
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(DEV_READY) ## the benchmarks of docs/benchmarks.md, about ten minutes
	@$(BIN)/python -m benchmarks

bench-full: $(DEV_READY) ## make bench, ten times the rows, and other forms and questions; hours, 60 GB in TMPDIR
	@$(BIN)/python -m benchmarks --full

MINUTES := 30
SEED := 1
soak: $(DEV_READY) ## jobs under faults for MINUTES with a SEED: the report of docs/soak.md
	@$(BIN)/python -m tests.soak --minutes $(MINUTES) --seed $(SEED) --report soak.json

clean: ## remove the files of make and the demo
	rm -rf $(VENV) worker_service/native/*.so .gristmill .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
