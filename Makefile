# Everything runs in .venv, which the first target that needs it makes.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed

.PHONY: demo test check format tutorials benchmark install

install: $(READY)

$(READY): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test,dev,tutorials]"
	touch $@

demo: $(READY)  ## simulate a retina, analyse it; the report is demo/report.html
	$(BIN)/retina-codec demo --out demo

test: $(READY)  ## all tests, doctests and tutorials
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --numprocesses auto --dist loadfile

check: $(READY)  ## lint and formatting, nothing is changed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

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
