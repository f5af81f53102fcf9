"""Colab: the address is written in one place, the set-up cell installs what Colab lacks and leaves its torch alone."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from caplora.commands.app import app
from caplora.commands.job import run
from caplora.study.reading import PROJECT

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
COLAB_RUN = """\
import shutil, sys, types
from IPython.core.interactiveshell import InteractiveShell

def upload_file(name):
    print("uploaded", flush=True)
    shutil.copy({upload!r}, name)

google, colab = types.ModuleType("google"), types.ModuleType("google.colab")
colab.files = types.SimpleNamespace(upload_file=upload_file)
sys.modules |= {{"google": google, "google.colab": colab}}
shell = InteractiveShell.instance()
shell.user_ns["drive"] = {drive!r}
for _ in range(2):
    shell.run_cell({cell!r}).raise_error()
"""


def script(name: str) -> ModuleType:
    """A file of colab/ as a module."""
    spec = importlib.util.spec_from_file_location(f"colab_{name}", PROJECT / "colab" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


address, ready = script("address"), script("ready")


def on_colab() -> dict[str, str]:
    """Package → its version, of the list of what Colab has; where no version was named, the least that we ask for."""
    least = {canonicalize_name(r.name): next(iter(r.specifier)).version for r in ready.core_requirements()}
    lines = (PROJECT / "colab/requirements.txt").read_text(encoding="utf-8").splitlines()
    listed = [Requirement(line) for line in lines if not line.startswith("#")]
    pins = {canonicalize_name(r.name): next(iter(r.specifier)).version if r.specifier else "" for r in listed}
    return {name: pin.removesuffix(".*") or least[name] for name, pin in pins.items()}


COLAB = on_colab() | {"torch": "2.11.0+cu128", "torchvision": "0.26.0+cu128"}  # built for its GPU


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of all that the address is written into."""
    (tmp_path / "notebooks").mkdir()
    for path in NOTEBOOKS:
        shutil.copy(path, tmp_path / "notebooks")
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(PROJECT / name, tmp_path)
    return tmp_path


def written(project: Path) -> dict[str, str]:
    """File → its text, of all that the address is written into."""
    paths = [*sorted((project / "notebooks").glob("*.ipynb")), project / "README.md", project / "pyproject.toml"]
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


def setup_cells() -> set[str]:
    """The set-up cells of the notebooks, which are one text."""
    cells = [c for path in NOTEBOOKS for c in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    return {"".join(c["source"]) for c in cells if c["cell_type"] == "code" and "google.colab" in "".join(c["source"])}


def test_badges_cells_and_readme_say_what_the_setting_says(project: Path) -> None:
    address.write(address.setting(), project)
    assert written(project) == written(PROJECT)


def test_the_address_comes_into_every_badge_and_cell_and_goes_again(project: Path) -> None:
    address.write("", project)
    without = written(project)
    address.write("someone/lora-study", project)
    with_address = written(project)
    for path in NOTEBOOKS:
        assert with_address[path.name].count(f"github/someone/lora-study/blob/main/notebooks/{path.name}") == 1
        assert with_address[path.name].count("!git clone -q https://github.com/someone/lora-study ") == 1
        assert "caplora.zip" not in with_address[path.name] and "[![" not in without[path.name]
    assert with_address["README.md"].count("[![Colab]") == 5 and "colab-badge" not in without["README.md"]
    address.write("", project)
    assert written(project) == without


def test_without_an_address_a_notebook_asks_for_a_zip(project: Path) -> None:
    address.write("", project)
    for name, text in written(project).items():
        if name.endswith(".ipynb"):
            assert "make zip" in text and "files.upload_file" in text and "github.com" not in text


@pytest.mark.parametrize("wrong", ["caplora", "https://github.com/a/b", "a/b/c", "a b/c", 'a/"b'])
def test_what_is_no_repository_is_refused_and_nothing_is_written(project: Path, wrong: str) -> None:
    before = written(project)
    with pytest.raises(SystemExit, match="OWNER/NAME"):
        address.write(wrong, project)
    assert written(project) == before


def test_no_file_names_an_address_of_the_project_by_itself() -> None:
    """The only ones are those that follow from the setting; whose names end in caplora are taken for the project's."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    generated = {"README.md", *(f"notebooks/{path.name}" for path in NOTEBOOKS)}
    names = [n for n in listed.stdout.split("\0") if n and n not in generated and (PROJECT / n).is_file()]
    own = re.compile(rb"github(?:\.com)?/[\w.-]+/caplora\b", re.I)
    assert [name for name in names if own.search((PROJECT / name).read_bytes())] == []


def test_the_setup_cell_is_one_text_of_at_most_eight_lines_in_all_notebooks() -> None:
    (cell,) = setup_cells()
    assert cell == address.cell(address.setting())
    for repository in ("", "someone/lora-study"):
        lines = [line for line in address.cell(repository).split("\n") if line.strip()]
        assert len(lines) <= 8 and max(map(len, lines)) <= 120


def test_the_setup_cell_installs_through_the_script_alone() -> None:
    (cell,) = setup_cells()
    assert '%run /content/caplora/colab/ready.py "{drive}"' in cell
    assert "pip" not in cell.replace("zip", "")


def test_every_core_dependency_is_on_colab_or_installed() -> None:
    core = ready.core_requirements()
    there = {r.name for r in core if canonicalize_name(r.name) in COLAB}
    added = {Requirement(line).name for line in ready.lacking(core, COLAB)}
    assert there | added == {r.name for r in core}
    assert added == {"ImageHash", "choix", "cyclopts", "jaxtyping", "krippendorff", "open_clip_torch", "rich"}


def test_a_new_core_dependency_is_installed_and_one_that_is_too_old_too() -> None:
    core = [Requirement(line) for line in ("torch>=2.10", "newcomer>=1", "pandas>=3.0")]
    assert ready.lacking(core, COLAB) == ["newcomer>=1", "pandas>=3.0"]


@pytest.mark.parametrize("has", [{"torch": "2.9.1"}, {}])
def test_torch_is_never_replaced(has: dict[str, str]) -> None:
    with pytest.raises(RuntimeError, match=r"torch>=2\.10.*never replaced.*Runtime version"):
        ready.lacking([Requirement("torch>=2.10")], has)


def test_what_is_installed_is_bound_to_the_torch_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dependency that wants another torch fails; so the constraint is given with everything that is installed."""
    ran: list[tuple[tuple[str, ...], str]] = []

    def record(*words: str) -> None:
        bound = Path(words[1]).read_text(encoding="utf-8") if words[0] == "--constraint" else ""
        ran.append((words, bound))

    monkeypatch.setattr(ready, "pip_install", record)
    monkeypatch.setattr(ready, "installed", lambda: COLAB)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert ready.install() == ready.lacking(ready.core_requirements(), COLAB)
    (added, bound), (itself, _) = ran
    assert bound == "torch==2.11.0+cu128\ntorchvision==0.26.0+cu128\nnumpy==2.1.3\n"
    assert {*added[2:]} == {*ready.lacking(ready.core_requirements(), COLAB)}
    assert itself == ("--no-deps", "--editable", str(PROJECT))


def test_a_second_setup_installs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "pip_install", lambda *words: pytest.fail(f"pip install {words}"))
    has = {canonicalize_name(r.name): next(iter(r.specifier)).version for r in ready.core_requirements()}
    monkeypatch.setattr(ready, "installed", lambda: has | {"caplora": "0.1"})
    assert ready.install() == []


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed; Colab has it")
@pytest.mark.parametrize("top", ["caplora", "caplora-main", "my copy", ""])
@pytest.mark.parametrize("drive", ["", "my studies"])
def test_the_setup_cell_takes_a_zip_however_its_folder_is_called(tmp_path: Path, top: str, drive: str) -> None:
    """The cell itself, run twice by IPython, with a folder in place of /content and a person who uploads a zip."""
    content = tmp_path / "content"
    content.mkdir()
    with zipfile.ZipFile(tmp_path / "upload.zip", "w") as archive:
        archive.writestr(str(Path(top) / "pyproject.toml"), "")
        archive.writestr(str(Path(top) / "colab/ready.py"), "import sys\nprint('ready', sys.argv[1:])\n")
    cell = address.cell("").replace("/content", str(content))
    (tmp_path / "run.py").write_text(COLAB_RUN.format(upload=str(tmp_path / "upload.zip"), drive=drive, cell=cell))
    run = subprocess.run(
        [sys.executable, tmp_path / "run.py"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert run.stdout.count(f"ready {[drive]}") == 2, run.stdout + run.stderr
    assert run.stdout.count("uploaded") == 1 and (content / "caplora/pyproject.toml").is_file()


def test_the_cell_that_runs_a_whole_study_is_set_up_as_the_notebooks_and_gives_a_command_that_there_is() -> None:
    page = (PROJECT / "params/profiles/colab/README.md").read_text(encoding="utf-8")
    cell = re.search(r"```python\n(.*?)```", page, re.S)
    assert cell and "!pip install --quiet papermill\n" in cell[1]
    command = re.search(r"python -m caplora (run .*)", cell[1])
    assert command and app.parse_args(command[1].split(), print_error=False, exit_on_error=False)[0] is run
    unzip = next(line.strip() for line in cell[1].splitlines() if "unzip" in line)
    assert any(unzip in "".join(c["source"]) for c in json.loads(NOTEBOOKS[1].read_text(encoding="utf-8"))["cells"])
