# Everything a developer does here. `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
ARGS ?=
TESTS ?=
N ?= 20
SHORT ?=

RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed

.DEFAULT_GOAL := help
.PHONY: help demo run test lint types crash bench services docs clean format lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "PYTHON=… chooses the interpreter (3.11 or newer); everything is installed into $(VENV)."

demo: $(RUNTIME) ## install, then show all engines at work (no screen when not on a terminal)
	@$(PY) -m streamconsole demo $(ARGS)

run: $(RUNTIME) ## open the console: make run ARGS="shop.toml"
	@$(PY) -m streamconsole $(ARGS)

# What measures time wants the machine for itself; all else shares its processors, and waits more than it computes.
test: $(DEV) ## run all tests but the kills: make test TESTS=tests/unit ARGS="-k ledger"
ifeq ($(TESTS)$(ARGS),)
	$(PY) -m pytest -n 3 -m "not alone and not crash"; shared=$$?; \
	$(PY) -m pytest -m "alone and not crash" && exit $$shared
else
	$(PY) -m pytest $(TESTS) $(ARGS)
endif

lint: $(DEV) ## check style, formatting and who may import whom
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/lint-imports --no-cache

types: $(DEV) ## check types, strictly
	$(PY) -m mypy

crash: $(DEV) ## kill the program N times at work and compare what it leaves: make crash N=200
	CRASH_N=$(N) $(PY) -m pytest -m crash --timeout=0 $(ARGS)

bench: $(DEV) ## measure each engine beside its physical limit: make bench SHORT=1
	$(PY) -m benchmarks $(if $(SHORT),--short) $(ARGS)

services: ## start the servers that service tests use
	@tests/services/install.sh

docs: $(DEV) ## draw the README's picture of the console again
	$(PY) docs/picture.py $(ARGS)

format: $(DEV) ## put the code in order, as far as a program can
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

lock: $(DEV) ## resolve the locks again: make lock ARGS=--upgrade
	PY=$(PY) requirements/lock.sh $(ARGS)

clean: ## remove what make made; never a workspace
	rm -rf $(VENV) build dist .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment is made anew only when the interpreter is missing from it.
$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "streamconsole needs Python 3.11 or newer; name one: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "$(PYTHON) -m venv failed; Debian has it in python3-venv" >&2; exit 1; }

# A stamp is as old as its install: nothing is installed again until a lock or pyproject.toml changes.
$(RUNTIME): requirements/build.lock requirements/runtime.lock pyproject.toml | $(PY)
	@echo "Installing streamconsole into $(VENV) …"
	@$(PIP) install --quiet --require-hashes -r requirements/build.lock -r requirements/runtime.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): requirements/dev.lock $(RUNTIME)
	@echo "Installing what tests and checks need into $(VENV) …"
	@$(PIP) install --quiet --require-hashes -r requirements/dev.lock
	@touch $@
