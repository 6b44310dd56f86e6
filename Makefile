# Two commands for a newcomer: `make demo` and `make test`. Each does all of its own set-up in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-all lint docs clean

demo: .venv/.demo
	$(BIN)/neuropil tour

test: .venv/.dev lint
	$(BIN)/python -m pytest -m "not slow" -n auto

test-all: .venv/.dev lint
	$(BIN)/python -m pytest -n auto

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/.docs
	$(BIN)/mkdocs build --strict

.venv/.demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[atlas,fast,agents]'
	touch $@

.venv/.dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[atlas,fast,photographs,timeseries,agents,llm,pretrained,exchange,cluster,dev]'
	touch $@ .venv/.demo

.venv/.docs: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	touch $@

clean:
	rm -rf .venv
