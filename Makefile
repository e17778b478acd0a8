# Claimsight: `make` lists what there is to do.
PYTHON ?= python3
BIN := .venv/bin
INSTALL = $(BIN)/uv pip install --quiet --require-hashes --requirement $< --python
WORKERS ?= 2
ASKED = $(if $($1),--$2 "$$$1")# value from the environment, where make puts it, so that spaces and quotes survive
.DEFAULT_GOAL := help
unexport PYTHONDONTWRITEBYTECODE# each stage is a process: with its libraries compiled it starts in a third of the time
.DELETE_ON_ERROR:
.PHONY: help setup lock run console web chromium discover simulate test test-unit test-property test-long check cost bench schema mlflow clean
.PHONY: engine engine-stop images image up down run-docker audit test-container release rollback status
.PHONY: up-aws down-aws test-aws-local

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

setup: .venv/dev.stamp ## make .venv with all that development needs (PYTHON=python3.12 for another Python)
	@echo "Ready: make run, make check, make test"

lock: .venv/uv.stamp .venv/web.stamp ## re-make requirements/*.txt from pyproject.toml (UPGRADE=1 takes newer versions)
	@sh deploy/local/lock.sh $(if $(UPGRADE),--upgrade)

run: .venv/run.stamp ## run all stages here: CONTRACT=file DATA=file, or a generated book (CLAIMS= WEEKS= SEED= DRIFT=); AS_OF=date; CLEAR=why ACTOR=you
	@$(BIN)/python -m deploy.local.run $(call ASKED,CONTRACT,contract) $(call ASKED,DATA,data) $(call ASKED,AS_OF,as-of) \
		$(call ASKED,CLAIMS,claims) $(call ASKED,WEEKS,weeks) $(call ASKED,SEED,seed) $(call ASKED,DRIFT,drift) \
		$(call ASKED,CLEAR,clear) $(call ASKED,ACTOR,actor)

console: .venv/run.stamp .venv/console.stamp web ## serve the console on the results of `make run`: CONTRACT=file PORT=8400; prints the address and a first user
	@$(BIN)/python -m deploy.local.console $(call ASKED,CONTRACT,contract) $(call ASKED,PORT,port)

web: console/web/dist/index.html ## make the console's pages

discover: .venv/run.stamp ## draft a contract for claims never seen before: FILE=claims.csv [NAME=line_of_business]
	@$(BIN)/python -m jobs.etl --discover "$${FILE:?names no file; make discover FILE=claims.csv}" $(call ASKED,NAME,name)

run-docker: images .venv/run.stamp ## the same in containers, each as large as its task on ECS; results in .claimsight/docker
	@$(BIN)/python -m deploy.local.run --docker $(call ASKED,CONTRACT,contract) $(call ASKED,DATA,data) \
		$(call ASKED,AS_OF,as-of) $(call ASKED,CLAIMS,claims) $(call ASKED,WEEKS,weeks) $(call ASKED,SEED,seed) \
		$(call ASKED,DRIFT,drift) $(call ASKED,CLEAR,clear) $(call ASKED,ACTOR,actor)

simulate: OUT ?= .claimsight/book
simulate: export OUT := $(OUT)
simulate: .venv/run.stamp ## generate a book of claims: OUT=folder CLAIMS= WEEKS= SEED= PHOTOS=share DRIFT=covariate@60,...
	@$(BIN)/python -m deploy.local.simulate $(call ASKED,OUT,out) \
		$(call ASKED,CLAIMS,claims) $(call ASKED,WEEKS,weeks) $(call ASKED,SEED,seed) \
		$(call ASKED,PHOTOS,photos) $(call ASKED,DRIFT,drift)

test: .venv/dev.stamp web chromium ## run all tests and the examples in docstrings, WORKERS=2 at a time; those of the images where there is an engine or may be one
	@BUILDKIT_PROGRESS=quiet $(MAKE) --no-print-directory images || [ -z "$$REQUIRE_CONTAINER" ]
	@$(BIN)/python -m pytest -n $(WORKERS)

chromium:
	@sh deploy/local/chromium.sh || [ -z "$$REQUIRE_CONTAINER" ]

test-unit: .venv/dev.stamp ## run the unit tests
	@$(BIN)/python -m pytest tests/unit

test-long: export CLAIMSIGHT_FAULT_CASES := $(or $(CASES),500)
test-long: export CLAIMSIGHT_FAULT_SEED := $(or $(SEED),0)
test-long: export CLAIMSIGHT_DRIFT_SEEDS := 20
test-long: export CLAIMSIGHT_DRIFT_LIVES := 100
test-long: export CLAIMSIGHT_WHOLE_BUILD := make check test
test-long: .venv/dev.stamp ## strike etl with faults, 500 times (CASES=, SEED= to begin with another); drift on 20 books; build as CodeBuild does
	@$(BIN)/python -m pytest tests/end_to_end/test_any_fault.py $(if $(SEED),,tests/end_to_end/test_whole_build.py \
		tests/unit/test_drift_alarms.py tests/unit/test_concept.py tests/unit/test_late_books.py)

test-container: images .venv/dev.stamp ## run the tests of the images; none may be skipped
	@REQUIRE_CONTAINER=1 $(BIN)/python -m pytest tests/container

test-property: .venv/dev.stamp ## run the property tests
	@$(BIN)/python -m pytest tests/property

check: .venv/dev.stamp console/web/node_modules/.package-lock.json ## format, lint, types, import rules, templates; changes nothing
	@$(BIN)/ruff format --check && $(BIN)/ruff check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/cfn-lint deploy/templates/*.yaml
	@sh deploy/local/node.sh biome check --error-on-warnings && sh deploy/local/node.sh tsc --noEmit

bench: .venv/run.stamp ## run every benchmark; that of the images only where they are built
	@$(BIN)/python -m deploy.bench

bench-%: .venv/run.stamp ## run one benchmark: make bench-etl
	@$(BIN)/python -m deploy.bench $*

cost: .venv/dev.stamp ## estimate what an environment costs a month: ENV=dev
	@$(BIN)/python -m deploy.cost $(call ASKED,ENV,environment)

schema: .venv/run.stamp ## re-make docs/contract.schema.json, by which editors complete a contract
	@$(BIN)/python -c 'import json; from shared.contract import schema; print(json.dumps(schema(), indent=2))' > docs/contract.schema.json

engine: ## have a Docker engine: leaves one that answers alone, else installs and starts one (root on Debian or Ubuntu)
	@sh deploy/local/engine.sh start

engine-stop: ## stop the engine that `make engine` started, and no other
	@sh deploy/local/engine.sh stop

images: engine web ## build the images: five stages, console, mlflow, postgres (REGISTRY= TAG= PYTHON_IMAGE= CA_BUNDLE=)
	@sh deploy/local/images.sh

image: engine web ## build one image: make image STAGE=etl
	@sh deploy/local/images.sh "$${STAGE:?names no target; make image STAGE=etl}"

up: images ## start Postgres and MLflow as containers, for single stages beside them; writes .env where there is none
	@sh deploy/local/stack.sh up

down: ## remove what `make up` started (VOLUMES=1: and what it keeps)
	@sh deploy/local/stack.sh down

bench-images: images # the images as the code stands
bench-drift: .venv-bench/bench.stamp
bench-console bench: .venv/console.stamp
bench-console bench: .venv/console.stamp

release: .venv/dev.stamp ## build, push and deploy this commit to your AWS account: ENV=dev|staging|prod
	@$(BIN)/python -m deploy.rollout provision --env "$${ENV:?names no environment; make release ENV=dev}"
	@RELEASE=$$(date -u +%Y%m%dT%H%M%S)-$$(git rev-parse --short=7 HEAD) && export RELEASE && \
		sh deploy/build.sh "$$ENV" && $(BIN)/python -m deploy.rollout rollout --env "$$ENV" --release "$$RELEASE"

rollback: .venv/dev.stamp ## deploy the release that ran before this one: ENV=dev|staging|prod
	@$(BIN)/python -m deploy.rollout rollback --env "$${ENV:?names no environment; make rollback ENV=dev}"

status: .venv/dev.stamp ## what runs on AWS, since when, from which commit, what would change: ENV=dev|staging|prod
	@$(BIN)/python -m deploy.rollout status --env "$${ENV:?names no environment; make status ENV=dev}"

up-aws: images .venv/dev.stamp ## start a local AWS on an emulator, with the stacks of deploy/templates (LINES=demo,vehicle)
	@$(BIN)/python -m deploy.local.aws up $(call ASKED,LINES,lines)

down-aws: ## remove what `make up-aws` started
	@$(BIN)/python -m deploy.local.aws down

test-aws-local: images .venv/dev.stamp ## run the tests on a local AWS; none may be skipped
	@REQUIRE_CONTAINER=1 $(BIN)/python -m pytest tests/aws_local

audit: images .venv-audit/audit.stamp .venv/run.stamp ## list what the images are made of (CycloneDX), and what is known against it
	@$(BIN)/python -m deploy.local.audit etl train evaluate score drift mlflow postgres

mlflow: STORE ?= .claimsight
mlflow: .venv-mlflow/server.stamp ## serve MLflow's pages on a local run's models: http://127.0.0.1:5000 (STORE=folder)
	@MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false .venv-mlflow/bin/mlflow ui --workers 1 --host 127.0.0.1 --port 5000 \
		--backend-store-uri sqlite:///$(STORE)/mlflow.db

clean: engine-stop ## remove .claimsight, the environments and all caches; stops the local run's Postgres
	@$(PYTHON) -m deploy.local.stop .claimsight
	@rm -rf .claimsight console/web/node_modules console/web/dist .venv .venv-mlflow .venv-audit .venv-bench .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache
	@find shared jobs deploy console tests -name __pycache__ -type d -prune -exec rm -rf {} +

console/web/node_modules/.package-lock.json: console/web/package-lock.json .venv/web.stamp
	@echo "Installing console/web/node_modules"
	@sh deploy/local/node.sh npm ci --silent && touch $@

console/web/dist/index.html: console/web/node_modules/.package-lock.json console/web/index.html console/web/vite.config.ts $(shell find console/web/src -type f)
	@sh deploy/local/node.sh vite build --logLevel warn

# Stamps: an environment is filled once, and again only when its lock changes. Installing adds to what is there, so `run`
# and `dev` share .venv; they agree on every version, since requirements/all.txt constrains both.
.venv/uv.stamp: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Claimsight needs Python 3.11 or later: add PYTHON=python3.12, say")'
	@$(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

.venv/%.stamp: requirements/%.txt .venv/uv.stamp
	@echo "Installing $< into .venv"
	@$(INSTALL) $(BIN)/python
	@touch $@

.venv-mlflow/server.stamp: requirements/mlflow-server.txt .venv/uv.stamp
	@echo "Installing $< into .venv-mlflow"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-mlflow && $(INSTALL) .venv-mlflow/bin/python
	@touch $@

.venv-bench/bench.stamp: requirements/bench.txt .venv/uv.stamp
	@echo "Installing $< into .venv-bench"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-bench && $(INSTALL) .venv-bench/bin/python
	@touch $@

.venv-audit/audit.stamp: requirements/audit.txt .venv/uv.stamp
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-audit && $(INSTALL) .venv-audit/bin/python
	@touch $@
