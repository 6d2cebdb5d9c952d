# Needs python3 (>= 3.11), python3-venv and make; everything else goes into .venv. Works from any folder and as root.

# "make -f /some/where/Makefile" from elsewhere must work too; the quotes are for folders with spaces.
ROOT := $(shell dirname '$(strip $(MAKEFILE_LIST))')
IN := cd '$(ROOT)' &&
VENV := $(IN) PYTHON='$(PYTHON)' .ci/venv
PYTHON ?= python3
BIN := .venv/bin
# Further arguments: make test ARGS="tests/sql -k cancel", make demo ARGS=--fast
ARGS ?=
# Each has a database server of its own. On two busy cores, rooms with a database: 192 s with one, 93 s with two, 86 s with three.
WORKERS ?= 2
# The pyright of the wheel, on the Node.js of the wheel: no look-up of a newer version, nothing of the machine.
PYRIGHT := PYRIGHT_PYTHON_IGNORE_WARNINGS=1 PYRIGHT_PYTHON_GLOBAL_NODE=0 $(BIN)/python -m pyright

.PHONY: demo test check bench chaos clean
.DEFAULT_GOAL := demo

demo:
	@$(VENV) embedded
	@$(IN) $(BIN)/gateway demo $(ARGS)

test:
	@$(VENV) embedded,test
	@$(IN) .ci/browser
	$(IN) $(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

check:
	@$(VENV) embedded,test,check,bench
	$(IN) $(BIN)/ruff check .
	$(IN) $(BIN)/ruff format --check .
	$(IN) $(BIN)/python -m flake8
	$(IN) $(PYRIGHT)
	$(IN) $(BIN)/lint-imports

bench:
	@$(VENV) embedded,test,bench
	$(IN) $(BIN)/python -m benchmarks $(ARGS)

# Tests that kill processes again and again; too long for every change.
chaos:
	@$(VENV) embedded,test
	$(IN) $(BIN)/python -m pytest -m chaos $(ARGS)

# Data and logs of a gateway in this folder are not rubbish and stay.
clean:
	$(IN) rm -rf .venv .venv.lock .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist *.egg-info
	$(IN) find . -name __pycache__ -type d -prune -exec rm -rf {} +
