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

# The tests start dozens of interpreters: what one has compiled is there for the next one, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE
# The rules of Trio are for files that have anything asynchronous in them; to find that out takes a tenth of a second, to check them a minute.
ASYNC_FILES := grep -rlwE 'trio|anyio|asyncio|async|await' --include='*.py' --exclude-dir='.?*' --exclude-dir=build --exclude-dir=dist *

.PHONY: demo test check check-style check-async check-types check-rooms bench chaos clean
.DEFAULT_GOAL := demo

demo:
	@$(VENV) embedded
	@$(IN) $(BIN)/gateway demo $(ARGS)

test:
	@$(VENV) embedded,test
	@$(IN) .ci/browser
	$(IN) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

# Side by side, the longest first; the output of each stays together, and all are heard although one complains.
check:
	@$(VENV) embedded,test,check,bench
	@$(MAKE) -f '$(strip $(MAKEFILE_LIST))' --no-print-directory -j2 --output-sync=target --keep-going check-async check-types check-style check-rooms

check-style:
	$(IN) $(BIN)/ruff check .
	$(IN) $(BIN)/ruff format --check .

check-async:
	$(IN) $(ASYNC_FILES) | xargs -d '\n' $(BIN)/python -m flake8

check-types:
	$(IN) $(PYRIGHT)

check-rooms:
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
