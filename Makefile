# `make` lists the targets. Everything runs from .venv, which `make install` creates: nothing is
# activated, and nothing outside this folder changes, but for packages where a target says so.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The first Python on PATH that is new enough; `make install PYTHON=/path/to/python` names another one.
PYTHONS = python3.11 python3.12 python3 $(notdir $(wildcard \
	$(addsuffix /python3.[1-9][0-9],$(subst :, ,$(PATH))))) python
PYTHON ?= $(firstword $(foreach python,$(PYTHONS),$(if $(shell $(python) -c 'import sys; \
	print("yes" if sys.version_info >= (3, 11) else "")' 2>/dev/null),$(python))))
CORES ?= 2
PYTEST_ARGS ?=
# They mostly wait for SLURM: several at a time, each on a cluster of its own, one by one, longest first.
SLURM_ARGS := --numprocesses 4 --maxschedchunk 1

BIN := .venv/bin
# Rules call `python -m model...`: that is this Python, not the system's.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

# --- Environment ----------------------------------------------------------------------------------

.PHONY: install
install: .venv/.installed ## create .venv with the versions of requirements.lock

.venv/.installed: requirements.lock pyproject.toml | $(BIN)/pip
	@echo 'Installing requirements.lock into .venv: PyTorch is large, this takes a few minutes.'
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet \
		--no-deps --no-build-isolation --editable .
	@touch $@

$(BIN)/pip:
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or newer is needed: there is none on PATH.' \
		'Name one: make install PYTHON=/path/to/python' >&2; exit 1; }
	$(PYTHON) -m venv .venv

# The old lock is what uv starts from, so nothing moves unless it must;
# `make lock UV_ARGS=--upgrade` moves everything, `UV_ARGS='--upgrade-package numpy'` one package.
.PHONY: lock
lock: | $(BIN)/pip ## rewrite requirements.lock from pyproject.toml (needs the network)
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	cp requirements.lock .venv/resolved.lock
	$(BIN)/uv pip compile --quiet --python-version 3.11 --python-platform x86_64-unknown-linux-gnu \
		--extra dev --extra tensorboard --no-header --annotation-style line $(UV_ARGS) \
		--output-file .venv/resolved.lock pyproject.toml
	{ sed '/^[^#]/,$$d' requirements.lock; \
		grep -Ev '^(nvidia|cuda|triton)[a-z0-9-]*==' .venv/resolved.lock; } > .venv/new.lock
	mv .venv/new.lock requirements.lock
	$(BIN)/uv pip compile --quiet --python-version 3.11 --python-platform x86_64-unknown-linux-gnu \
		--group docs --no-header --annotation-style line $(UV_ARGS) --output-file docs/requirements.txt

# --- Pipeline -------------------------------------------------------------------------------------

.PHONY: demo
demo: install ## train, evaluate, tabulate and draw the study `demo` (minutes, no download of data)
	$(BIN)/snakemake --cores $(CORES)

# --- Checks ---------------------------------------------------------------------------------------

.PHONY: test
test: install ## run every test, the end-to-end ones too
	$(BIN)/python -m pytest --ignore tests/slurm --numprocesses 2 --dist loadfile $(PYTEST_ARGS)
	$(BIN)/python -m pytest tests/slurm $(SLURM_ARGS) $(PYTEST_ARGS)

.PHONY: test-quick
test-quick: install ## run the tests that take seconds
	$(BIN)/python -m pytest -m 'not slow' --numprocesses 2 --dist loadfile $(PYTEST_ARGS)

# The lowest versions that pyproject.toml admits, on the lowest Python, and the newest ones on the newest:
# the quick tests, a dry run, and the whole pipeline on tiny models.  PyTorch is 3 GB for each.
LOWEST_PYTHON ?= python3.11
NEWEST_PYTHON ?= python3.12

.PHONY: test-versions
test-versions: test-lowest test-newest ## test with the lowest and the newest versions (needs the network)

.PHONY: test-lowest test-newest
test-lowest: install
	$(call test_versions,lowest,$(LOWEST_PYTHON),lowest-direct)
test-newest: install
	$(call test_versions,newest,$(NEWEST_PYTHON),highest)

define test_versions
	test -d .venv-$(1) || $(2) -m venv .venv-$(1)
	$(BIN)/uv pip install --quiet --python .venv-$(1) --resolution $(3) --editable '.[dev]'
	$(BIN)/uv pip list --quiet --python .venv-$(1) | grep -E '^(snakemake|torch|pydantic|pandas|pyarrow) '
	PATH='$(CURDIR)/.venv-$(1)/bin':$$PATH python -m pytest --ignore tests/slurm \
		--ignore tests/test_pins.py -m 'not slow' --numprocesses 2 $(PYTEST_ARGS)
	.venv-$(1)/bin/snakemake --dry-run --quiet --config study=paper
	.venv-$(1)/bin/snakemake --cores $(CORES) --forceall --config study=tiny
endef

.PHONY: test-slurm
test-slurm: install ## run the tests on a real SLURM cluster (Debian 12, root: installs its packages)
	tests/slurm/packages.sh
	REQUIRE_SLURM=1 $(BIN)/python -m pytest tests/slurm $(SLURM_ARGS) $(PYTEST_ARGS)

.PHONY: test-sites
test-sites: install ## run them on clusters of other sites' kinds, as a user without rights (root, 10 minutes)
	tests/slurm/packages.sh
	REQUIRE_SLURM=1 $(BIN)/python -m pytest tests/slurm -m sites --durations 0 $(PYTEST_ARGS)

.PHONY: slurm-playground
slurm-playground: install ## run such a cluster until Ctrl-C, for trying things by hand (installs likewise)
	tests/slurm/packages.sh
	$(BIN)/python tests/slurm/playground.py

# On this machine, or with CLUSTER=yes on such a cluster; `make soak ROUNDS=1 SEED=7` plays one again.
ROUNDS ?= 100
SEED ?= 0
CLUSTER ?=

.PHONY: soak
soak: install ## kill a study's processes at random, ROUNDS times, and compare its results; 10,000 odd configs
	$(if $(CLUSTER),tests/slurm/packages.sh,CONFIG_EXAMPLES=10000 \
		$(BIN)/python -m pytest --quiet --timeout 3600 tests/study/test_config_properties.py)
	PYTHONPATH=tests/workflow:tests/slurm $(BIN)/python tests/faults/soak.py \
		--rounds $(ROUNDS) --seed $(SEED) $(if $(CLUSTER),--cluster)

.venv-docs/.installed: docs/requirements.txt | $(BIN)/pip
	$(BIN)/python -m venv .venv-docs
	.venv-docs/bin/python -m pip install --disable-pip-version-check --quiet -r docs/requirements.txt
	@touch $@

.PHONY: docs
docs: .venv-docs/.installed ## build the documentation as a site; a link to nowhere is an error
	.venv-docs/bin/sphinx-build --fail-on-warning --keep-going --quiet --builder html \
		--conf-dir docs . build/docs
	@echo 'build/docs/index.html'

.PHONY: lint
lint: install ## check style, formatting, types and the workflow, changing nothing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/mypy
	$(BIN)/snakemake --lint

.PHONY: format
format: install ## format the code and fix what can be fixed
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format
	$(BIN)/snakefmt Snakefile workflow/rules

# results/, data/ and .snakemake/ (what Snakemake knows about them) stay.
.PHONY: clean
clean: ## delete caches and build products; never results/, data/ or .venv
	rm -rf .mypy_cache .pytest_cache .ruff_cache build dist
	find . \( -name .venv -o -name data -o -name results -o -name .git -o -name .snakemake \) -prune \
		-o -name __pycache__ -type d -exec rm -rf {} +
