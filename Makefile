# The two commands a newcomer needs: `make demo` and `make test`. Both set up .venv from envs/lock.txt by themselves.
PYTHON ?= python3
VENV ?= .venv
CORES ?= all
BIN := $(CURDIR)/$(VENV)/bin
STAMP := $(VENV)/.installed
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES)
say = @printf '%s  %s\n' "$$(date +%H:%M:%S)" $(1)

.PHONY: help install demo test lint unit config lock clean

help:
	@echo "make demo     run the whole workflow on a simulated cohort and say where the report is"
	@echo "make test     run all checks and tests"
	@echo "make install  only set up $(VENV) from envs/lock.txt"
	@echo "make config   rewrite what is generated from the code: config.yaml, its schema, docs/*.md, envs/*.yaml"
	@echo "make lock     resolve envs/lock.txt anew from pyproject.toml"

install: $(STAMP)

$(STAMP): envs/lock.txt pyproject.toml
	$(call say,"python: looking for Python 3.11 or newer")
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is too old or missing; install Python 3.11 or newer, or call: make PYTHON=python3.12 ..."; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(call say,"packages: installing the versions of envs/lock.txt (2-4 minutes; torch alone is some gigabytes)")
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r envs/lock.txt
	$(call say,"retsam: installing this clone")
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: install
	$(call say,"simulate: photographs of both eyes of 60 participants with known odds ratios in demo/")
	@$(BIN)/retsam simulate demo --participants 60 --seed 1 --frame-size 512
	$(call say,"workflow: snakemake --cores $(CORES)")
	@$(SNAKEMAKE) --quiet rules --config shard_size=32 'report={truth: demo/truth/coefficients.csv}' 'association={transform: none}'
	$(call say,"done; open results/demo/report/index.html (true and estimated odds ratios: #truth)")

lint: install
	$(call say,"lint: ruff")
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet .
	$(call say,"lint: mypy")
	@$(BIN)/mypy --no-error-summary
	$(call say,"lint: snakefmt and snakemake --lint")
	@$(BIN)/snakefmt --check Snakefile workflow 2>&1 | tail -n 3
	@$(BIN)/snakefmt --check Snakefile workflow >/dev/null 2>&1
	@$(BIN)/snakemake --lint

unit: install
	$(call say,"tests: pytest on 2 processes")
	@$(BIN)/python -m pytest -n 2 --dist loadfile -q

test: lint unit

config: install
	@$(BIN)/python -m retsam.config
	@$(BIN)/retsam catalogue --format md > docs/biomarkers.md
	@$(BIN)/retsam catalogue --peers > docs/peers.md
	@$(BIN)/python -m retsam.biomarkers.reliability > docs/reliability.md
	@$(BIN)/python -m retsam.phantom.handbook > docs/phantom-tables.md
	@$(BIN)/python envs/make_envs.py

lock:
	$(call say,"lock: resolving pyproject.toml in a new environment")
	@rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python -m pip install --quiet --upgrade pip
	@.venv-lock/bin/python -m pip install --quiet '.[workflow,torch,dicom,test,dev]'
	@.venv-lock/bin/python -m pip freeze --all --exclude retsam --exclude pip --exclude wheel | $(PYTHON) envs/make_lock.py > envs/lock.txt
	@rm -rf .venv-lock

clean:
	@rm -rf demo results/demo logs/demo .pytest_cache .mypy_cache .ruff_cache
