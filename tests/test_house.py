"""The package has small files in rooms of few, each entered by its door, as the contracts of pyproject.toml say."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

import pytest

from caplora.report.contents import FIGURES
from caplora.study.reading import PROJECT
from tests.conftest import HERE, LONGEST

PACKAGE = PROJECT / "caplora"
FILES = sorted(PACKAGE.rglob("*.py"))
DOORS = sorted(p for p in FILES if p.name == "__init__.py" and p.parent != PACKAGE)
CONTRACTS = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
OUTSIDE = [PROJECT / "Snakefile", *sorted(PROJECT.glob("notebooks/*.ipynb"))]
SHOWN = ("mini", "mini_reviewed", "mini_images", "mini_steps")  # studies whose figures are committed
COMMITTED = sorted(p for study in SHOWN for p in (PROJECT / "figures" / study).glob("[!.]*"))


def name_of(path: Path) -> str:
    """A file or a folder of the project as its modules are called: caplora.mini.world.hair."""
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def rooms(folder: Path) -> set[str]:
    """The names of the packages in a folder."""
    return {p.parent.name for p in folder.glob("*/__init__.py")}


def given(door: ast.Module) -> list[str]:
    """The names of the package that a door imports, now or when they are asked for."""
    imports = [n for n in ast.walk(door) if isinstance(n, ast.ImportFrom) and (n.module or "").startswith("caplora.")]
    return [a.asname or a.name for n in imports for a in n.names]


def lengths(path: Path) -> Iterator[int]:
    """The lines of every function and method of a file."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1


def code(path: Path) -> str:
    """The Python of a notebook or of any other file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    return "\n".join("".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "code")


def test_no_file_is_longer_than_250_lines() -> None:
    lines = {name_of(p): len(p.read_text(encoding="utf-8").splitlines()) for p in FILES}
    assert {name: n for name, n in lines.items() if n > 250} == {}


def test_a_room_holds_at_most_14_files() -> None:
    files = {name_of(door): len(list(door.parent.glob("*.py"))) - 1 for door in DOORS}
    assert {room: n for room, n in files.items() if n > 14} == {}


def test_functions_are_short() -> None:
    lines = [n for p in FILES for n in lengths(p)]
    assert median(lines) <= 8
    assert quantiles(lines, n=10)[-1] <= 25


@pytest.mark.parametrize("door", DOORS, ids=name_of)
def test_a_door_says_what_its_room_is_for(door: Path) -> None:
    said = [ast.get_docstring(parsed(p)) or "" for p in DOORS]
    own = ast.get_docstring(parsed(door)) or ""
    assert len(own.split()) >= 5, f"{name_of(door)} says {own!r}"
    assert said.count(own) == 1


@pytest.mark.parametrize("door", DOORS, ids=name_of)
def test_a_door_gives_what_it_imports(door: Path) -> None:
    tree = parsed(door)
    told = [n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__all__"]
    assert sorted(ast.literal_eval(told[0]) if told else []) == sorted(given(tree))


@pytest.mark.parametrize("door", DOORS, ids=name_of)
def test_a_door_gives_no_name_that_hides_a_file_of_its_room(door: Path) -> None:
    """`from caplora.room import lint` would be a function to Python and the file `lint.py` to a reader."""
    assert {p.stem for p in door.parent.glob("*.py")} & set(given(parsed(door))) == set()


def test_the_contracts_name_the_rooms_that_are_there() -> None:
    (layers,) = (c["layers"] for c in CONTRACTS if c["type"] == "layers")
    assert set(re.findall(r"\w+", " ".join(layers))) == rooms(PACKAGE)


def test_every_door_has_its_contract() -> None:
    contracts = [(c["protected_modules"], c["allowed_importers"]) for c in CONTRACTS if c["type"] == "protected"]
    entered = [name_of(d.parent) for d in DOORS if not rooms(d.parent)]  # mini has the doors of its two rooms
    assert sorted(contracts) == sorted(([f"{room}.*"], [room]) for room in entered)


def test_the_tests_have_the_rooms_of_the_package() -> None:
    of_no_one = {"fuzzing", "kills", "security", "slurm"}
    assert rooms(PROJECT / "tests") == {*rooms(PACKAGE), *of_no_one}


def test_the_longest_files_of_tests_are_there_and_named_once() -> None:
    assert len({*LONGEST}) == len(LONGEST) and [name for name in LONGEST if not (HERE / name).is_file()] == []


def unpickling(path: Path) -> Iterator[str]:
    """What in a file may run a pickle: the modules that do, and calls that do unless they are told otherwise."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            named = {a.name for a in node.names} | {getattr(node, "module", "")}
            yield from named & {"pickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
        if isinstance(node, ast.Call):
            called, told = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
            if called == "torch.load" and told.get("weights_only") != "True":
                yield called
            if called.endswith("read_pickle") or told.get("allow_pickle") == "True":
                yield called


@pytest.mark.fault(28)
def test_no_file_of_the_package_runs_a_pickle() -> None:
    assert {name_of(path): found for path in FILES if (found := [*unpickling(path)])} == {}


@pytest.mark.fault(28)
def test_a_pickle_that_would_be_run_is_found(tmp_path: Path) -> None:
    bad = ["import pickle", "from dill import load", "torch.load(a)", "torch.load(a, weights_only=False)"]
    bad += ["np.load(a, allow_pickle=True)", "pd.read_pickle(a)"]
    good = ["torch.load(a, weights_only=True)", "np.load(a)", "import json"]
    for number, line in enumerate([*bad, *good]):
        (tmp_path / f"{number}.py").write_text(line)
    assert [bool([*unpickling(tmp_path / f"{n}.py")]) for n in range(9)] == [True] * 6 + [False] * 3


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda p: p.stem)
def test_notebooks_and_the_workflow_enter_by_the_doors(path: Path) -> None:
    doors = {"caplora", *(name_of(door.parent) for door in DOORS)}
    imported = re.findall(r"^\s*(?:from|import) (caplora[\w.]*)", code(path), re.M)
    assert imported and set(imported) - doors == set()


@pytest.mark.parametrize("path", COMMITTED, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_a_committed_figure_is_one_that_notebook_05_draws(path: Path) -> None:
    assert path.stem in FIGURES and path.suffix in (".png", ".svg", ".csv")
    assert path.with_suffix(".png").is_file()
