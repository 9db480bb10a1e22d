# Every target does all set-up it needs on a machine with Python 3.11, make and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
WORKERS ?= 2

.PHONY: help setup demo docs test lint types types-tests layers unit slow format clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/'

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "simdrive needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,models]'
	@touch $@

setup: $(VENV)/.ready  ## create .venv with everything pinned

demo: $(VENV)/.ready  ## score several drivers on the smoke suite, with latency in the loop and videos
	$(BIN)/simdrive demo

docs: $(VENV)/.ready  ## the pages of docs/ as a site in build/site; opens from disk
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict -f docs/site/mkdocs.yml
	@echo build/site/index.html

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready
	$(BIN)/mypy

types-tests: $(VENV)/.ready  ## mypy of the tests, with some codes off
	$(BIN)/mypy tests --disable-error-code=arg-type --disable-error-code=comparison-overlap --disable-error-code=misc --disable-error-code=call-arg --disable-error-code=list-item --disable-error-code=no-any-return --disable-error-code=no-untyped-call --disable-error-code=union-attr --no-warn-unused-ignores

layers: $(VENV)/.ready
	$(BIN)/lint-imports

unit: $(VENV)/.ready
	$(BIN)/python -m simdrive.cli.warm
	$(BIN)/pytest -n $(WORKERS) --dist loadfile

test: $(VENV)/.ready  ## ruff, mypy, import-linter, pytest (default tier)
	@$(MAKE) --no-print-directory -j2 --output-sync=line lint types layers unit

slow: $(VENV)/.ready  ## the minutes-long tier
	$(BIN)/python -m simdrive.cli.warm
	$(BIN)/pytest -m slow -n $(WORKERS) --dist loadfile --durations=12

format: $(VENV)/.ready  ## rewrite the sources in house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
