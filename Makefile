# make demo | test | test-all | check | docs | bench. PYTHON chooses the interpreter: make demo PYTHON=python3.12
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[test]'
	@touch $@

.PHONY: demo test test-all check docs bench clean
demo: $(VENV)/.ready
	$(BIN)/landscape run demo

test: $(VENV)/.ready
	$(BIN)/python -m pytest -n auto --dist loadfile

test-all: $(VENV)/.docs
	$(BIN)/python -m pytest -n auto --dist loadfile -m ''

$(VENV)/.dev: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	@touch $@

check: $(VENV)/.dev
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/python -m pytest -n auto --dist loadfile

$(VENV)/.docs: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	@touch $@

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -q -W -b html docs docs/_build/html
	@echo "docs/_build/html/index.html opens in a browser, without a network"

bench: $(VENV)/.ready
	$(BIN)/python benchmarks/surfaces.py

clean:
	rm -rf $(VENV) demo results .pytest_cache docs/_build docs/gallery/made
