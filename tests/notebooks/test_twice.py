"""Notebooks 01 and 02 by papermill: out of order they say so, and run again they change nothing."""

from contextlib import chdir
from pathlib import Path

import papermill
import pytest

from caplora.study.study import read_study
from tests.notebooks.test_notebooks import messy_folder, run_notebook, small_study


def contents(*folders: Path) -> dict[Path, bytes]:
    """Every file below some folders."""
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


@pytest.mark.fault(24)
def test_notebooks_in_the_wrong_order_say_so_and_run_again_change_nothing(tmp_path: Path) -> None:
    messy_folder(tmp_path / "faces")
    path = small_study(tmp_path)
    study, variants = read_study(path), {"variants": [{"rank": 4, "alpha": 8}]}
    with chdir(tmp_path):
        with pytest.raises(papermill.PapermillExecutionError, match="run 01_data_captioning"):
            run_notebook("02_train_lora", {"study": str(path)} | variants)
        run_notebook("01_data_captioning", {"study": str(path)})
        run_notebook("02_train_lora", {"study": str(path)} | variants)
        before = contents(study.dataset, study.run / "adapters")
        run_notebook("01_data_captioning", {"study": str(path)})
        run_notebook("02_train_lora", {"study": str(path)} | variants)
    assert contents(study.dataset, study.run / "adapters") == before and len(before) > 20
