# Each target sets up what it needs on a machine with python3 (>= 3.11, with venv), make and git.
PYTHON ?= python3
UV := .venv/uv/bin/uv
RUN := $(UV) run --frozen --no-sync

.PHONY: setup demo test test-slow check bench docs clean
.DEFAULT_GOAL := help

help:  ## what there is
	@grep -E '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 24

setup: .venv/ready  ## make the virtual environment from the lock file

$(UV):
	$(PYTHON) -m venv .venv/uv
	.venv/uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<0.20'
