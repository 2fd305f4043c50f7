# The few words of this house. Everything runs in .venv, which the first word installs; see README.md.
.PHONY: help install demo test test-slow format check serve work lock clean
.DEFAULT_GOAL := help
BIN := .venv/bin
# The first interpreter from 3.11 to 3.13; set PYTHON to choose another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)

help: ## list the words
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: .venv/installed ## install everything into .venv, with pinned versions and checked hashes

.venv/installed: requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Module Zoo needs Python 3.11, 3.12 or 3.13; install one, or set PYTHON=" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (the first time downloads torch: some minutes on a slow line)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep -oE '^uv==[0-9.]+' requirements.txt)"
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: install ## the whole main job on real images; KEEP=1 leaves the service running
	@$(BIN)/zoo demo $(if $(KEEP),--keep)

# The networks of the tests are tiny: one thread is fastest, and two on a busy machine wait for each other.
test test-slow: export OMP_NUM_THREADS ?= 1

test: install ## every test that needs nothing but this machine
	@$(BIN)/python -m pytest

test-slow: install ## also the tests that take more than a minute
	@$(BIN)/python -m pytest -m "slow or not slow"

format: install ## put the code into shape
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

check: install ## lint, types, layers
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

serve: install ## the service with one local worker
	@$(BIN)/zoo serve

work: install ## one more worker; set ZOO_URL and ZOO_TOKEN
	@$(BIN)/zoo work

lock: install ## renew the pinned versions
	@for extras in "requirements.txt --extra=train --extra=postgres --extra=s3 --extra=tracing --extra=test" \
		"requirements-service.txt --extra=postgres --extra=s3 --extra=tracing" \
		"requirements-worker.txt --extra=train"; do set -- $$extras; file=$$1; shift; \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --upgrade $$* pyproject.toml --output-file $$file || exit 1; done

clean: ## remove the environment and every cache
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
