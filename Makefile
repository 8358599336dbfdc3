# Needs Python 3.11 or newer. `make demo` and `make test` work on a fresh clone: they make .venv first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: demo test test-deep docs pages install lint types clean

demo: install
	$(BIN)/suffice demo

# one process a core
PYTEST := $(BIN)/python -m pytest --numprocesses logical --maxprocesses 8

test: install
	$(PYTEST) -m "not deep"

# what draws examples, with more of them, and what takes long
test-deep: install
	SUFFICE_TESTS=deep $(PYTEST) -m "deep or hypothesis"

# the site, in build/site; a broken link or reference is an error
docs: install
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -c docs -b html -d build/doctrees . build/site
	@echo "open build/site/index.html"

# the pages that are made from code and results
pages: install
	for page in checks result gallery benchmarks; do $(BIN)/python scripts/document_$$page.py || exit 1; done
	$(BIN)/python benchmarks/forecast/tables.py

install: .venv/installed

# torch comes first and alone: asked for by another package, the registry's newest build would come with it
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,docs]'
	touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

clean:
	rm -rf .venv dist build
