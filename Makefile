# Two commands do all the set-up: `make report` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
REPORT ?= report.html
ARGS   ?=

.PHONY: report test lint format bench clean help
.DEFAULT_GOAL := help

help:
	@echo "make report   install into $(VENV), run the main job, write $(REPORT)  (ARGS='--seed 1 --depth 50' passes options)"
	@echo "make test     install the development tools too, and run the tests"
	@echo "make lint     ruff, mypy, import-linter"
	@echo "make bench    benchmarks, each printed as a ratio to its alternative"
	@echo "make clean    remove $(VENV), caches and $(REPORT)"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing normscope into $(VENV) (once; torch is the large part) ..."
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing normscope and its development tools into $(VENV) (once) ..."
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.runtime

$(VENV)/.bench: $(VENV)/.dev
	@echo "installing what the benchmarks compare with into $(VENV) (once) ..."
	$(PIP) --editable '.[bench]'
	@touch $@

report: $(VENV)/.runtime
	$(BIN)/normscope report --output $(REPORT) $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench
	@for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean:
	rm -rf $(VENV) $(REPORT) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build src/*.egg-info
