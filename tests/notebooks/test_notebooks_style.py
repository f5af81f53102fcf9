"""Every notebook can be read, parameterised and run anywhere: the habits that papermill, Colab and git need."""

import ast
from pathlib import Path
from statistics import median
from typing import Any

import nbformat
import papermill
import pytest

from caplora.study.reading import PROJECT

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
FILES = {".csv", ".gif", ".html", ".ipynb", ".jpg", ".json", ".png", ".safetensors", ".svg", ".txt", ".yaml", ".yml"}

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def cells(path: Path, kind: str = "code") -> list[Any]:
    """The cells of a kind, in order."""
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == kind]


def parameters(path: Path) -> list[Any]:
    """The cells tagged `parameters`."""
    return [c for c in cells(path) if "parameters" in c.metadata.get("tags", [])]


def tree(cell: Any) -> ast.Module:
    """A code cell as Python sees it; lines for IPython (%pip, !cmd) become `pass`."""
    lines = cell.source.split("\n")
    stripped = [
        line[: len(line) - len(line.lstrip())] + "pass" if line.lstrip()[:1] in ("%", "!") else line for line in lines
    ]
    return ast.parse("\n".join(stripped))


def lines(cell: Any) -> int:
    """How many lines of a cell hold something."""
    return sum(bool(line.strip()) for line in cell.source.split("\n"))


def is_colab_setup(cell: Any) -> bool:
    """Whether this is the guarded cell that installs caplora on Colab."""
    return '"google.colab" in sys.modules' in cell.source


def test_it_is_a_valid_notebook_of_format_4_5(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"


def test_git_holds_it_without_outputs(path: Path) -> None:
    assert [c.id for c in cells(path) if c.outputs or c.execution_count is not None] == []


def test_it_opens_with_title_the_way_to_colab_and_what_it_reads_writes_needs(path: Path) -> None:
    first = nbformat.read(path, as_version=4).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith(f"# {path.stem[:2]} ")
    assert "Colab" in first.source.split("\n")[1]  # tests/test_colab.py says what stands there
    assert [word for word in ("*Reads", "*Writes", "*Needs") if word not in first.source.replace("**", "*")] == []


def test_one_cell_holds_the_parameters_before_all_other_code(path: Path) -> None:
    assert len(parameters(path)) == 1
    assert cells(path)[0] == parameters(path)[0]


def test_each_parameter_is_a_typed_literal_with_a_help_text(path: Path) -> None:
    cell = parameters(path)[0]
    for line, statement in zip(cell.source.strip().split("\n"), tree(cell).body, strict=True):
        assert isinstance(statement, ast.AnnAssign), line
        assert isinstance(statement.target, ast.Name), line
        assert statement.value is not None, line
        ast.literal_eval(statement.value)
        assert "  # " in line, line


def test_papermill_reads_every_parameter_and_study_first(path: Path) -> None:
    read = papermill.inspect_notebook(str(path))
    written = [s.target.id for s in tree(parameters(path)[0]).body if isinstance(s, ast.AnnAssign)]  # type: ignore[union-attr]
    assert list(read) == written
    assert all(p["help"] and p["inferred_type_name"] != "None" for p in read.values())
    assert written[0] == "study"


def test_its_cells_are_short(path: Path) -> None:
    lengths = {c.id: lines(c) for c in cells(path) if c not in parameters(path)}
    assert {k: n for k, n in lengths.items() if n > 8} == {}
    assert median(lengths.values()) <= 3


def test_a_cell_imports_few_names(path: Path) -> None:
    imports = (ast.Import, ast.ImportFrom)
    names = {c.id: sum(len(n.names) for n in ast.walk(tree(c)) if isinstance(n, imports)) for c in cells(path)}
    assert {k: n for k, n in names.items() if n > 8} == {}


def test_it_tells_and_the_package_does(path: Path) -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    defined = [node.name for c in cells(path) for node in ast.walk(tree(c)) if isinstance(node, kinds)]
    assert defined == []


def test_it_installs_only_in_the_guarded_colab_cell(path: Path) -> None:
    magic = [c for c in cells(path) if any(line.lstrip()[:1] in ("%", "!") for line in c.source.split("\n"))]
    assert all(is_colab_setup(c) for c in magic)
    assert len(magic) <= 1


def test_it_names_no_path_of_its_own(path: Path) -> None:
    """Every path comes from the study, so that the notebook runs from any folder."""
    strings = [
        node.value
        for c in cells(path)
        if not is_colab_setup(c) and c not in parameters(path)
        for node in ast.walk(tree(c))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert [s for s in strings if s.startswith(("/", "./", "../", "~")) and len(s) > 1] == []
    assert [s for s in strings if "/" in s and " " not in s and Path(s).suffix.lower() in FILES] == []


def test_it_opens_no_relative_file(path: Path) -> None:
    openers = {"open", "Path", "read_csv", "read_json", "to_csv", "savefig"}
    opened = [
        ast.unparse(node)
        for c in cells(path)
        if not is_colab_setup(c)
        for node in ast.walk(tree(c))
        if isinstance(node, ast.Call)
        and (node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")) in openers
        and node.args
        and isinstance(node.args[0], ast.Constant)
    ]
    assert opened == []
