# Everything runs in a virtual environment of its own: .venv, made on first use. `make help` lists the targets.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := -m pip install --quiet --disable-pip-version-check

.PHONY: help quickstart test test-fast test-long test-oldest test-newest check format docs docs-serve dist clean
.DEFAULT_GOAL := help

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

quickstart: $(VENV)/ready  ## prepare, train and complete on a handful of photographs, in minutes
	$(BIN)/python launch/quickstart.py

test: $(VENV)/ready  ## all tests but the long ones
	$(BIN)/python -m pytest -n auto --dist loadfile

test-fast: $(VENV)/ready  ## tests of a few seconds at most
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow and not long"

test-long: $(VENV)/ready  ## tests that take minutes each
	$(BIN)/python -m pytest -m long

test-oldest:  ## data and networks with the oldest packages that pyproject.toml allows (needs uv)
	$(MAKE) VENV=.venv-oldest test-versions RESOLUTION=lowest-direct

test-newest:  ## the same with the newest
	$(MAKE) VENV=.venv-newest test-versions RESOLUTION=highest

.PHONY: test-versions
test-versions:
	uv venv --quiet --clear --python $(PYTHON) $(VENV)
	uv pip install --quiet --python $(BIN)/python --resolution $(RESOLUTION) --editable ".[dev]"
	uv pip list --python $(BIN)/python
	$(BIN)/python -m pytest -q tests/models tests/data -m "not slow and not long"

check: $(VENV)/ready  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/ready  ## mends format, and lint where it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/docs-ready  ## the site, into site/: every warning is an error
	$(BIN)/python -m mkdocs build --strict

docs-serve: $(VENV)/docs-ready  ## the site while you write, on http://127.0.0.1:8000
	$(BIN)/python -m mkdocs serve

# Of one commit always the same bytes: files carry the commit's time.
dist: $(VENV)/dist-ready  ## wheel and source archive, into dist/, checked
	@test -z "$$(git status --porcelain)" || { git status --short; echo "these are in no commit: commit or remove them"; exit 1; }
	rm -rf dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*
	cd dist && sha256sum *

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) --editable ".[dev]"
	touch $@

$(VENV)/docs-ready: $(VENV)/ready
	$(BIN)/python $(PIP) --editable ".[dev,docs]"
	touch $@

$(VENV)/dist-ready: $(VENV)/ready
	$(BIN)/python $(PIP) build twine
	touch $@

clean:  ## removes the environments and all that was built
	rm -rf .venv .venv-oldest .venv-newest .pytest_cache .mypy_cache .ruff_cache site dist
