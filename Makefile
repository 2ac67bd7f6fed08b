# Everything there is to set up: `make demo`, `make test` and `make bench`, on a bare checkout with Python 3.11+ and a
# package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH := .venv-bench
AUDIT := .venv-audit
NEWEST := .venv-newest
NEW_ENOUGH := import sys; sys.exit("Python 3.11 or later is needed" if sys.version_info < (3, 11) else 0)

.PHONY: demo test lint check test-kernels kernels-short test-newest fuzz audit bench site wheel clean

demo: $(VENV)/demo.stamp
	$(BIN)/trunkline demo demo --overwrite

test: lint check kernels-short

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/lint-imports

check: $(VENV)/test.stamp
	$(BIN)/python -m pytest -n 2 --dist worksteal --durations 10

# The numeric suites as other processors would compute them: a quarter of an hour; --short is part of `make test`.
test-kernels: $(VENV)/test.stamp
	$(BIN)/python tests/kernels.py

kernels-short: $(VENV)/test.stamp
	$(BIN)/python tests/kernels.py --short

# The pages of docs/ and the reference from the code, into build/site; part of `make test` through tests/site.
site: $(VENV)/test.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo build/site/index.html

# dist/: the sources, and from these the wheel; tests/test_wheel.py, part of `make test`, does the same and installs it.
wheel: $(VENV)/test.stamp
	$(BIN)/python -m build --no-isolation

# The core suites under the newest torch that was tried (NEWEST_TORCH=… for another, PYTHON=python3.13 for another Python).
NEWEST_TORCH ?= 2.14.1
CORE_SUITES := tests/balance tests/nn tests/optim tests/sharing tests/tasks tests/contracts/test_combinations.py \
	tests/test_network.py tests/test_towers.py

test-newest: $(NEWEST)/newest.stamp
	PYTHONPATH=src $(NEWEST)/bin/python -m pytest -n 2 --dist worksteal -p no:cacheprovider $(CORE_SUITES)

# Each reader for so long, with seeds of its own.
FUZZ_SECONDS ?= 120

fuzz: $(VENV)/test.stamp
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/python -m pytest tests/reliability/test_fuzz.py

# Known holes in the pinned versions. Needs a network; --strict: a version that nobody could look up is a failure too.
audit: $(AUDIT)/audit.stamp
	$(AUDIT)/bin/pip-audit --strict --no-deps --disable-pip -r constraints.txt

# All but benchmarks/toy.py, under a quarter of an hour on two cores; nothing else should run beside it.
bench: $(BENCH)/bench.stamp
	$(BENCH)/bin/python benchmarks/summary.py

# One pip call, torch pinned in it: nothing else can pull another build of torch.
$(VENV)/demo.stamp: pyproject.toml constraints.txt
	$(PYTHON) -c '$(NEW_ENOUGH)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch==2.13.0 -e .
	touch $@

$(VENV)/test.stamp: $(VENV)/demo.stamp
	$(BIN)/python -m pip install --quiet -c constraints.txt torch==2.13.0 -e '.[test]'
	touch $@

# What trunkline is compared with stays out of the tests' environment.
$(BENCH)/bench.stamp: pyproject.toml constraints.txt benchmarks/requirements.txt
	$(PYTHON) -c '$(NEW_ENOUGH)'
	$(PYTHON) -m venv $(BENCH)
	echo '*' > $(BENCH)/.gitignore
	$(BENCH)/bin/python -m pip install --quiet -c constraints.txt torch==2.13.0 -r benchmarks/requirements.txt \
		-e '.[torchjd]'
	touch $@

# Everything at the versions of constraints.txt but torch.
$(NEWEST)/newest.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(NEWEST)
	echo '*' > $(NEWEST)/.gitignore
	grep -v '^torch==' constraints.txt > $(NEWEST)/constraints.txt
	$(NEWEST)/bin/python -m pip install --quiet -c $(NEWEST)/constraints.txt torch==$(NEWEST_TORCH) '.[torchjd,numbers]' \
		accelerate hypothesis mpmath pytest pytest-xdist scikit-learn
	touch $@

$(AUDIT)/audit.stamp:
	$(PYTHON) -m venv $(AUDIT)
	echo '*' > $(AUDIT)/.gitignore
	$(AUDIT)/bin/python -m pip install --quiet pip-audit
	touch $@

clean:
	rm -rf $(VENV) $(BENCH) $(AUDIT) $(NEWEST) build dist src/*.egg-info .mypy_cache .pytest_cache .ruff_cache
