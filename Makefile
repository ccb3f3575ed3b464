# where it is set every one of the tests' many processes would compile all that it imports
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo demo-arm bench bench-fast test test-ros soak test-metaworld lint format types wheel setup setup-metaworld help

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: ## make .venv with everything needed
	@scripts/setup.sh

setup-metaworld: ## make .venv-metaworld, where the metaworld/ tasks run
	@scripts/setup_metaworld.sh

demo: setup ## run the main job: collect, train, score, judge, report (under 8 minutes)
	@.venv/bin/headway demo

demo-arm: setup ## drive a simulated arm behind a ROS bridge, inject a fault, replay (trains for some minutes first)
	@.venv/bin/headway demo-arm

bench: setup ## measure every claim of speed beside its peer and write benchmarks/RESULTS.md (on a machine left alone)
	@.venv/bin/python benchmarks/all.py

bench-fast: setup ## see that every benchmark runs; its figures mean nothing
	@.venv/bin/python benchmarks/all.py --fast

test: setup ## run all the tests
	@.venv/bin/python -m pytest --numprocesses auto --dist loadfile

test-ros: setup ## run the tests on real sockets and on a real ROS 1 graph (scripts/install_ros1.sh), several at once
	@HEADWAY_LIVE=1 .venv/bin/python -m pytest --numprocesses 4 tests/envs/ros/live tests/envs/ros/ros1 tests/envs/ros/test_conformance.py

soak: setup ## two minutes of pictures at 30 Hz: memory flat, frames young, latch held
	@HEADWAY_LIVE=1 HEADWAY_SOAK_SECONDS=120 .venv/bin/python -m pytest --numprocesses 2 -s tests/envs/ros/live/test_soak.py

test-metaworld: setup-metaworld ## run the tests that need Meta-World
	@.venv-metaworld/bin/python -m pytest tests/envs/metaworld

lint: setup ## style, and formatting without changing anything
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .

format: setup ## put every file into the project's format
	@.venv/bin/ruff check --fix . && .venv/bin/ruff format .

types: setup ## check the types
	@.venv/bin/mypy

wheel: setup ## build the wheel, install it in an empty environment and import it
	@scripts/wheel_smoke_test.sh
