"""What papermill gives a notebook, checked against its parameters cell."""

from pathlib import Path

import nbformat
import papermill
import pytest
from IPython.core.interactiveshell import InteractiveShell
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from caplora.notebooks.parameters import ParameterError, check_injected
from caplora.study.reading import PROJECT

OWN = 'study: str = "mini"  # a file\nlimit: int = 0\nscale: float = 0.0\nfork: bool = False\nvariants: str = "grid"'
NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))


def given(*lines: str) -> list[str]:
    """The cells that ran, of which papermill's holds some lines."""
    return ["", OWN, "# Parameters\n" + "\n".join(lines) + "\n", "check_parameters()"]


@pytest.mark.parametrize(
    "line", ['study = "faces"', "limit = 3", "scale = 2", "scale = 0.5", "fork = True", 'variants = [{"rank": 4}]']
)
def test_what_the_notebook_has_is_taken(line: str) -> None:
    check_injected(given(line, 'study = "faces"'))


def test_notebook_that_papermill_gave_nothing_is_taken() -> None:
    check_injected(["", OWN, "check_parameters()", "studdy = 1"])


@pytest.mark.fault(32)
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('studdy = "faces"', "no parameter studdy: did you mean study"),
        ("qqqq = 1", "no parameter qqqq: It has study, limit, scale, fork, variants"),
        ("study = 2024", "study must be str, got 2024: give it as text with papermill's -r"),
        ('limit = "ten"', "limit must be int, got 'ten'"),
        ("limit = True", "limit must be int, got True"),
        ("fork = 1", "fork must be bool, got 1"),
        ("scale = None", "scale must be float, got None"),
        ("limit = float('inf')", "limit must be int, got inf"),
    ],
)
def test_another_name_or_kind_is_refused_by_name(line: str, says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        check_injected(given(line))


def run_here(notebook: nbformat.NotebookNode) -> tuple[list[str], BaseException | None]:
    """Run the cells in an IPython of this process, which has imported all that they need; those begun, what stopped."""
    shell, begun = InteractiveShell.instance(), []
    try:
        for cell in notebook.cells:
            if cell.cell_type == "code":
                begun.append(cell.source)
                if error := shell.run_cell(cell.source, store_history=True).error_in_exec:
                    return begun, error
    finally:
        InteractiveShell.clear_instance()
    return begun, None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_stops_on_a_misspelt_name_before_any_work(path: Path) -> None:
    begun, stopped = run_here(parameterize_notebook(load_notebook_node(str(path)), {"studdy": "faces"}))
    assert isinstance(stopped, ParameterError) and "no parameter studdy: did you mean study" in str(stopped)
    assert len(begun) == 4 and begun[-1].endswith("check_parameters()")  # parameters, papermill's, Colab's, imports


def test_a_notebook_stops_in_papermill_too(tmp_path: Path) -> None:
    with pytest.raises(papermill.PapermillExecutionError, match="no parameter studdy: did you mean study"):
        papermill.execute_notebook(
            NOTEBOOKS[1], tmp_path / "out.ipynb", {"studdy": "faces"}, progress_bar=False, start_timeout=300
        )
    ran = [c for c in nbformat.read(tmp_path / "out.ipynb", 4).cells if c.cell_type == "code" and c.execution_count]
    assert len(ran) == 4 and ran[-1].source.endswith("check_parameters()")
