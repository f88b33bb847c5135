# Each target sets up what it needs on a machine with python3 (>= 3.11, with venv), make and git.
PYTHON ?= python3
UV := .uv/bin/uv
BIN := .venv/bin

.PHONY: help setup demo test test-slow check format bench docs clean
.DEFAULT_GOAL := help

help:  ## what there is
	@grep -E '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 24

setup: .venv/ready  ## make the virtual environment from the lock file

$(UV):
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'

.venv/ready: $(UV) pyproject.toml uv.lock
	UV_PYTHON_DOWNLOADS=never $(UV) sync --quiet --frozen --compile-bytecode --python $(PYTHON)
	@touch $@

demo: setup  ## choose 50 rows of the bundled sample with the embedded models
	$(BIN)/tacos select demo/sample.jsonl -n 50 -o demo/selected.jsonl --report demo/report.html

test: setup  ## the tests, as CI runs them
	$(BIN)/pytest -n 2 -m "not slow"

test-slow: setup  ## the tests that take minutes
	$(BIN)/pytest -m slow

test-llm-server: setup  ## build llama.cpp's server once, ask it with schemas on
	$(UV) run --frozen --with 'gguf>=0.17' --with pip --with cmake --with ninja python scripts/llm_server.py check

check: setup  ## formatting, lint, types, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup  ## put the formatting right
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup  ## every benchmark, one line of JSON each
	for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

bench-%: setup  ## one of them: bench-models, bench-cascade, bench-ranking, ...
	$(BIN)/python benchmarks/bench_$*.py

clean:  ## remove what make made
	rm -rf .venv .uv demo/selected.jsonl demo/selected.jsonl.run demo/report.html
