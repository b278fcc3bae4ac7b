# A machine needs only Python (3.11 or newer) and make. Every target creates what it lacks.

PYTHON ?= python3
# Python 3.11 or 3.12, the ones the oldest supported NumPy has wheels for.
PYTHON_MINIMUM ?= $(PYTHON)
# Processes that run the tests, and further arguments to pytest: make test ARGS="-k huber"
JOBS ?= 2
ARGS ?=
# Cases of the fuzz, and the seed of the first: make fuzz N=20000 SEED=1000000
N ?= 1000
SEED ?= 0

VENV := .venv
VENV_MINIMUM := .venv-minimum
PY := $(VENV)/bin/python
PY_MINIMUM := $(VENV_MINIMUM)/bin/python
# What is not imported need not be compiled, which takes half of an installation.
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --no-compile

# An environment is up to date while its stamp file is newer than pyproject.toml and bears the
# package's version, which the installed metadata repeats.
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' robustreg/__init__.py)
INSTALLED_DEMO := $(VENV)/installed-plot-$(VERSION)
INSTALLED_TEST := $(VENV)/installed-test-$(VERSION)
INSTALLED_DEV := $(VENV)/installed-dev-$(VERSION)
INSTALLED_MINIMUM := $(VENV_MINIMUM)/installed-test-$(VERSION)

# Many tests begin processes of their own. Where compiled modules may not be kept, as some
# environments ask for, each of these compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

# The tests run in several processes; one BLAS thread in each is enough.
PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 VECLIB_MAXIMUM_THREADS=1
# Neighbouring tests stay in one process, which makes what they share but once; who has finished
# takes over from the others.
SHARE_OUT := --dist worksteal
# What the oldest dependencies have no say in, and `make test` has answered: whether examples and
# pages agree, who imports whom, and faults of our own arithmetic, which the fuzz, long draws and
# comparisons with our own references look for. Whatever of the package these run, and whatever it
# calls of its dependencies, other tests run as well. Of tests with many cases every fourth is run.
# Rows elsewhere are left out since the packages that bring them ask for a newer NumPy, and rows on
# a device since scikit-learn asks for a newer SciPy.
NOT_OF_VERSIONS := brackets certificate cluster delta_in_passes device examples fuzz \
	high_breakdown_in_passes layers lts_factors sessions sources_elsewhere sources_trimmed
# The lower bounds of pyproject.toml as exact versions, "numpy>=1.26" as "numpy==1.26.*".
LOWER_BOUNDS = $(shell $(PY_MINIMUM) -c 'import tomllib; \
	needs = tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]; \
	print(*("\"" + need.replace(">=", "==") + ".*\"" for need in needs))')

.PHONY: help demo test test-minimum test-cluster coverage fuzz lint format wheel test-wheel \
	environments clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

demo: $(INSTALLED_DEMO)  ## run examples/quickstart.py on real data
	MPLBACKEND=Agg $(PY) examples/quickstart.py

test: $(INSTALLED_TEST)  ## run all tests and the examples of the documentation
	$(PYTEST) $(PY) -m pytest -n $(JOBS) $(SHARE_OUT) $(ARGS)

test-minimum: $(INSTALLED_MINIMUM)  ## run the tests under the oldest supported dependencies
	$(PYTEST) $(PY_MINIMUM) -m pytest -n $(JOBS) $(SHARE_OUT) tests \
		$(NOT_OF_VERSIONS:%=--ignore=tests/test_%.py) --one-case-of 4 $(ARGS)

test-cluster: $(INSTALLED_TEST)  ## run the tests on a cluster of two worker processes
	$(PYTEST) $(PY) -m pytest -m cluster tests/test_cluster.py $(ARGS)

coverage: $(INSTALLED_TEST)  ## run all tests and fail below 97 % of lines and branches
	$(PYTEST) $(PY) -m pytest -n $(JOBS) $(SHARE_OUT) -q --cov --cov-report=term-missing:skip-covered $(ARGS)

fuzz: $(INSTALLED_TEST)  ## judge N fits of random tables, from SEED on (see CONTRIBUTING.md)
	$(PYTEST) $(PY) tests/fuzz.py --n $(N) --seed $(SEED) --jobs $(JOBS)

lint: $(INSTALLED_DEV)  ## check style, formatting and types
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy

format: $(INSTALLED_DEV)  ## format the code and mend what ruff can mend
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

wheel: $(INSTALLED_DEV)  ## build the source distribution and, from it, the wheel into dist/
	rm -rf dist
	$(PY) -m build --outdir dist

test-wheel: wheel  ## install the built wheel elsewhere and use it there
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(PYTHON) -m venv "$$folder/venv" && \
	"$$folder/venv/bin/python" $(PIP_INSTALL) dist/*.whl && \
	cp .ci/try_installed.py "$$folder" && cd "$$folder" && venv/bin/python try_installed.py

environments: $(INSTALLED_DEV) $(INSTALLED_MINIMUM)  ## create both environments (with -j2 at once)

clean:  ## remove environments, builds and caches
	rm -rf $(VENV) $(VENV_MINIMUM) build dist .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Environments. A failed attempt leaves nothing that a later one would take for finished.
$(VENV)/bin/python:
	$(call create_venv,$(PYTHON),$(VENV))

$(VENV_MINIMUM)/bin/python:
	$(call create_venv,$(PYTHON_MINIMUM),$(VENV_MINIMUM))

define create_venv
	@$(1) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	"robustreg needs Python 3.11 or newer; name one with make PYTHON=...")'
	$(1) -m venv --clear $(2) || { rm -rf $(2); exit 1; }
endef

# Each extra contains those listed after it.
CONTENTS_dev := dev test plot
CONTENTS_test := test plot
CONTENTS_plot := plot

$(VENV)/installed-%-$(VERSION): pyproject.toml | $(PY)
	$(PY) $(PIP_INSTALL) --editable ".[$*]"
	@touch $(foreach extra,$(CONTENTS_$*),$(VENV)/installed-$(extra)-$(VERSION))

$(INSTALLED_MINIMUM): pyproject.toml | $(PY_MINIMUM)
	$(PY_MINIMUM) $(PIP_INSTALL) $(LOWER_BOUNDS) --editable ".[test]"
	@touch $@
