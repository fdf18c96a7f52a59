# One entry point for people and CI. `make help` lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.stamp
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PREFECT_HOME ?= $(CURDIR)/.prefect
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1

.PHONY: help track setup run rollback check test integration page bench ui clean
help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

setup: $(STAMP) ## make .venv with the locked dependencies

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cpu,dev]'
	@# A run writes its own dvc.lock; `make track` lets git see it again.
	@git ls-files --error-unmatch dvc.lock >/dev/null 2>&1 && git update-index --skip-worktree dvc.lock || true
	@# Prefect's database, once: runs that start together would race to create it.
	$(BIN)/prefect server database upgrade --yes >/dev/null
	touch $@

track: ## let git see dvc.lock again, to commit the results of a run
	git update-index --no-skip-worktree dvc.lock

run: setup ## the pipeline: train, compress, judge, promote
	@$(BIN)/python -m flows.pipeline

rollback: setup ## give `champion` back to the version that had it before
	@$(BIN)/python -m flows.rollback

check: setup ## lint, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check ## check, and every test that needs no real server and takes no minute
	$(BIN)/pytest -m "not integration" -n 2 --dist loadfile --no-loadscope-reorder

integration: setup ## the tests against real servers, and long ones; what is missing is said and skipped
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cpu,dev,browser,conformance,postgres,lightning,transformers]'
	@npm ci --silent --ignore-scripts --prefix deploy/edge || true
	$(BIN)/pytest -m integration -rs

page: setup ## the model as a page that classifies in the browser, in build/edge
	npm ci --silent --ignore-scripts --prefix deploy/edge
	$(BIN)/lowtide bundle --web build/edge

bench: setup ## benchmarks; each prints a table and writes benchmarks/results/NAME.json
	$(BIN)/python -m benchmarks.pipeline
	$(BIN)/python -m benchmarks.planner
	$(BIN)/python -m benchmarks.planning_speed
	$(BIN)/python -m benchmarks.controller
	$(BIN)/python -m benchmarks.metering
	$(BIN)/python -m benchmarks.ledger
	$(BIN)/python -m benchmarks.placement
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cpu,dev,peers]'
	$(BIN)/python -m benchmarks.compression

ui: setup ## Prefect and MLflow on loopback, deployments applied
	@$(BIN)/python scripts/ui.py

clean: ## remove what runs have made, not the environment
	rm -rf artifacts reports .lowtide .prefect mlruns mlartifacts mlflow.db* .dvc/tmp .dvc/cache
