# `make demo` runs Bellhop with a local stand-in for Slack; `make test` runs the tests without
# external programs, `make test-all` runs every test.
PYTHON ?= python3
BIN := .venv/bin
# The demo starts with an empty database and ignores .env; its commands read DEMO_ENV.
DEMO_ENV := var/demo/.env
DEMO := FLASK_ENV_FILE=$(DEMO_ENV) DATA_DIR=var/demo DATABASE_URL= ENCRYPTION_KEYS= SESSION_SECRET= CALLBACK_NETWORKS=127.0.0.0/8
PORT ?= 3000
SANDBOX_PORT ?= 3100
# Twice the number of cores, because tests also wait.
WORKERS ?= $(shell $(PYTHON) -c "import os; print(2 * os.cpu_count())")
# The number of repetitions of each test by `make faults`.
RUNS ?= 1
REQUIRE_ALL := REQUIRE_POSTGRES=1 REQUIRE_BROWSER=1 REQUIRE_ALERTMANAGER=1 REQUIRE_PROXIES=1 REQUIRE_NODE=1
# Python and pytest compile every module again in each process if they may not keep the result.
unexport PYTHONDONTWRITEBYTECODE
QUICK := not (postgresql or browser or alertmanager or node or proxies or faults or slow)

.PHONY: demo run test test-all faults lint format docs coverage benchmark bake-off clean

define PORTS_ARE_FREE
import socket, sys
for name, port in (given.split("=") for given in sys.argv[1:]):
    try:
        socket.create_server(("127.0.0.1", int(port))).close()
    except OSError:
        sys.exit(f"Port {port} is in use by another program: stop it, or set {name}.")
endef
export PORTS_ARE_FREE

# The ports are checked first, because a demo that runs already has its data in var/demo.
demo: .venv/ready
	@$(BIN)/python -c "$$PORTS_ARE_FREE" PORT=$(PORT) SANDBOX_PORT=$(SANDBOX_PORT)
	@umask 077 && rm -rf var/demo && mkdir -p var/demo && chmod 700 var && \
		printf '%s\n' $(DEMO) >$(DEMO_ENV)
	@env $(DEMO) HOST=127.0.0.1 PORT=$(PORT) PUBLIC_URL=http://127.0.0.1:$(PORT) \
		$(BIN)/python -m slack_sandbox --port $(SANDBOX_PORT) --append-env $(DEMO_ENV) \
		--app-url http://127.0.0.1:$(PORT) --run $(BIN)/python app.py

run: .venv/ready
	$(BIN)/python app.py

test: .venv/ready
	$(BIN)/pytest -n $(WORKERS) -m "$(QUICK)"
	@echo "Skipped: tests with PostgreSQL, Chromium, Alertmanager, Node.js, nginx or Caddy, fault tests" \
		"and slow tests; \`make test-all\` runs them too."

test-all: .venv/ready
	$(REQUIRE_ALL) $(BIN)/pytest -n $(WORKERS) --dist worksteal --hypothesis-profile=long

faults: .venv/ready
	REQUIRE_POSTGRES=1 $(BIN)/pytest -n $(WORKERS) -m faults --count=$(RUNS)

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The generated parts of docs/architecture.md.
docs: .venv/ready
	$(BIN)/python -m tests.architecture

coverage: .venv/ready
	$(BIN)/coverage run -m pytest -n $(WORKERS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

benchmark: .venv/ready
	$(BIN)/python -m benchmarks.interactions
	$(BIN)/python -m benchmarks.delivery

bake-off: var/engines/ready
	var/engines/bin/python -m benchmarks.engines

var/engines/ready: requirements.txt pyproject.toml benchmarks/requirements.txt
	$(PYTHON) -m venv var/engines
	var/engines/bin/pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov

.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Bellhop needs Python 3.11 or newer")'
	@echo "Installing dependencies into .venv (once, about a minute)."
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

# The locked versions and hashes for the image.
requirements.lock: pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes pyproject.toml -o $@
