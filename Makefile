# Two commands for a newcomer: `make demo` and `make test`. The same tests give the same result every time.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-deep lint types contracts check docs bench clean

# Installed once, and again only when pyproject.toml changes; numerical kernels are compiled once, not by every worker.
.venv/installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/tomostat compile
	@touch $@

demo: demo/study.yaml
	$(BIN)/tomostat run demo/study.yaml

demo/study.yaml: | .venv/installed
	rm -rf demo
	$(BIN)/tomostat simulate demo --samples 4 --fields 1 --shape 80 192 256 --diameters 5 14 --depth-axis 0 --headspace 0.4 \
		--detachment-spread 0.12 --detachment-spread-power 2

# A process that has nothing left to do takes tests of the other: files of a few long tests keep no core waiting.
test: .venv/installed
	$(BIN)/pytest --numprocesses 2 --dist worksteal

# Every test, properties on more examples and with random seeds.
test-deep: .venv/installed
	TOMOSTAT_TESTS=deep $(BIN)/pytest --numprocesses 2 --dist worksteal

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

contracts: .venv/installed
	$(BIN)/lint-imports

check: lint types contracts test

docs: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

# All figures of the documentation beside what is required of them, into benchmarks/results and the pages: hours, in
# which it may be stopped and started again.
bench: .venv/installed
	$(BIN)/python -m benchmarks.figures

clean:
	rm -rf demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
