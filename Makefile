# make setup | demo | test | lint | bench: each does all of its own set-up on a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A browser for the tests is fetched while Python's packages are.
MAKEFLAGS += --jobs=2

.PHONY: setup chromium demo test lint bench clean

setup: $(VENV)/.stamp

$(VENV)/.stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "unbake needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Python has no venv module: on Debian, apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'torch==2.13.0'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

# What the tests of the listening page drive. Where it can't be had they are skipped, and say so.
chromium:
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
		{ timeout 600 apt-get update && timeout 600 apt-get install --yes --no-install-recommends chromium; } >/dev/null 2>&1; } || \
		echo "no chromium here, and none to be had: the tests of the listening page will be skipped"

demo: setup
	$(BIN)/unbake demo -o demo --force

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

test: lint chromium
	$(BIN)/python -m pytest -n 3 --dist worksteal

bench: setup
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) demo .pytest_cache .ruff_cache .import_linter_cache
