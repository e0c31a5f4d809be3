# Everything runs in .venv, which the first target that needs it makes.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed

.PHONY: demo test check format tutorials benchmark docs links install

install: $(READY)

$(READY): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable ".[test,dev,docs,tutorials]"
	touch $@

demo: $(READY)  ## simulate a retina, analyse it; the report is demo/report.html
	$(BIN)/retina-codec demo --out demo

test: $(READY)  ## all tests, doctests and tutorials
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --numprocesses auto --dist loadgroup --durations 20

check: $(READY)  ## lint, formatting and types, nothing is changed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

tutorials: $(READY)  ## run the tutorials and keep their pictures
	$(BIN)/jupytext --to ipynb tutorials/*.py
	$(BIN)/jupyter-execute --inplace tutorials/*.ipynb

benchmark: $(READY)  ## print the tables of benchmarks/
	$(BIN)/python benchmarks/contributions.py
	$(BIN)/python benchmarks/quadrature.py
	$(BIN)/python benchmarks/large_images.py
	$(BIN)/python benchmarks/recovery.py
	$(BIN)/python benchmarks/fields.py
	$(BIN)/python benchmarks/images.py
	$(BIN)/python benchmarks/recordings.py
	$(BIN)/python benchmarks/explorer.py
	$(BIN)/python benchmarks/installed_size.py

docs: $(READY)  ## build the documentation site; warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

links: $(READY)  ## ask whether links to other sites still lead somewhere
	$(BIN)/python -m sphinx -W --keep-going -b linkcheck docs docs/_build/links
