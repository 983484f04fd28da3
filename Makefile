# Needs Python 3.11 or newer and make; everything else goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
FUZZ_SECONDS ?= 3600
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test check format bench fuzz screenshots sessions readme clean

help:
	@echo "make demo         map a small old checkpoint onto a refactored model, in the terminal"
	@echo "make test         everything that is checked: style, types, layers, tests"
	@echo "make check        style, types and layers only"
	@echo "make bench        quality, speed and memory, measured (takes long)"
	@echo "make fuzz         feed the readers of files with what nobody would write, an hour each (FUZZ_SECONDS=3600)"
	@echo "make screenshots  draw the pictures of the README again, and every screen into out/screens"
	@echo "make sessions     do three jobs of a new user in tmux, and write down keys and screens (screenshots/sessions)"

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

fuzz: $(READY)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[fuzz]'
	$(BIN)/python -m tests.fuzz.headers out/fuzz/headers -artifact_prefix=out/fuzz/ -max_len=600 -max_total_time=$(FUZZ_SECONDS)
	$(BIN)/python -m tests.fuzz.pickles out/fuzz/pickles -artifact_prefix=out/fuzz/ -max_len=3000 -rss_limit_mb=700 \
		-timeout=10 -max_total_time=$(FUZZ_SECONDS)

readme: $(READY)
	$(BIN)/python -m tests.generate_readme

screenshots: $(READY)
	$(BIN)/python -m tests.screenshots screenshots
	$(BIN)/python -m tests.screenshots out/screens all

sessions: $(READY)
	$(BIN)/python -m tests.sessions screenshots/sessions

clean:
	rm -rf $(VENV) out
