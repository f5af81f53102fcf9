#!/usr/bin/env bash
# The notebooks and the widgets under Colab's versions, in .venv-colab: `make colab PYTHON=python3.13`. Paths of tests as
# arguments run these instead.
set -euo pipefail
cd "$(dirname "$0")/.."
BIN=$PWD/.venv-colab/bin
test -x "$BIN/python" || "${PYTHON:-python3}" -m venv .venv-colab
"$BIN/python" -m pip install --quiet -r colab/requirements.txt
"$BIN/python" colab/ready.py # as the set-up cell does
# The tools of the tests. jupyterlab_widgets 1 is the half of ipywidgets 7 that JupyterLab loads; Colab has its own.
"$BIN/python" -m pip install --quiet --constraint colab/requirements.txt papermill pytest hypothesis beartype playwright \
	nbformat packaging torchmetrics 'jupyterlab>=4.2' 'jupyterlab_widgets<3'
"$BIN/python" -m ipykernel install --sys-prefix --name python3 >/dev/null
[ $# -gt 0 ] || set -- tests/notebooks/test_notebooks.py tests/review tests/playground tests/rating
# Warnings are errors in the tests, but ipywidgets 7 itself uses what traitlets and ipykernel have deprecated.
OMP_NUM_THREADS=1 exec "$BIN/python" -m pytest -q -W ignore::DeprecationWarning "$@"
