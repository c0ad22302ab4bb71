# The one interface: `make` alone prints what there is.

# Variables:
#   SEEDS=0,1,2  CLAIM=sln-1  KEEP=1  WORKERS=2 (of pytest)  RUNS_DIR=…  DATA_DIR=…  ENGINE=local|ray  ADDRESS=auto  WORKER_DIR=…  JOBS=2  DRY_RUN=1  FORCE=1  PYTHON=/path/to/python3.11

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help python demo demo-fsr demo-sln demo-moco claims test test-slow torture env-tensorflow env-pytorch \
        check-gpu bench bench-ieg bench-sln bench-moco \
        tables report plan lint format lock clean

PYTHON ?= $(shell command -v python3.11 || uv python find 3.11 2> /dev/null || command -v python3 || echo python3.11)
TENSORFLOW := .venv/tensorflow/bin/python
PYTORCH := .venv/pytorch/bin/python

# Data and tables need no framework: they take the environment that is there.
BUILT := $(patsubst .venv/%/lock.sha256,%,$(firstword $(wildcard .venv/tensorflow/lock.sha256 .venv/pytorch/lock.sha256)))
ANY := $(or $(BUILT),tensorflow)
ANY_PYTHON := .venv/$(ANY)/bin/python

# Of another Python: it would end every one of ours before its first line.
unexport PYTHONHOME

# Programs read these from their environment.
ifdef DATA_DIR
export DATA_DIR
endif
ifdef RUNS_DIR
export RUNS_DIR
endif

# Tests of what runs with PyTorch; the other environment runs all the rest.
ONLY_PYTORCH := tests/moco_nonsem tests/re_sln tests/preprocess tests/gpu/pytorch_gpu tests/benchmarks/test_moco.py \
                $(addprefix tests/common/pytorch/,test_devices.py test_readers.py test_torch_files.py) \
                $(addprefix tests/reproduce/,test_grid.py test_moco_cells.py engines/test_ray_cluster.py)
# Tests that have a part for each of the two.
OF_BOTH := tests/reproduce/test_checked_commands.py tests/common/pytorch/test_gpu.py
# Tests of TensorFlow's arithmetic, which is another with oneDNN than without: they run with both.
ARITHMETIC := $(addprefix tests/ieg/,test_replicas.py methods test_kill_and_resume.py networks)
OTHER_ONEDNN := $(if $(filter 0,$(TF_ENABLE_ONEDNN_OPTS)),1,0)
# MINUTES are shared by the two environments.
SLOW_FLAGS = $(if $(BEGIN),--begin $(BEGIN)) $(if $(MINUTES),--minutes $(shell expr $(MINUTES) / 2))
# A worker of pytest for every core; tests of one file share what they prepare.
PYTEST := -m pytest -n $(or $(WORKERS),auto) --maxprocesses 8 --dist loadfile --no-loadscope-reorder -q

on = $(filter-out 0,$(1))
SMALL_FLAGS = $(if $(SEEDS),--seeds "$(SEEDS)") $(if $(JOBS),--jobs "$(JOBS)") $(if $(call on,$(DRY_RUN)),--dry_run)
RUN_FLAGS = $(SMALL_FLAGS) $(if $(ENGINE),--engine "$(ENGINE)") $(if $(ADDRESS),--address "$(ADDRESS)") \
            $(if $(WORKER_DIR),--worker_dir "$(WORKER_DIR)") $(if $(call on,$(FORCE)),--force)
# Ray is in the environment of PyTorch; it starts the programs of the other one all the same.
RAY := $(filter ray,$(ENGINE))
RUNNER := $(if $(RAY),$(PYTORCH),$(TENSORFLOW))

# One target for each table of the papers.
CELLS := $(addprefix reproduce/cells/,ieg.yaml fsr.yaml sln.yaml moco.yaml)
REPRODUCE := $(shell awk 'FNR == 1 {t = 0} /^tables:/ {t = 1} t && /^  [a-z0-9-]+:/ {print "reproduce-" substr($$1, 1, index($$1, ":") - 1)}' $(CELLS))
.PHONY: reproduce-fsr-longtail $(REPRODUCE)

# What is fetched along with a data set: files of noisy labels, some MB.
WITH_cifar10 := sln-noise
WITH_cifar100 := sln-noise

help: ## print this list
	@echo "make <target> [SEEDS=0,1,2] [RUNS_DIR=…] [DATA_DIR=…] [ENGINE=local|ray] [ADDRESS=auto] [WORKER_DIR=…] [JOBS=2] [DRY_RUN=1] [FORCE=1] [PYTHON=…]"
	@echo
	@sed -nE 's/^([a-zA-Z0-9_%-]+):[^#]*## (.*)$$/\1\t\2/p' Makefile | sed -E 's/^([^\t]*)%/\1<name>/' | \
	    while IFS=$$'\t' read -r target line; do printf '  %-31s %s\n' "$$target" "$$line"; done
	@echo
	@echo "Tables of the papers (DRY_RUN=1 prints the commands and stops):"
	@awk 'FNR == 1 {t = 0} /^tables:/ {t = 1} t && /^  [a-z0-9-]+:/ {name = substr($$1, 1, index($$1, ":") - 1)} \
	    t && /^    title:/ {sub(/^ *title: */, ""); gsub(/"/, ""); printf "  %-31s %s\n", "reproduce-" name, $$0}' $(CELLS)

demo: env-tensorflow ## first command: three methods on real digits with 80 % wrong labels: a table and two pictures, in minutes
	@$(TENSORFLOW) -m reproduce demo $(SMALL_FLAGS)

demo-fsr: env-tensorflow ## claims of FSR, without trusted images: beats plain training, its queue grows pure; tables and pictures, in minutes
	@$(TENSORFLOW) -m reproduce demo --table demo-fsr $(SMALL_FLAGS)

demo-sln: env-pytorch ## claims of SLN on digits with 40 % wrong labels: what σ, MO and LC do; tables and pictures, in minutes
	@$(PYTORCH) -m reproduce demo --table demo-sln $(SMALL_FLAGS)

demo-moco: env-pytorch ## claims of MoCo with patch negatives: shape or texture? tables and pictures, in minutes
	@$(PYTORCH) -m reproduce demo --table demo-moco $(SMALL_FLAGS)

claims: env-tensorflow env-pytorch ## the papers' claims as small experiments with a verdict each, in hours; CLAIM=sln-1: one, in minutes
	@$(TENSORFLOW) -m reproduce claims $(if $(CLAIM),--claim "$(CLAIM)") $(SMALL_FLAGS) $(if $(call on,$(KEEP)),--keep)

test: env-tensorflow env-pytorch lint ## second command: build both environments, run lint, types and every test that is not slow
	@status=0; \
	$(PYTORCH) $(PYTEST) $(ONLY_PYTORCH) $(OF_BOTH) -m "not slow" || status=1; \
	TF_ENABLE_ONEDNN_OPTS=$(OTHER_ONEDNN) $(TENSORFLOW) $(PYTEST) $(ARITHMETIC) -m "not slow" || status=1; \
	$(TENSORFLOW) $(PYTEST) tests $(ONLY_PYTORCH:%=--ignore=%) -m "not slow" || status=1; \
	exit $$status

test-slow: env-tensorflow env-pytorch ## run the slow tests, within an hour; MINUTES=30: as many as fit, starting at BEGIN=<hexadecimal number>
	@status=0; \
	$(PYTORCH) $(PYTEST) $(ONLY_PYTORCH) -m slow $(SLOW_FLAGS) || status=1; \
	$(TENSORFLOW) $(PYTEST) tests $(ONLY_PYTORCH:%=--ignore=%) -m slow $(SLOW_FLAGS) || status=1; \
	exit $$status

torture: env-tensorflow env-pytorch ## random kills, damaged files, hostile input, to runs/torture.json; MINUTES=20: as many as fit
	@status=0; \
	for python in $(TENSORFLOW) $(PYTORCH); do \
	    "$$python" -m tests.torture --minutes "$(or $(shell expr $(or $(MINUTES),20) / 2 2> /dev/null),$(MINUTES))" --out runs/torture.json || status=1; \
	done; \
	exit $$status

env-tensorflow: python ## build the environment of ieg/ if its lock changed
	@"$(PYTHON)" environments/build.py tensorflow

env-pytorch: python ## build the environment of moco_nonsem/ and re_sln/ if its lock changed
	@"$(PYTHON)" environments/build.py pytorch

data-%: env-$(ANY) ## fetch a data set and verify it, e.g. data-cifar10 (python -m data list names them all)
	@$(ANY_PYTHON) -m data fetch "$*" $(WITH_$*)

$(filter reproduce-ieg-% reproduce-fsr-%,$(REPRODUCE)): reproduce-%: env-tensorflow $(if $(RAY),env-pytorch)
	@$(RUNNER) -m reproduce run --table $* $(RUN_FLAGS)

$(filter reproduce-sln-% reproduce-moco-%,$(REPRODUCE)): reproduce-%: env-pytorch
	@$(PYTORCH) -m reproduce run --table $* $(RUN_FLAGS)

.NOTPARALLEL: reproduce-fsr-longtail
reproduce-fsr-longtail: reproduce-fsr-longtail-cifar10 reproduce-fsr-longtail-cifar100 ## the tables of long-tailed CIFAR-10 and CIFAR-100, one after the other

plan: env-$(ANY) ## list done, running and missing runs of every table, and the cost of the rest
	@$(ANY_PYTHON) -m reproduce plan $(if $(SEEDS),--seeds "$(SEEDS)")

tables: env-$(ANY) ## write every table from the finished runs, as Markdown, CSV, LaTeX and PNG
	@$(ANY_PYTHON) -m reproduce tables $(if $(SEEDS),--seeds "$(SEEDS)")

report: env-$(ANY) ## write one HTML page: every table, learning curves, and where each number comes from
	@$(ANY_PYTHON) -m reproduce report $(if $(SEEDS),--seeds "$(SEEDS)")

check-gpu: python ## test this machine's GPUs with the suite, and write a table of speeds, in 10 minutes
	@"$(PYTHON)" -m benchmarks.check_gpu --look
	@$(MAKE) --no-print-directory env-tensorflow env-pytorch
	@$(PYTORCH) -m benchmarks.check_gpu

bench: bench-ieg bench-sln bench-moco ## run all speed measurements

bench-ieg: env-tensorflow ## speed of each method's step against plain training, memory, images augmented a second
	@$(TENSORFLOW) -m benchmarks.ieg

bench-sln: env-pytorch ## speed of a training step of re_sln in each arithmetic, and of its input path
	@$(PYTORCH) -m benchmarks.sln

bench-moco: env-pytorch ## images per second of moco_nonsem's input path, and the share of a step spent waiting
	@$(PYTORCH) -m benchmarks.moco

lint: env-tensorflow ## check style and types (ruff, mypy)
	@$(TENSORFLOW) -m ruff check .
	@$(TENSORFLOW) -m ruff format --check .
	@$(TENSORFLOW) -m mypy

format: env-tensorflow ## format the code (ruff)
	@$(TENSORFLOW) -m ruff check --fix-only .
	@$(TENSORFLOW) -m ruff format .

lock: python ## rewrite the environments' locks from environments/*.in (UPGRADE=1: newest versions)
	@"$(PYTHON)" environments/lock.py $(if $(call on,$(UPGRADE)),--upgrade)

clean: ## remove environments, demo outputs and caches; data and runs stay
	rm -rf .venv demo demo-fsr demo-sln demo-moco .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

python:
	@command -v "$(PYTHON)" > /dev/null || { echo "error: there is no $(PYTHON); TensorFlow 2.15 and the locks need Python 3.11." \
	    "'uv python install 3.11' or 'conda create -n py311 python=3.11' brings it; make finds uv's by itself, any other by" \
	    "make PYTHON=/path/to/python3.11 …" >&2; exit 2; }
	@"$(PYTHON)" environments/build.py
