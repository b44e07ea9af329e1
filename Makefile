PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

# Threads that wait sleep: spinning they would take the processor from what else runs (docs/performance.md).
export OMP_WAIT_POLICY ?= passive

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test test-ray quality reliability lint clean benchmark-peers

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make .venv and install the package with what its tests need

$(INSTALLED): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) found: install Python 3.11 or later, or say which one: make install PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed, and $(PYTHON) is $$($(PYTHON) --version 2>&1). Say which one to use: make install PYTHON=python3.11" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test]'
	@touch $@

demo: install ## Search on MovieLens-100K, from download to report, in minutes on a laptop
	test -d data/raw/movielens || $(BIN)/ameir data fetch dataset=movielens
	@# A fixed number of threads: sums are made in one order, whatever the number of cores.
	OMP_NUM_THREADS=2 $(BIN)/python search.py dataset=movielens stage=all budget=demo run=demo

test: lint ## Check style and types, and run the tests
	@# Two processes of one thread each: the tests are many and small. In their order, the long ones come early.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not ray"

test-ray: install ## Install Ray and run the tests that need it (minutes)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[ray]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m ray

quality: install ## Rerun small configurations and compare their metrics with what was measured (benchmarks/quality.yaml)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks quality

reliability: install ## Kill, damage and soak for two hours; see docs/reliability.md
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[ray]'
	$(BIN)/python -m benchmarks reliability

lint: install ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/mypy

benchmark-peers: install ## Make the environments of what benchmarks measure against, and install what draws plots
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[benchmark]'
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet -r benchmarks/peers.txt
	test -x .venv-peers-recbole/bin/python || $(PYTHON) -m venv .venv-peers-recbole
	.venv-peers-recbole/bin/python -m pip install --quiet -r benchmarks/peers-recbole.txt

clean: ## Remove caches and build output; data, runs and .venv stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find ameir_pl tests benchmarks -type d -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
