# make book   set up, execute and render the book    make test   set up and check everything
# make bench  measure speed                           make faults every fault of tests/faults, and record the counts
# make lock   resolve constraints.txt and requirements.lock anew
# make clean  remove what was built, except the environment in .venv
#
# Variables: PYTHON (3.11 to 3.13), FORCE=1, and PRESET, IMAGES, DIGITS, MODELS, DEVICE, SEED, JOBS as options of `hollow book`.

.DEFAULT_GOAL := book
.PHONY: book test bench faults lock clean setup

BIN := .venv/bin
READY := .venv/.ready
UV := $(shell uv --version >/dev/null 2>&1 && echo uv)
# pyenv and others put stubs in PATH that only fail, so each candidate is asked for its version.
SUPPORTED := import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c '$(SUPPORTED)' >/dev/null 2>&1 && $$p -c 'import sys; print(sys.executable)' && break; done)
OPTIONS = $(if $(PRESET),--preset $(PRESET)) $(if $(IMAGES),--images '$(IMAGES)') $(if $(DIGITS),--digits '$(DIGITS)') \
	$(if $(MODELS),--models '$(MODELS)') $(if $(DEVICE),--device $(DEVICE)) $(if $(SEED),--seed $(SEED)) \
	$(if $(JOBS),--jobs $(JOBS)) $(if $(FORCE),--force)

book: $(READY)
	$(BIN)/python -m hollow book $(OPTIONS)

# Ruff once over package, tests and chapters; pytest executes, renders and opens the book under the smoke preset.
test: $(READY)
	$(BIN)/ruff check src tests book
	$(BIN)/mypy
	$(BIN)/python -m pytest

bench: $(READY)
	$(BIN)/python tests/bench $(if $(RECORD),--record book/assets/bench.json) $(if $(IMAGES),--images '$(IMAGES)')

# Training is killed 30 times and run for 5,000 steps here; `make test` has a short form.
faults: $(READY)
	$(BIN)/python -m pytest tests/faults --all-faults

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" && "$(PYTHON)" -c '$(SUPPORTED)' || { \
		echo "error: no Python 3.11 to 3.13 found; install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@rm -f $@
ifeq ($(UV),uv)
	@test -x $(BIN)/python || { rm -rf .venv; uv venv --quiet --python "$(PYTHON)" .venv; }
	uv pip install --python $(BIN)/python --constraint constraints.txt --editable '.[book,test]'
else
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear .venv || { rm -rf .venv; \
		echo "error: $(PYTHON) cannot make an environment; on Debian and Ubuntu, install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable '.[book,test]'
endif
	@touch $@

# requirements.lock has the same versions with their hashes, and what builds the package; with KEEP=1 it alone is made.
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --extra book --extra test --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links
lock:
	$(if $(KEEP),,$(COMPILE) --output-file constraints.txt --upgrade pyproject.toml)
	printf 'hatchling>=1.25\neditables\n' | $(COMPILE) --generate-hashes --upgrade --constraint constraints.txt \
		--output-file requirements.lock pyproject.toml -

clean:
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis
