# `make` lists the targets. Those that need an environment set up what is missing by themselves.
.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
BOOTSTRAP := scripts/bootstrap
BIN := .venv/bin
export PYTHON

.PHONY: help setup demo test check format faults attack fuzz simulate bench screenshots docs docs-reference lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

setup: ## Create the environments for development and for MLflow, and see that there are a browser and a pooler
	@$(BOOTSTRAP) dev mlflow browser pooler

demo: ## Show a real MLflow registry and its catalog live; ONCE=1 drives, verifies and exits
	@$(BOOTSTRAP) run mlflow
	@$(BIN)/python -m demo $(if $(filter-out 0,$(ONCE)),--once) $(ARGS)

test: ## Run all tests; ARGS="tests/core -k retry" runs some
	@$(BOOTSTRAP) dev mlflow browser pooler
	@$(BIN)/pytest -n 2 --dist loadgroup $(ARGS)

check: ## Check format, lint, types, layers, dead code, docs and locks
	@$(BOOTSTRAP) dev
	@$(BIN)/python scripts/check.py $(ARGS)

format: ## Format the code and mend what the linter can
	@$(BOOTSTRAP) dev
	@$(BIN)/ruff check --fix-only --quiet . && $(BIN)/ruff format .

faults: ## Try faults against real processes and print what was lost; ARGS="kill stop --scale 3"
	@$(BOOTSTRAP) dev
	@$(BIN)/python -m faults $(ARGS)

attack: ## Attack real processes and print what was refused; ARGS="floods bombs --scale 3"
	@$(BOOTSTRAP) dev
	@$(BIN)/python -m attacks $(ARGS)

fuzz: ## Fuzz the ingress parser and the mapping compiler; ARGS="wire --seconds 3600"
	@$(BOOTSTRAP) dev
	@$(BIN)/python -m fuzz $(ARGS)

simulate: ## Try 20,000 random schedules of the whole pipeline; SEED=7 tells one; ARGS="--engine sqlite --count 500"
	@$(BOOTSTRAP) dev
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED)) $(ARGS)

bench: ## Measure Tidegate beside its peers; ARGS=--quick takes four minutes, ARGS=--help says what else
	@$(BOOTSTRAP) dev bench
	@$(BIN)/python -m bench $(ARGS)

screenshots: ## Take the documentation's pictures of the console anew
	@$(BOOTSTRAP) dev browser
	@TIDEGATE_SCREENSHOTS=docs/images/console $(BIN)/pytest -q -n 0 tests/browser $(ARGS)

docs: ## Write the generated reference anew and build the documentation into site/
	@$(BOOTSTRAP) dev
	@$(BIN)/python -m scripts.docs_reference
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet && echo "site/index.html"

docs-reference: ## Write those parts of the documentation anew that are made from the code
	@$(BOOTSTRAP) dev
	@$(BIN)/python -m scripts.docs_reference

lock: ## Write requirements/*.txt anew; ARGS=--upgrade takes the newest releases
	@$(BOOTSTRAP) dev
	@scripts/lock $(ARGS)

clean: ## Remove environments, caches and the demo's data
	rm -rf .venv .venv-mlflow .tidegate/setup .tidegate/demo site build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests demo examples scripts -type d -name __pycache__ -prune -exec rm -rf {} +
