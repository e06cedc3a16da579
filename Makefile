# Everything sets itself up: each goal first brings .venv up to date (tools/setup_env.py), which takes
# a moment when there is nothing to do. Plain Python does the work; this file only names the goals.

JUPYTER_ARGS ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=
JOBS ?= 2
export PYTHON

# Any Python that runs will do to start tools/setup_env.py: that one looks for 3.11 or newer.
BOOT = $(shell for p in "$(PYTHON)" python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c "" 2>/dev/null && echo "$$p" && break; done)
set_up = @[ -n "$(BOOT)" ] || { echo "mmlocks: needs Python 3.11 or newer, and found no Python at all" >&2; exit 1; }; \
	"$(BOOT)" tools/setup_env.py
IN = .venv/bin/

# One or two quick files for each room, chosen by measured time: `make quick` takes 90 s at most.
QUICK = tests/project/test_imports.py tests/project/test_architecture.py \
	tests/project/test_reading.py tests/project/test_readme.py tests/project/test_slowest.py \
	tests/machine/test_schedule_and_run.py tests/machine/test_locks.py tests/machine/test_words.py \
	tests/mm/test_meaning.py tests/mm/test_maple.py tests/mm/test_exports.py tests/oracles \
	tests/explain/test_tools.py tests/search/test_search.py tests/search/test_moves.py \
	tests/scenarios/test_fork_first_touch.py tests/scenarios/test_checked.py \
	tests/scenarios/test_too_small.py \
	tests/labs/test_cells.py tests/show/test_listing.py tests/show/test_text.py \
	tests/show/test_pictures.py tests/maps/test_maps.py tests/conformance/test_compare.py \
	tests/conformance/test_recorded.py tests/cli/test_typed_badly.py tests/cli/test_fields.py

.PHONY: help lab quick test test-long lint format bench lock clean

help:
	@echo "make lab     open the course in JupyterLab     (JUPYTER_ARGS=\"--no-browser --port 8899\")"
	@echo "make quick   lint, and the quick tests of each room: 90 s, for every change"
	@echo "make test    lint, then every test              (PYTEST_ARGS=\"-k fork\")"
	@echo "make test-long  the tests that take minutes each"
	@echo "make bench   measure the search, and its peers  (BENCH_ARGS=...)"
	@echo "make lint    ruff and mypy"
	@echo "make format  let ruff rewrite what it can"
	@echo "make lock    choose the newest versions that pyproject.toml allows (writes constraints.txt)"
	@echo "make clean   remove .venv and everything else that make made"
	@echo
	@echo "PYTHON=/path/to/python3.12 chooses the Python (3.11 or newer) of a new .venv."

lab:
	$(set_up) course
	@$(IN)python tools/lab.py lessons/07_fork_vs_fault.ipynb $(JUPYTER_ARGS)

quick: lint
	$(IN)pytest -n $(JOBS) --dist loadfile -m "not slow" $(PYTEST_ARGS) $(QUICK)

test: lint
	$(IN)pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

test-long:
	$(set_up) course,test
	$(IN)pytest -n $(JOBS) -m long $(PYTEST_ARGS)

lint:
	$(set_up) course,test
	$(IN)ruff check
	$(IN)ruff format --check
	$(IN)mypy

format:
	$(set_up) course,test
	$(IN)ruff check --fix
	$(IN)ruff format

bench:
	$(set_up) bench
	$(IN)python -m benchmarks $(BENCH_ARGS)

lock:
	@"$(BOOT)" -m venv .venvs/lock
	@.venvs/lock/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.8,<1"
	@.venvs/lock/bin/python tools/lock.py

clean:
	rm -rf .venv .venvs .setup.lock build dist .coverage htmlcov
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
