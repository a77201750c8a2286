# The commands of a developer. `make help` prints the comments after the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(firstword $(foreach v,3.14 3.13 3.12 3.11,$(shell python$(v) -c 'import ensurepip; print("python$(v)")' 2>/dev/null)) python3)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
PROTOS ?= protos
GEN ?= gen
PYTEST_ARGS ?=
# How long `make soak` runs.
MINUTES ?= 15
# How many processes run tests side by side: one for each core, or a number.
TEST_PROCESSES ?= auto
COMPILED := $(CURDIR)/build/compiled
COMPILED_TESTS := $(addprefix tests/,conformance contract integration property)
# What these test is not compiled: commands, stores, settings, documents for other tools, alerts, a wheel of plain Python.
# Of several event loops, stores or channels the rest run with one each: see tests/support/machine_code.py.
NOT_COMPILED := $(addprefix --ignore tests/,contract/stores integration/cli integration/monitoring integration/process/test_wheel.py \
  integration/docs/test_oasdiff.py integration/docs/test_other_tools.py integration/docs/test_schemathesis.py \
  $(addprefix property/test_,http2.py start_up.py template.py native_reader.py native_writer.py))
# With the native codec, what it changes: the rows, and its own properties, which ask for it whatever codec is set.
NATIVE_TESTS := $(addprefix tests/,$(addprefix conformance/test_,conformance.py protobuf_suite.py) \
  $(addprefix property/test_,native_reader.py native_writer.py))

.PHONY: help run try protos check format test test-quick compiled test-compiled http-cache native wheel instructions bench bench-quick soak corpus lint-corpus pin clean

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

run: $(READY) ## start the sample back ends and the gateway, and print requests to try
	@$(BIN)/python -m services.demo

try: $(READY) ## print more requests to try while `make run` serves
	@$(BIN)/python -m services.demo --more

protos: $(READY) ## generate gen/ from protos/ (for your own: PROTOS=my/protos GEN=my_gen)
	@$(BIN)/python -m tools.protos --protos $(PROTOS) --out $(GEN)

check: $(READY) ## check format, lint, types, import contracts and generated code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.protos --check
	$(BIN)/python -m tools.settings_page --check
	$(BIN)/python -m tools.metrics_page --check
	$(BIN)/python -m tools.dashboard --check

format: $(READY) ## format the code and fix what the linter can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: $(READY) ## run the test suite
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) $(PYTEST_ARGS)

test-quick: $(READY) ## run the quick tests, in under a minute: no servers, no compiler, few examples
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) -m "not slow" --hypothesis-profile=quick tests/unit tests/conformance $(PYTEST_ARGS)

native: $(READY) ## build the native JSON codec for the sources (needs cargo)
	@$(BIN)/python -m tools.native

wheel: $(READY) ## build dist/*.whl for this Python and platform, with machine code if there is a C compiler, the native codec if there is cargo
	$(BIN)/python -m tools.machine_code --wheel dist

compiled: $(READY) ## compile the gateway to build/compiled, unless it is fresh (needs a C compiler; cargo for the native codec)
	$(BIN)/python -m tools.machine_code $(COMPILED)

test-compiled: compiled ## run the socket tests and the conformance rows against the compiled gateway, with both codecs
	GATEWAY_CODEC=python PYTHONPATH=$(COMPILED) PYTHONSAFEPATH=1 $(BIN)/python -m pytest --import-mode=importlib -o pythonpath= \
	  -n $(TEST_PROCESSES) $(NOT_COMPILED) tests/compiled.py $(COMPILED_TESTS) $(PYTEST_ARGS)
	PYTHONPATH=$(COMPILED) PYTHONSAFEPATH=1 $(BIN)/python -m pytest --import-mode=importlib -o pythonpath= \
	  -n $(TEST_PROCESSES) $(NATIVE_TESTS) $(PYTEST_ARGS)

http-cache: $(READY) ## run the public suite of HTTP caches against the cache (needs npm; HTTP_CACHE_TESTS=FOLDER for a checkout of it)
	$(BIN)/python -m tests.interop.http_cache

instructions: compiled ## count the instructions of a request, and compare with the recorded ones (needs valgrind and Go)
	$(BIN)/python -m benchmarks.instructions --check --code $(COMPILED)

bench: $(READY) ## measure the cost of a request, side by side with other gateways
	$(BIN)/python -m benchmarks

bench-quick: $(READY) ## measure only the small GET, in less than two minutes
	$(BIN)/python -m benchmarks --quick

soak: $(READY) ## serve for 15 minutes while workers are killed and settings reloaded; fails if something is lost or grows
	@$(BIN)/python -m benchmarks.soak_gateway --minutes $(MINUTES)

corpus: $(READY) ## send a request to every HTTP rule of a large published API set (for your own: FOLDER=my/sets)
	$(BIN)/python -m tools.corpus $(FOLDER)

lint-corpus: $(READY) ## lint the OpenAPI documents of that set, package by package (LINTER=redocly for one linter; needs npm)
	$(BIN)/python -m tools.openapi_corpus $(FOLDER) $(addprefix --only=,$(LINTER))

pin: $(READY) ## resolve requirements.txt again from pyproject.toml
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --upgrade -o requirements.txt

clean: ## remove everything that the other targets made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One file stands for the whole environment: it is made again when the pins or the project change.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "No virtual environment could be made; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Preparing $(VENV), once: downloads and installs packages: half a minute to several minutes, by machine and network"
	@set -o pipefail; PYTHONUNBUFFERED=1 $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off \
	  --require-hashes -r requirements.txt | while read -r word _; do case $$word in \
	    Collecting) (( ++n % 20 )) || echo "  $$n packages downloaded" ;; Installing) echo "  installing $$n packages ..." ;; esac; done
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
