# Everything a developer types. `make help` is made from the comments behind the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(firstword $(foreach v,3.14 3.13 3.12 3.11,$(shell python$(v) -c 'import ensurepip; print("python$(v)")' 2>/dev/null)) python3)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
PROTOS ?= protos
GEN ?= gen
PYTEST_ARGS ?=
COMPILED := $(CURDIR)/build/compiled
COMPILED_TESTS := $(addprefix tests/,conformance contract integration property)

.PHONY: help run protos check format test test-quick test-compiled wheel bench bench-quick corpus pin clean

help: ## what you can type
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

run: $(READY) ## the sample back ends and the gateway, with lines to try
	@$(BIN)/python -m services.demo

protos: $(READY) ## generate $(GEN)/ from $(PROTOS)/ (PROTOS=my/protos GEN=my_gen for your own)
	@$(BIN)/python -m tools.protos --protos $(PROTOS) --out $(GEN)

check: $(READY) ## format, lint, types, import contracts, fresh generated code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.protos --check
	$(BIN)/python -m tools.settings_page --check

format: $(READY) ## put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: $(READY) ## the test suite
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-quick: $(READY) ## the rules alone, in under a minute: no servers, no compiler, few examples of each property
	$(BIN)/python -m pytest -n 2 -m "not slow" --hypothesis-profile=quick tests/unit tests/conformance $(PYTEST_ARGS)

wheel: $(READY) ## dist/*.whl for this Python and platform, with machine code where it can be made
	$(BIN)/python -m tools.machine_code --wheel dist

test-compiled: $(READY) ## what goes over sockets, and every rule, against the gateway as machine code
	$(BIN)/python -m tools.machine_code $(COMPILED)
	PYTHONPATH=$(COMPILED) PYTHONSAFEPATH=1 $(BIN)/python -m pytest --import-mode=importlib -o pythonpath= \
	  --ignore tests/property/test_http2.py tests/compiled.py $(COMPILED_TESTS) $(PYTEST_ARGS)

bench: $(READY) ## what a request costs, side by side with other gateways
	$(BIN)/python -m benchmarks

bench-quick: $(READY) ## the small GET alone, in under two minutes
	$(BIN)/python -m benchmarks --quick

corpus: $(READY) ## send a request to every HTTP rule of a large published API set (FOLDER=my/sets for yours)
	$(BIN)/python -m tools.corpus $(FOLDER)

pin: $(READY) ## resolve requirements.txt anew from pyproject.toml
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --upgrade -o requirements.txt

clean: ## remove what the other targets made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp stands for the whole environment: it is made anew when the pins or the project change.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "No virtual environment could be made; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Preparing $(VENV) (once; about half a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
