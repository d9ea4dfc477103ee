# make demo · make test: a plain Python 3.11 or newer with venv is all they need.
# PYTHON=… chooses the interpreter, VENV=… the folder of the environment, ARGS=… adds arguments to the command.

VENV ?= .venv
BIN := $(VENV)/bin
SCRIPTS := tools/install-servers
TOGETHER := -n 2 --dist loadfile --no-loadscope-reorder
BENCHES := $(filter-out __init__ gpu,$(basename $(notdir $(wildcard bench/*.py))))

.DEFAULT_GOAL := help
.PHONY: help demo setup test check servers wheel bench

help:
	@echo 'make demo      the whole of Assay in one process, on traffic of its own'
	@echo 'make test      all tests; those of servers that are not installed are skipped'
	@echo 'make check     formatting, lint, types, import contracts, tests'
	@echo 'make servers   install the real servers that the tests use into .cache/servers'
	@echo 'make wheel     build the wheel into dist/'
	@echo 'make bench     every benchmark but the one of a GPU (python -m bench.gpu)'

demo: $(VENV)/.runs
	$(BIN)/assay demo $(ARGS)

setup: $(VENV)/.tests

test: setup
	$(BIN)/python -m pytest -q $(TOGETHER) $(ARGS)

check: setup
	$(BIN)/ruff check . $(SCRIPTS)
	$(BIN)/ruff format --check . $(SCRIPTS)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q $(TOGETHER) $(ARGS)

servers:
	tools/install-servers $(ARGS)

wheel: setup
	rm -rf dist
	$(BIN)/python -m pip wheel -q --no-deps --wheel-dir dist .

bench: setup
	set -e; for name in $(BENCHES); do echo "== bench.$$name"; OMP_NUM_THREADS=1 $(BIN)/python -m bench.$$name $(ARGS); done

# One recipe for both environments: what a stamp says is installed was installed after pyproject.toml last changed.
$(VENV)/.runs: EXTRA :=
$(VENV)/.tests: EXTRA := [test]
$(VENV)/.runs $(VENV)/.tests: pyproject.toml
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  for candidate in $(or $(PYTHON),python3.13 python3.12 python3.11 python3); do \
	    if "$$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	      echo "$(VENV): $$("$$candidate" --version)"; exec "$$candidate" -m venv --clear $(VENV); \
	    fi; \
	  done; \
	  echo 'Assay needs Python 3.11 or newer with the venv module (Debian: apt install python3-venv).' >&2; \
	  echo 'None of $(or $(PYTHON),python3.13 python3.12 python3.11 python3) is that; PYTHON=… names another.' >&2; \
	  exit 1; }
	@echo 'installing packages into $(VENV): some minutes and 5 GB the first time, most of it PyTorch'
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.$(EXTRA)'
	@touch $@
