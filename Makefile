# Every target sets up what it needs; run it again after an interruption and it goes on.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
HOST ?= 127.0.0.1
PORT ?= 8000

VENV := .venv
INSTALLED := $(VENV)/.installed
# What only some targets need, each in a folder of its own.
SERVERS := .servers
# Where torch's CPU build is found when the machine's own pip configuration does not know it.
TORCH_INDEX := https://download.pytorch.org/whl/cpu

.DEFAULT_GOAL := help
.PHONY: help setup serve test test-fast lint docs lock hooks servers label-studio ray clients browser monitoring

help: ## Show the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/'

setup: $(INSTALLED) ## Install the pinned packages and fgctl into .venv, and prepare the base model.
	@$(VENV)/bin/fgctl base

serve: setup ## Serve every profile on HOST:PORT, in the foreground.
	@exec $(VENV)/bin/fgctl serve --host $(HOST) --port $(PORT)

# Two processes: one has the tests with engines, one after another, and the other whatever else (tests/conftest.py).
PYTEST := $(VENV)/bin/pytest -n 2 --dist loadscope --no-loadscope-reorder --durations=15

# A test that fails runs once more, and the summary says which: on a busy machine an engine, a browser or a server that the
# suite starts can answer too late. A fault fails both times.
test: setup servers browser ## Run the whole test suite.
	@$(PYTEST) --reruns 1 -raR

test-fast: setup ## Run the unit tests: without an engine, a server or a browser.
	@$(PYTEST) -m "not postgres and not slow" tests/unit

monitoring: $(INSTALLED) ## Write the rules, alerts and dashboards in deploy/ again from deploy/monitoring.
	@$(VENV)/bin/python -m deploy.monitoring

# The Prometheus Operator's kinds, which kubernetes-validate does not know, are checked by tests/unit/deploy.
KUBERNETES := $(filter-out %/kustomization.yaml,$(wildcard deploy/kubernetes/base/*.yaml deploy/kubernetes/overlays/*/*.yaml deploy/kubernetes/components/*/*.yaml))

lint: $(INSTALLED) docs ## Check style, formatting, types, the documentation, and the files that deploy, test and cite the project.
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/hadolint Dockerfile
	@$(VENV)/bin/check-jsonschema --quiet --builtin-schema vendor.compose-spec deploy/compose.yaml
	@$(VENV)/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/ci.yml
	@$(VENV)/bin/check-jsonschema --quiet --builtin-schema custom.github-workflows-require-timeout .github/workflows/ci.yml
	@$(VENV)/bin/check-jsonschema --quiet --default-filetype yaml --builtin-schema vendor.citation-file-format CITATION.cff
	@$(VENV)/bin/kubernetes-validate --strict --quiet -k 1.30 -k 1.37 $(KUBERNETES)

# The generator has a virtual environment of its own: only this target needs it.
DOCS := $(SERVERS)/docs
docs: $(DOCS)/.installed ## Build the documentation site in site/; a link or an anchor that leads nowhere is an error.
	@$(DOCS)/bin/zensical build --strict --clean

$(DOCS)/.installed: requirements/docs.txt
	@test -d $(DOCS) || $(PYTHON) -m venv $(DOCS)
	@$(DOCS)/bin/pip install -q --disable-pip-version-check --no-deps -r requirements/docs.txt
	@touch $@
# requirements/cpu.in names every package and its version; uv looks up the hashes of their files.
UV := $(SERVERS)/uv
lock: $(UV)/bin/uv ## Write requirements/cpu.txt, which has hashes, again from requirements/cpu.in.
	@$(UV)/bin/uv pip compile --quiet --no-deps --generate-hashes --no-annotate --custom-compile-command "make lock" \
	  --python-version 3.11 --index-url https://pypi.org/simple requirements/cpu.in --output-file requirements/cpu.txt

$(UV)/bin/uv:
	@$(PYTHON) -m venv $(UV)
	@$(UV)/bin/pip install -q --disable-pip-version-check uv==0.13.9

hooks: $(INSTALLED) ## Run ruff and mypy at every commit.
	@$(VENV)/bin/pre-commit install

# Prometheus, Alertmanager, PostgreSQL, Redis and HAProxy, for tests alone: unpacked, neither installed nor started. Not fetched when
# the paths of all programs are given.
ifneq ($(and $(FGCTL_PROMETHEUS),$(FGCTL_PROMTOOL),$(FGCTL_ALERTMANAGER),$(FGCTL_AMTOOL),$(FGCTL_POSTGRES),$(FGCTL_INITDB),$(FGCTL_REDIS_SERVER),$(FGCTL_HAPROXY)),)
servers: ## Fetch the servers that tests start.
else
servers: $(SERVERS)/.unpacked
endif

$(SERVERS)/.unpacked: tests/servers/get.sh
	@echo "Fetching Prometheus, Alertmanager, PostgreSQL, Redis and HAProxy for the tests."
	@tests/servers/get.sh $(SERVERS) prometheus prometheus-alertmanager postgresql redis-tools haproxy
	@touch $@

# Label Studio, with hundreds of packages of its own, for the test that passes feedback through it. `make test` does not
# install it and leaves the test out without it.
LABEL_STUDIO := $(SERVERS)/label-studio
label-studio: $(LABEL_STUDIO)/.installed ## Install Label Studio for the test that needs it.

$(LABEL_STUDIO)/.installed: requirements/label-studio.txt
	@test -d $(LABEL_STUDIO) || $(PYTHON) -m venv $(LABEL_STUDIO)
	@echo "Installing Label Studio for the tests; this takes a minute."
	@$(LABEL_STUDIO)/bin/pip install -q --disable-pip-version-check -r requirements/label-studio.txt
	@touch $@

# Clients of OpenAI's interface, with packages that contradict ours, for the test that runs their examples; left out
# likewise.
CLIENTS := $(SERVERS)/clients
clients: $(CLIENTS)/.installed ## Install the clients whose examples a test runs.

$(CLIENTS)/.installed: requirements/clients.txt $(UV)/bin/uv
	@test -d $(CLIENTS) || $(PYTHON) -m venv $(CLIENTS)
	@echo "Installing clients for the tests; this takes a minute."
	@$(UV)/bin/uv pip install --quiet --python $(CLIENTS)/bin/python -r requirements/clients.txt
	@touch $@

# Ray, half a gigabyte with what it needs, for the test that trains on a cluster of this machine; left out likewise.
RAY := $(SERVERS)/ray
ray: $(RAY)/.installed ## Install Ray for the test that needs it.

$(RAY)/.installed: requirements/ray.txt $(INSTALLED)
	@echo "Installing Ray for the tests; this takes a minute."
	@$(VENV)/bin/pip install -q --disable-pip-version-check --no-deps --upgrade --target $(RAY) -r requirements/ray.txt
	@touch $@

# Chromium, which tests drive, and axe-core, by which they judge accessibility; without npm that is left out.
AXE := tests/browser/axe
browser: $(AXE)/node_modules/.package-lock.json ## Install the browser that tests drive.
	@if [ -z "$$FGCTL_CHROMIUM" ] && ! { command -v chromium || command -v google-chrome; } >/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing Chromium for the tests."; \
	    apt-get update -qq >/dev/null 2>&1; \
	    apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	  else echo "Chromium is missing: install it, or set FGCTL_CHROMIUM to the path of one."; exit 1; fi; \
	fi

$(AXE)/node_modules/.package-lock.json: $(AXE)/package-lock.json
	@if command -v npm >/dev/null; then cd $(AXE) && npm ci --loglevel=error >/dev/null && touch node_modules/.package-lock.json; \
	else echo "npm is missing: the pages' accessibility is not checked."; fi

# The stamp is written last, so a half-finished installation is done again. A virtual environment that was moved or
# whose Python has gone cannot be repaired and is made again.
$(INSTALLED): requirements/cpu.txt requirements/torch.txt pyproject.toml
	@$(VENV)/bin/python -m pip --version >/dev/null 2>&1 && grep -qs "$(CURDIR)/$(VENV)" $(VENV)/bin/pip || rm -rf $(VENV)
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned packages; this takes a few minutes the first time."
	@$(VENV)/bin/pip install -q --disable-pip-version-check --no-deps -r requirements/torch.txt 2>.pip.log \
	  || $(VENV)/bin/pip install --disable-pip-version-check --no-deps -r requirements/torch.txt --extra-index-url $(TORCH_INDEX)
	@$(VENV)/bin/pip install -qq --disable-pip-version-check --no-deps --require-hashes -r requirements/cpu.txt
	@rm -f .pip.log
	@$(VENV)/bin/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(MAKE) -s tcmalloc
	@touch $@

# Decoding on a CPU is faster with tcmalloc; without it everything works as well.
.PHONY: tcmalloc
tcmalloc:
	@if ! ldconfig -p 2>/dev/null | grep -q libtcmalloc_minimal && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq >/dev/null 2>&1; \
	  apt-get install -y -qq --no-install-recommends libtcmalloc-minimal4 >/dev/null 2>&1 || true; \
	fi

# The JSON schema of Grafana's own types, which the dashboards are checked against. That check is left out without npm.
SCHEMA := tests/servers/grafana_schema
.PHONY: grafana-schema
grafana-schema: $(SCHEMA)/dashboard.schema.json
test: $(SCHEMA)/dashboard.schema.json
$(SCHEMA)/dashboard.schema.json: $(SCHEMA)/package-lock.json $(SCHEMA)/dashboard.ts $(SCHEMA)/tsconfig.json
	@if command -v npm >/dev/null; then cd $(SCHEMA) && npm ci --loglevel=error >/dev/null && npm run --silent schema; \
	else echo "npm is missing: the dashboards are not checked against Grafana's types."; fi
