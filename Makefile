# Needs Python 3.11 or newer and make; everything else goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test check format bench screenshots readme clean

help:
	@echo "make demo         map a small old checkpoint onto a refactored model, in the terminal"
	@echo "make test         everything that is checked: style, types, layers, tests"
	@echo "make check        style, types and layers only"
	@echo "make bench        quality, speed and memory, measured (takes long)"
	@echo "make screenshots  draw the pictures of the README again"

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

demo: $(READY)
	@$(BIN)/wmtui demo --folder out/demo --force

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/pytest -n 2

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python -m benchmarks all

readme: $(READY)
	$(BIN)/python -m tests.generate_readme

screenshots: $(READY)
	$(BIN)/python -m tests.screenshots screenshots

clean:
	rm -rf $(VENV) out
