.PHONY: demo test lint format types wheel setup help

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## make .venv with everything needed
	@scripts/setup.sh

demo: setup ## run the main job: collect, train, score, judge, report (under 8 minutes)
	@.venv/bin/headway demo

test: setup ## run all the tests
	@.venv/bin/python -m pytest

lint: setup ## style, and formatting without changing anything
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .

format: setup ## put every file into the project's format
	@.venv/bin/ruff check --fix . && .venv/bin/ruff format .

types: setup ## check the types
	@.venv/bin/mypy

wheel: setup ## build the wheel, install it in an empty environment and import it
	@scripts/wheel_smoke_test.sh
