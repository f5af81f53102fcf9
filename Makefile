# The commands of caplora. Each one makes the virtual environment first if it is missing or its lock has changed.

PYTHON ?= python3
VARIANTS ?= grid
LIKE ?= sd15
# Of two cores: tests wait for browsers and kernels that start.
WORKERS ?= 3

BIN := .venv/bin
INSTALLED := .venv/.installed
SNAKEMAKE := $(BIN)/python -m snakemake --cores all --rerun-incomplete --scheduler greedy --quiet host reason
REDRAWN := redraw=$(if $(REDRAW),True,False)  # samples drawn with settings that a study no longer has may go
CAPTIONS := --config study=mini_reviewed variants=captions $(REDRAWN)
AGAIN := why stands above and in runs/ (captions are reviewed in notebook 01: make lab); the same command goes on from there (after a kill: make unlock)

# Every notebook is a process of its own. In a shell that forbids Python to keep byte code, as some containers do, each
# would compile torch and diffusers anew: eleven seconds, ten times.
export PYTHONDONTWRITEBYTECODE :=

# A misspelt name is an error, or the study that it was meant for would not be the one that runs.
SETTINGS := NAME IMAGES LIKE VARIANTS REDRAW WORKERS PYTHON REPOSITORY UPGRADE
MISSPELT := $(filter-out $(SETTINGS),$(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name))))
$(if $(MISSPELT),$(error there is no setting $(MISSPELT): make takes $(SETTINGS)))

.DEFAULT_GOAL := help
.PHONY: help demo ablation images seeds steps study mini lab test rest faults fuzz lint repository zip colab lock unlock clean

help:  ## say what can be made
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):[^#]*## */  make \1\t/' | expand -t 16

demo: $(INSTALLED)  ## the whole mini study on this machine, in minutes: captions, adapters, samples, scores, report
	@echo "To watch it grow, from the first portraits on (in half a minute): runs/mini/progress.html, in a browser"
	@HF_HUB_OFFLINE=1 $(SNAKEMAKE) --config study=mini variants=$(VARIANTS) $(REDRAWN) || { echo "Stopped: $(AGAIN)"; exit 1; }
	@echo
	@echo "Report:  runs/mini/report.html"
	@echo "Figures: figures/mini"

ablation: $(INSTALLED)  ## what captions are worth: the mini study trained on five kinds of captions, none to reviewed to shuffled
	@mkdir -p runs/mini_reviewed/samples
	@test -d runs/mini_reviewed/samples/baseline || test ! -d runs/mini/samples/baseline || \
		cp -R runs/mini/samples/baseline runs/mini_reviewed/samples/  # notebook 03 counts what was drawn otherwise, and stops
	@HF_HUB_OFFLINE=1 $(SNAKEMAKE) --until captions $(CAPTIONS) || { echo "Stopped: $(AGAIN)"; exit 1; }
	@$(BIN)/python -c "from caplora.mini.reviewer import review_portraits; review_portraits('mini_reviewed')"
	@HF_HUB_OFFLINE=1 $(SNAKEMAKE) $(CAPTIONS) || { echo "Stopped: $(AGAIN)"; exit 1; }
	@echo
	@echo "Report:  runs/mini_reviewed/report.html"
	@echo "Figure:  figures/mini_reviewed/caption_ablation.png"

images: $(INSTALLED)  ## how many images are enough: the mini study trained on 10, 25, 50 and all 100 of them
	@HF_HUB_OFFLINE=1 $(SNAKEMAKE) --config study=mini_images variants=images $(REDRAWN) || { echo "Stopped: $(AGAIN)"; exit 1; }
	@echo
	@echo "Report:  runs/mini_images/report.html"
	@echo "Figure:  figures/mini_images/images.png"

seeds: $(INSTALLED)  ## would it come out again: the mini study, its best two recipes trained again from three other seeds
	@HF_HUB_OFFLINE=1 $(SNAKEMAKE) --config study=mini_seeds variants=$(VARIANTS) $(REDRAWN) || { echo "Stopped: $(AGAIN)"; exit 1; }
	@echo
	@echo "Report:  runs/mini_seeds/report.html"
	@echo "Figures: figures/mini_seeds"

steps: $(INSTALLED)  ## which checkpoint: a long training on ten of the mini study's portraits, kept at six steps, until it copies them
	@HF_HUB_OFFLINE=1 $(SNAKEMAKE) --config study=mini_steps variants=r32_a32_qkvo_n10 $(REDRAWN) || { echo "Stopped: $(AGAIN)"; exit 1; }
	@echo
	@echo "Report:  runs/mini_steps/report.html"
	@echo "Figure:  figures/mini_steps/steps.png"

study: $(INSTALLED)  ## the same with your images: make study NAME=faces IMAGES=~/faces LIKE=sd15 (or LIKE=mini, to try)
	@test -n "$(NAME)" || { echo "make study NAME=faces IMAGES=~/faces: NAME is missing"; exit 2; }
	@test -n "$(IMAGES)" || test -f "params/studies/$(NAME).yaml" || { echo "IMAGES, the folder of your images, is missing"; exit 2; }
	@test -z "$(IMAGES)" || $(BIN)/python -m caplora new "$(NAME)" --images "$(IMAGES)" --like "$(LIKE)"
	@echo "To watch it grow, from the first portraits on: runs/$(NAME)/progress.html, in a browser"
	@$(SNAKEMAKE) --config study="$(NAME)" variants=$(VARIANTS) $(REDRAWN) || { echo "Stopped: $(AGAIN)"; exit 1; }
	@echo
	@echo "Report:  runs/$(NAME)/report.html"
	@echo "Figures: figures/$(NAME)"

mini: $(INSTALLED)  ## train the miniature models anew (hours on two cores; a second run goes on where the first stopped)
	mkdir -p runs/mini_stack
	SPYDER_BARS_ARE_TEXT=1 TQDM_MININTERVAL=1 $(BIN)/python -m papermill notebooks/00_mini_stack.ipynb \
		runs/mini_stack/00_mini_stack.ipynb --stderr-file -

lab: $(INSTALLED)  ## JupyterLab with the notebooks
	$(BIN)/python -m jupyter lab --LabApp.default_url=/lab/tree/notebooks

test: lint  ## the checks of lint and every test that takes seconds
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder

rest: $(INSTALLED)  ## what test leaves out: stages killed, the script for a card, the miniature models made, a study through a real Slurm
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --long --slurm -m "long or slurm"

faults: $(INSTALLED)  ## what can go wrong, tried: the tests that inject a fault, and the table of them in benchmarks/faults.md
	$(BIN)/python -m tests.faults

fuzz: $(INSTALLED)  ## bad input: 100,000 cases a parser, guided by coverage, in an hour of one core; benchmarks/results/fuzzing.json
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable ".[fuzz]"
	$(BIN)/python -m benchmarks.fuzzing

lint: $(INSTALLED)  ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

repository:  ## where Colab clones the project from, into badges, cells and README: make repository REPOSITORY=owner/name
	$(PYTHON) colab/address.py "$(REPOSITORY)"

zip:  ## caplora.zip, the committed project, to upload to Colab where it has no address
	git archive --format=zip --prefix=caplora/ --output=caplora.zip HEAD -- . ':!figures'

colab:  ## the notebooks and the studio under Colab's versions, in .venv-colab (PYTHON=python3.13)
	PYTHON="$(PYTHON)" bash colab/try.sh

lock: $(INSTALLED)  ## requirements.lock from pyproject.toml, as it stands; UPGRADE=1 takes the newest of everything
	$(BIN)/uv pip compile pyproject.toml --extra run --extra lab --extra test --universal --python-version 3.11 \
		--no-annotate --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade) --output-file requirements.lock

unlock:  ## after a kill or a power cut: tell Snakemake that nobody is at work here
	rm -rf .snakemake/locks

clean:  ## remove what the tools left behind; runs, datasets and figures stay
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis build caplora.egg-info
	find caplora tests notebooks benchmarks -name __pycache__ -o -name .ipynb_checkpoints 2>/dev/null | xargs rm -rf

# uv installs several times faster than pip; where it cannot be had, or cannot see the index that pip sees, pip does it.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "caplora needs Python 3.11 or newer; this one is $$($(PYTHON) -V): make PYTHON=python3.12 …"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "$$(grep '^uv==' requirements.lock)" || true
	$(BIN)/uv pip install --python $(BIN)/python -r requirements.lock || $(BIN)/python -m pip install -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	mkdir -p .venv/etc/ipython  # or every kernel that papermill starts warns that it is not encrypted
	echo 'c.IPKernelApp.log_level = "ERROR"' > .venv/etc/ipython/ipython_kernel_config.py
	touch $@
