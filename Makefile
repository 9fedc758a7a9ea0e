# The two commands of a newcomer are `make up` and `make test`. Both set everything up first, when it is not yet.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
PORT ?= 8000
DATA ?= .data
KAFKA_PORT ?= 9092
KAFKA_DATA ?= .data/kafka
KILLS ?= 200

.DEFAULT_GOAL := help
.PHONY: help setup up test check kafka faults bench lock

help: ## What there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Everything that the other commands need, in .venv

up: setup ## The whole platform with demo people on this machine (PORT=8000 DATA=.data)
	@exec $(BIN)/alongside up --demo --port $(PORT) --data $(DATA)

test: setup ## The tests that need nothing but Python (.ci/run runs the others too)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not kafka and not emulator and not browser"

check: setup ## Style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

kafka: setup ## A real Apache Kafka on the loopback (KAFKA_PORT=9092; needs Java 17 and Maven)
	@exec $(BIN)/python -m infra.kafka.broker --port $(KAFKA_PORT) --data $(KAFKA_DATA)

faults: setup ## Kills, cuts and hostile packets for long, on a real Kafka too (KILLS=200; needs Java 17 and Maven)
	ALONGSIDE_FAULT_KILLS=$(KILLS) $(BIN)/python -m pytest -m "not kafka" tests/faults
	ALONGSIDE_FAULT_KILLS=$(KILLS) ALONGSIDE_REQUIRE_KAFKA=1 $(BIN)/python -m pytest -m kafka tests/faults

bench: setup ## The figures, as ratios within one run
	$(BIN)/python -m bench

lock: ## Write the locks anew after a change of pyproject.toml (needs uv)
	@command -v uv > /dev/null || { echo "make lock needs uv: pipx install uv" >&2; exit 2; }
	uv pip compile --universal --generate-hashes --no-emit-index-url --all-extras pyproject.toml \
		-o requirements.lock
	uv pip compile --universal --generate-hashes --no-emit-index-url -c requirements.lock pyproject.toml \
		-o requirements-production.lock
	echo hatchling | uv pip compile --universal --generate-hashes --no-emit-index-url -c requirements.lock - \
		-o infra/docker/build.lock

# Written last, so that an installation that was cut short is done again.
$(STAMP): requirements.lock pyproject.toml
	@python=""; \
	for candidate in python3.11 python3.12 python3.13 python3; do \
		if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then \
			python=$$candidate; break; \
		fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "No Python 3.11 or newer was found. Install one (on Debian: apt install python3 python3-venv)." >&2; exit 2; \
	fi; \
	if ! $$python -c 'import ensurepip, venv' 2> /dev/null; then \
		echo "$$python cannot make a virtual environment. On Debian: apt install python3-venv" >&2; exit 2; \
	fi; \
	test -x $(BIN)/python || $$python -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
