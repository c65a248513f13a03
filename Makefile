# Everything installs into .venv from requirements/*.txt; nothing needs root or a tool beyond
# Python >= 3.11 with venv, make and a package registry.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

# The first interpreter that is new enough; override with: make PYTHON=/path/to/python3.12
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo "$$name" && break; done)

# Arguments for the program that a target runs: make demo ARGS=--new, make test ARGS="-k replay"
ARGS ?=

# pip on a slow or busy registry; the environment's own settings win.
PIP_DEFAULT_TIMEOUT ?= 60
PIP_RETRIES ?= 8
export PIP_DEFAULT_TIMEOUT PIP_RETRIES

# A stamp's name carries the checksum of what it stands for, so that set-up runs once, and again
# when that changed, whatever a checkout did to the times of files.
checksum = $(shell cat $(1) | cksum | cut -d ' ' -f 1)
LOCKED := $(VENV)/.locked-$(call checksum,requirements/lock.txt)
INSTALLED := $(VENV)/.installed-$(call checksum,requirements/lock.txt pyproject.toml)
MODELS := $(VENV)/.models-$(call checksum,requirements/models.txt)
IOS := $(VENV)/.ios-$(call checksum,requirements/ios.txt)
# Where there is a JDK and Maven, the Android template is checked too.
JVM_CHECKS := $(if $(and $(shell command -v javac),$(shell command -v mvn)),bench-core)
# Where Swift is installed, the iOS template is checked too.
SWIFT_ROOT := $(or $(ORTLAB_SWIFT_ROOT),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ortlab/swift)
SWIFT_CHECKS := $(if $(wildcard $(SWIFT_ROOT)/.ready),bench-cli)
ANDROID_TOOLS := .cache/android/.fetched-$(call checksum,tests/android/pom.xml)

CODE := src tests benchmarks scripts

.DELETE_ON_ERROR:
.PHONY: help install models ios android-tools bench-core bench-cli demo test check static unit fix fuzz figures picture lock clean

help: ## List the targets (default)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ------------------------------------------------------------------------------- set-up

install: $(INSTALLED) ## Install ortlab and its tools into .venv

models: $(MODELS) ## Install the packages that carry trained models

ios: $(IOS) ## Install what speaks to iPhones (GPL-3.0-or-later)

android-tools: $(ANDROID_TOOLS) ## Fetch what checks the Android template (needs a JDK 17 and Maven)

bench-core: install android-tools ## Compile the Kotlin core that virtual phones then run
	@$(BIN)/python scripts/build_bench_core.py > /dev/null

bench-cli: install ## Compile the Swift core that virtual iPhones then run (needs Swift)
	@$(BIN)/python scripts/build_bench_cli.py > /dev/null

MAVEN := mvn --batch-mode --no-transfer-progress --quiet
COPY := org.apache.maven.plugins:maven-dependency-plugin:3.8.1
RESOURCES := org.robolectric:android-all:10-robolectric-5803371

$(ANDROID_TOOLS): tests/android/pom.xml
	rm -rf .cache/android/jars
	$(MAVEN) -f tests/android/pom.xml $(COPY):copy-dependencies \
		-DoutputDirectory=$(CURDIR)/.cache/android/jars
	$(MAVEN) $(COPY):copy -Dartifact=$(RESOURCES) -DoutputDirectory=$(CURDIR)/.cache/android/jars
	@rm -f .cache/android/.fetched-*
	@touch $@

$(BIN)/python:
	@test -n "$(PYTHON)" && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo 'ortlab needs Python 3.11 or newer and found none.' \
	'Name one: make PYTHON=/path/to/python3.12' >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || \
	{ echo '$(PYTHON) comes without venv or pip.' \
	'On Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)

# docopt, which pbxproj asks for, was never published as a wheel.
$(LOCKED): | $(BIN)/python
	$(PIP) install --quiet --only-binary :all: --no-binary docopt --require-hashes \
		-r requirements/lock.txt
	@rm -f $(VENV)/.locked-*
	@touch $@

$(INSTALLED): | $(LOCKED)
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.installed-*
	@touch $@

$(MODELS): | $(INSTALLED)
	$(PIP) install --quiet --only-binary :all: --no-deps --require-hashes -r requirements/models.txt
	@rm -f $(VENV)/.models-*
	@touch $@

$(IOS): | $(INSTALLED)
	$(PIP) install --quiet --only-binary :all: --require-hashes -r requirements/ios.txt
	@rm -f $(VENV)/.ios-*
	@touch $@

# ---------------------------------------------------------------------------------- use

demo: install models ## Measure a trained mobile model on this machine and write the report
	@$(BIN)/ortlab demo $(ARGS)

# ------------------------------------------------------------------------------- checks

test: install models $(JVM_CHECKS) $(SWIFT_CHECKS) static ## Check everything this machine can, and tell what that was
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

check: static unit ## The fast loop: format, lint, types, import contracts, unit tests

static: install
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/renew_golden.py --check
	$(BIN)/python scripts/renew_template.py --check
	$(BIN)/python scripts/renew_ios_template.py --check
	$(BIN)/python scripts/renew_web_template.py --check

unit: install
	$(BIN)/pytest -n 2 --dist loadfile -q tests/unit $(ARGS)

fix: install ## Format, and repair what the linter can
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

fuzz: install models ## Feed 2,000 mutated files to prepare and inspect
	$(BIN)/python tests/fuzzing.py $(ARGS)

figures: install models ## Print every figure of docs/performance.md (hours; leave the machine alone)
	@missed=; for script in $$(grep -l __main__ benchmarks/*.py); do \
	echo "== $$script"; $(BIN)/python "$$script" || missed="$$missed $$script"; done; \
	test -z "$$missed" || { echo "not reached:$$missed" >&2; exit 1; }

picture: install ## Take the README's picture of the newest report of the demo
	$(BIN)/python scripts/readme_picture.py $(ARGS)

# ------------------------------------------------------------------------------- upkeep

UV := .cache/uv/bin/uv
COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--fork-strategy fewest --no-emit-index-url --custom-compile-command 'make lock'

lock: $(UV) ## Renew requirements/*.txt (make lock ARGS=--upgrade for newer versions)
	$(COMPILE) $(ARGS) --extra int4 --extra dev --extra lab --extra web --output-file requirements/lock.txt pyproject.toml
	$(COMPILE) $(ARGS) --extra ios --constraint requirements/lock.txt \
		--output-file requirements/ios.txt pyproject.toml
	$(COMPILE) $(ARGS) --no-deps --output-file requirements/models.txt requirements/models.in

$(UV): | $(BIN)/python
	$(BIN)/python -m venv .cache/uv
	.cache/uv/bin/python -m pip install --quiet --disable-pip-version-check uv

clean: ## Remove the environment and all caches; demo/ and runs/ stay
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
