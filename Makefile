# Everything runs in a virtual environment of its own: .venv, made on first use.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: quickstart test test-fast check format clean

quickstart: $(VENV)/ready
	$(BIN)/python launch/quickstart.py

test: $(VENV)/ready
	$(BIN)/python -m pytest -n auto --dist loadfile

test-fast: $(VENV)/ready
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow and not long"

check: $(VENV)/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
