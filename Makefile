# The one interface: `make` alone prints what there is.

# Variables:
#   SEEDS=0,1,2  WORKERS=2 (of pytest)  RUNS_DIR=…  DATA_DIR=…  ENGINE=local|ray  ADDRESS=auto  WORKER_DIR=…  JOBS=2  DRY_RUN=1  FORCE=1  PYTHON=/path/to/python3.11

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help python demo demo-fsr demo-sln demo-moco test test-slow env-tensorflow env-pytorch bench bench-ieg bench-sln bench-moco tables report plan lint format lock clean \
        reproduce-ieg-cifar10 reproduce-ieg-cifar100 reproduce-ieg-ablation reproduce-ieg-asymmetric reproduce-ieg-uniform95 reproduce-ieg-webvision \
        reproduce-fsr-cifar10 reproduce-fsr-cifar100 reproduce-fsr-asymmetric reproduce-fsr-longtail reproduce-fsr-longtail-cifar10 reproduce-fsr-longtail-cifar100 reproduce-fsr-longtail-noise reproduce-fsr-webvision \
        reproduce-sln-cifar10 reproduce-sln-cifar100 reproduce-sln-sigma reproduce-sln-sigma-ablation \
        reproduce-sln-animal10n reproduce-sln-clothing1m reproduce-moco-imagenet100 reproduce-moco-imagenet100-ifm

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
TENSORFLOW := .venv/tensorflow/bin/python
PYTORCH := .venv/pytorch/bin/python

# Data and tables need no framework: they take the environment that is there.
BUILT := $(patsubst .venv/%/lock.sha256,%,$(firstword $(wildcard .venv/tensorflow/lock.sha256 .venv/pytorch/lock.sha256)))
ANY := $(or $(BUILT),tensorflow)
ANY_PYTHON := .venv/$(ANY)/bin/python

# Programs read these from their environment.
ifdef DATA_DIR
export DATA_DIR
endif
ifdef RUNS_DIR
export RUNS_DIR
endif

# Tests of what runs with PyTorch; the other environment runs all the rest.
ONLY_PYTORCH := tests/moco_nonsem tests/re_sln tests/preprocess tests/benchmarks/test_moco.py \
                $(addprefix tests/reproduce/,test_grid.py test_moco_cells.py test_ray_engine.py)
# Tests of TensorFlow's arithmetic, which is another with oneDNN than without: they run with both.
ARITHMETIC := $(addprefix tests/ieg/,test_replicas.py test_lookahead.py test_kill_and_resume.py test_methods.py test_parts.py test_networks.py test_fsr.py)
OTHER_ONEDNN := $(if $(filter 0,$(TF_ENABLE_ONEDNN_OPTS)),1,0)
# MINUTES are shared by the two environments.
SLOW_FLAGS = $(if $(BEGIN),--begin $(BEGIN)) $(if $(MINUTES),--minutes $(shell expr $(MINUTES) / 2))
# A worker of pytest for every core; tests of one file share what they prepare.
PYTEST := -m pytest -n $(or $(WORKERS),auto) --maxprocesses 8 --dist loadfile --no-loadscope-reorder -q

on = $(filter-out 0,$(1))
RUN_FLAGS = $(if $(SEEDS),--seeds "$(SEEDS)") $(if $(ENGINE),--engine "$(ENGINE)") $(if $(JOBS),--jobs "$(JOBS)") \
            $(if $(ADDRESS),--address "$(ADDRESS)") $(if $(WORKER_DIR),--worker_dir "$(WORKER_DIR)") \
            $(if $(call on,$(DRY_RUN)),--dry_run) $(if $(call on,$(FORCE)),--force)
# Ray is in the environment of PyTorch; it starts the programs of the other one all the same.
RAY := $(filter ray,$(ENGINE))
RUNNER := $(if $(RAY),$(PYTORCH),$(TENSORFLOW))

# What is fetched along with a data set: files of noisy labels, some MB.
WITH_cifar10 := sln-noise
WITH_cifar100 := sln-noise

help: ## print this list
	@echo "make <target> [SEEDS=0,1,2] [RUNS_DIR=…] [DATA_DIR=…] [ENGINE=local|ray] [ADDRESS=auto] [WORKER_DIR=…] [JOBS=2] [DRY_RUN=1] [FORCE=1] [PYTHON=…]"
	@echo
	@sed -nE 's/^([a-zA-Z0-9_%-]+):[^#]*## (.*)$$/\1\t\2/p' Makefile | sed -E 's/^([^\t]*)%/\1<name>/' | \
	    while IFS=$$'\t' read -r target line; do printf '  %-31s %s\n' "$$target" "$$line"; done

demo: env-tensorflow ## first command: three methods on real digits with 80 % wrong labels: a table and two pictures, in minutes
	@$(TENSORFLOW) -m reproduce demo $(if $(JOBS),--jobs "$(JOBS)") $(if $(call on,$(DRY_RUN)),--dry_run)

demo-fsr: env-tensorflow ## FSR beside plain training and L2R on noisy and on long-tailed digits: a table and pictures, in minutes
	@$(TENSORFLOW) -m reproduce demo --table demo-fsr $(if $(JOBS),--jobs "$(JOBS)") $(if $(call on,$(DRY_RUN)),--dry_run)

demo-sln: env-pytorch ## the four models of re_sln on digits with 40 % wrong labels: a table and pictures, in minutes
	@$(PYTORCH) -m reproduce demo --table demo-sln $(if $(JOBS),--jobs "$(JOBS)") $(if $(call on,$(DRY_RUN)),--dry_run)

demo-moco: env-pytorch ## MoCo v2 with and without patch negatives: shape or texture? a table and pictures, in minutes
	@$(PYTORCH) -m reproduce demo --table demo-moco $(if $(JOBS),--jobs "$(JOBS)") $(if $(call on,$(DRY_RUN)),--dry_run)

test: env-tensorflow env-pytorch lint ## second command: both environments, lint, types and every test that is not slow
	@status=0; \
	$(PYTORCH) $(PYTEST) $(ONLY_PYTORCH) -m "not slow" || status=1; \
	TF_ENABLE_ONEDNN_OPTS=$(OTHER_ONEDNN) $(TENSORFLOW) $(PYTEST) $(ARITHMETIC) -m "not slow" || status=1; \
	$(TENSORFLOW) $(PYTEST) tests $(ONLY_PYTORCH:%=--ignore=%) -m "not slow" || status=1; \
	exit $$status

test-slow: env-tensorflow env-pytorch ## the slow tests, within the hour (MINUTES=30: as many as fit, beginning at the place BEGIN=<hexadecimal number>)
	@status=0; \
	$(PYTORCH) $(PYTEST) $(ONLY_PYTORCH) tests/reproduce/test_checked_commands.py -m slow $(SLOW_FLAGS) || status=1; \
	$(TENSORFLOW) $(PYTEST) tests $(ONLY_PYTORCH:%=--ignore=%) -m slow $(SLOW_FLAGS) || status=1; \
	exit $$status

env-tensorflow: python ## the environment of ieg/, built when its lock changed
	@"$(PYTHON)" environments/build.py tensorflow

env-pytorch: python ## the environment of moco_nonsem/ and re_sln/, built when its lock changed
	@"$(PYTHON)" environments/build.py pytorch

data-%: env-$(ANY) ## fetch a data set and verify it, e.g. data-cifar10 (python -m data list names them all)
	@$(ANY_PYTHON) -m data fetch "$*" $(WITH_$*)

reproduce-ieg-cifar10: env-tensorflow $(if $(RAY),env-pytorch) ## IEG's table on CIFAR-10 with uniform noise (DRY_RUN=1 prints the commands)
	@$(RUNNER) -m reproduce run --table ieg-cifar10 $(RUN_FLAGS)

reproduce-ieg-cifar100: env-tensorflow $(if $(RAY),env-pytorch) ## IEG's table on CIFAR-100 with uniform noise (DRY_RUN=1 prints the commands)
	@$(RUNNER) -m reproduce run --table ieg-cifar100 $(RUN_FLAGS)

reproduce-ieg-ablation: env-tensorflow $(if $(RAY),env-pytorch) ## IEG's ablation on CIFAR-100 (DRY_RUN=1 prints the commands)
	@$(RUNNER) -m reproduce run --table ieg-ablation $(RUN_FLAGS)

reproduce-ieg-asymmetric: env-tensorflow $(if $(RAY),env-pytorch) ## IEG on CIFAR-10 with asymmetric noise (DRY_RUN=1 prints the commands)
	@$(RUNNER) -m reproduce run --table ieg-asymmetric $(RUN_FLAGS)

reproduce-ieg-uniform95: env-tensorflow $(if $(RAY),env-pytorch) ## IEG on CIFAR-10 and CIFAR-100 with 95 % uniform noise (DRY_RUN=1 prints the commands)
	@$(RUNNER) -m reproduce run --table ieg-uniform95 $(RUN_FLAGS)

reproduce-ieg-webvision: env-tensorflow $(if $(RAY),env-pytorch) ## IEG on WebVision mini (DRY_RUN=1 prints the commands)
	@$(RUNNER) -m reproduce run --table ieg-webvision $(RUN_FLAGS)

reproduce-fsr-cifar10: env-tensorflow $(if $(RAY),env-pytorch) ## FSR's table on CIFAR-10 with uniform noise (DRY_RUN=1 prints the commands)
	@$(RUNNER) -m reproduce run --table fsr-cifar10 $(RUN_FLAGS)

reproduce-fsr-cifar100: env-tensorflow $(if $(RAY),env-pytorch) ## FSR's table on CIFAR-100 with uniform noise (DRY_RUN=1 prints the commands)
	@$(RUNNER) -m reproduce run --table fsr-cifar100 $(RUN_FLAGS)

reproduce-fsr-asymmetric: env-tensorflow $(if $(RAY),env-pytorch) ## FSR on CIFAR-10 with asymmetric noise (DRY_RUN=1 prints the commands)
	@$(RUNNER) -m reproduce run --table fsr-asymmetric $(RUN_FLAGS)

reproduce-fsr-longtail: env-tensorflow $(if $(RAY),env-pytorch) ## FSR's tables on long-tailed CIFAR-10 and CIFAR-100 (DRY_RUN=1 prints the commands)
	@$(RUNNER) -m reproduce run --table fsr-longtail-cifar10 $(RUN_FLAGS)
	@$(RUNNER) -m reproduce run --table fsr-longtail-cifar100 $(RUN_FLAGS)

reproduce-fsr-longtail-cifar10: env-tensorflow $(if $(RAY),env-pytorch) ## the first of these two alone
	@$(RUNNER) -m reproduce run --table fsr-longtail-cifar10 $(RUN_FLAGS)

reproduce-fsr-longtail-cifar100: env-tensorflow $(if $(RAY),env-pytorch) ## the second
	@$(RUNNER) -m reproduce run --table fsr-longtail-cifar100 $(RUN_FLAGS)

reproduce-fsr-longtail-noise: env-tensorflow $(if $(RAY),env-pytorch) ## FSR on long-tailed CIFAR-10 with uniform noise (DRY_RUN=1 prints the commands)
	@$(RUNNER) -m reproduce run --table fsr-longtail-noise $(RUN_FLAGS)

reproduce-fsr-webvision: env-tensorflow $(if $(RAY),env-pytorch) ## FSR on WebVision mini (DRY_RUN=1 prints the commands)
	@$(RUNNER) -m reproduce run --table fsr-webvision $(RUN_FLAGS)

reproduce-sln-cifar10: env-pytorch ## SLN's table on CIFAR-10, four kinds of noise (DRY_RUN=1 prints the commands)
	@$(PYTORCH) -m reproduce run --table sln-cifar10 $(RUN_FLAGS)

reproduce-sln-cifar100: env-pytorch ## SLN's table on CIFAR-100, three kinds of noise (DRY_RUN=1 prints the commands)
	@$(PYTORCH) -m reproduce run --table sln-cifar100 $(RUN_FLAGS)

reproduce-sln-sigma: env-pytorch ## SLN's search for σ (DRY_RUN=1 prints the commands)
	@$(PYTORCH) -m reproduce run --table sln-sigma $(RUN_FLAGS)

reproduce-sln-sigma-ablation: env-pytorch ## SLN's accuracy against σ (DRY_RUN=1 prints the commands)
	@$(PYTORCH) -m reproduce run --table sln-sigma-ablation $(RUN_FLAGS)

reproduce-sln-animal10n: env-pytorch ## SLN's table on Animal-10N (DRY_RUN=1 prints the commands)
	@$(PYTORCH) -m reproduce run --table sln-animal10n $(RUN_FLAGS)

reproduce-sln-clothing1m: env-pytorch ## SLN's table on Clothing1M (DRY_RUN=1 prints the commands)
	@$(PYTORCH) -m reproduce run --table sln-clothing1m $(RUN_FLAGS)

reproduce-moco-imagenet100: env-pytorch ## MoCo with non-semantic negatives on ImageNet-100 (DRY_RUN=1 prints the commands)
	@$(PYTORCH) -m reproduce run --table moco-imagenet100 $(RUN_FLAGS)

reproduce-moco-imagenet100-ifm: env-pytorch ## the same with the settings of IFM (DRY_RUN=1 prints the commands)
	@$(PYTORCH) -m reproduce run --table moco-imagenet100-ifm $(RUN_FLAGS)

plan: env-$(ANY) ## what is done, running and missing of every table, and what it would cost
	@$(ANY_PYTHON) -m reproduce plan $(if $(SEEDS),--seeds "$(SEEDS)")

tables: env-$(ANY) ## every table from the runs there are, as Markdown, CSV, LaTeX and PNG
	@$(ANY_PYTHON) -m reproduce tables

report: env-$(ANY) ## one HTML page: every table, learning curves, and where each number comes from
	@$(ANY_PYTHON) -m reproduce report

bench: bench-ieg bench-sln bench-moco ## all speed measurements

bench-ieg: env-tensorflow ## speed of each method's step against plain training, memory, images augmented a second
	@$(TENSORFLOW) -m benchmarks.ieg

bench-sln: env-pytorch ## speed of a training step of re_sln in each arithmetic, and of its input path
	@$(PYTORCH) -m benchmarks.sln

bench-moco: env-pytorch ## images a second of the input path of moco_nonsem, and the step's share of waiting
	@$(PYTORCH) -m benchmarks.moco

lint: env-tensorflow ## ruff and mypy
	@$(TENSORFLOW) -m ruff check .
	@$(TENSORFLOW) -m ruff format --check .
	@$(TENSORFLOW) -m mypy

format: env-tensorflow ## put the code into its one form
	@$(TENSORFLOW) -m ruff check --fix-only .
	@$(TENSORFLOW) -m ruff format .

lock: python ## write the environments' locks anew from environments/*.in (UPGRADE=1: newest versions)
	@"$(PYTHON)" environments/lock.py $(if $(call on,$(UPGRADE)),--upgrade)

clean: ## remove environments, the demo and caches; data and runs stay
	rm -rf .venv demo .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

python:
	@command -v "$(PYTHON)" > /dev/null || { echo "error: there is no $(PYTHON); TensorFlow 2.15 and the locks need Python 3.11." \
	    "Install it, or say where it is: make PYTHON=/path/to/python3.11 …" >&2; exit 2; }
	@"$(PYTHON)" environments/build.py
