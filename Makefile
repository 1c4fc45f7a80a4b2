# kadnet's commands. Each does the set-up it needs, in .venv/; `make` alone lists them.

# The environment's own programs, by path: nobody has to activate anything.
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help venv demo check test coverage swarm bench figures power docs format clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

venv: .venv/.dev-stamp ## the virtual environment with everything to work on kadnet

demo: .venv/.run-stamp ## an overlay of real processes: store, find, kill some, find again, talk
	@$(BIN)/python -m kadnet demo

check: .venv/.dev-stamp ## style, types and the floors of the house
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy --strict kadnet tests $(wildcard benchmarks)
	@$(BIN)/lint-imports

test: check ## check, then every test, stage by stage
	@$(BIN)/python tests/stages.py $(STAGE)

coverage: .venv/.dev-stamp ## the tests again, counting the lines that ran: twice as slow
	@$(BIN)/python tests/stages.py --cover unit properties scenarios

swarm: .venv/.dev-stamp ## scenarios with seeds of chance (RUNS=2000, SEED= of the swarm itself, ONLY=part of a name)
	@$(BIN)/python tests/swarm.py $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

bench: .venv/.dev-stamp ## kadnet beside its peers, as ratios measured in one run; takes some 25 minutes
	@$(BIN)/python -m benchmarks

figures: .venv/.dev-stamp ## what lookups are to reach, beside goals and controls; takes some half an hour (ARGS="--only world")
	@$(BIN)/python -m benchmarks.figures $(ARGS)

power: .venv/.dev-stamp ## switch features off one by one: their tests must fail (ROW=part of a name)
	@$(BIN)/python tests/power.py $(ROW)

docs: .venv/.dev-stamp ## the documentation, into docs/_build/
	@$(BIN)/sphinx-build -q -E -W --keep-going -b html docs docs/_build
	@echo "docs/_build/index.html"

format: .venv/.dev-stamp ## put every file into the house's form
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format

clean: ## remove everything that was made here
	rm -rf .venv build dist docs/_build .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --------------------------------------------------------------------------------------------------------- environment

# $(PYTHON) if it is given, else the first that runs (a pyenv shim may exist and not run), is new enough, and can make
# an environment (Debian ships venv apart). The target is pip, which venv writes last: half an environment is none.
.venv/bin/pip:
	@for python in $(or $(PYTHON),python3.13 python3.12 python3.11 python3); do \
	    if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        rm -rf .venv && exec $$python -m venv .venv; \
	    fi; \
	done; \
	echo "kadnet needs Python 3.11 or newer with venv; on Debian: apt install python3-venv$(if $(PYTHON), ($(PYTHON) will not do))" >&2; \
	exit 1

# The stamps are written last, so an installation that was interrupted is done again.
.venv/.run-stamp: pyproject.toml | .venv/bin/pip
	@echo "installing kadnet into .venv (the first time takes up to a minute)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[cli]'
	@touch $@

.venv/.dev-stamp: pyproject.toml | .venv/bin/pip
	@echo "installing kadnet and its tools into .venv (the first time takes a minute or two)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[cli,dev]'
	@touch .venv/.run-stamp $@
