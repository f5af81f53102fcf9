"""The files around the package agree with it and with each other."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import caplora
from caplora.study.reading import PROJECT
from caplora.study.study import read_study
from caplora.study.variants import read_variants

STUDIES = sorted((PROJECT / "params" / "studies").glob("*.yaml"))
VARIANTS = sorted((PROJECT / "params" / "variants").glob("*.yaml"))
NOTEBOOKS = ["00_mini_stack", "01_data_captioning", "02_train_lora", "03_inference", "04_clipscore", "05_analysis"]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
CORE = [Requirement(r) for r in PYPROJECT["project"]["dependencies"]]
UNLOCKED = ("fuzz", "pdf")  # extras that no test runs with: made for Linux alone, or with libraries of the system
OPTIONAL = {k: v for k, v in PYPROJECT["project"]["optional-dependencies"].items() if k not in UNLOCKED}
EXTRA = [Requirement(r) for rs in OPTIONAL.values() for r in rs]


def text(name: str) -> str:
    """A file of the project."""
    return (PROJECT / name).read_text(encoding="utf-8")


def locked() -> list[Requirement]:
    """The lines of requirements.lock."""
    return [Requirement(line) for line in text("requirements.lock").splitlines() if not line.startswith("#")]


def pins() -> dict[str, set[str]]:
    """Package → its pinned versions, more than one where Pythons differ."""
    found: dict[str, set[str]] = {}
    for r in locked():
        found.setdefault(canonicalize_name(r.name), set()).update(s.version for s in r.specifier)
    return found


def in_table(readme: str) -> dict[str, set[str]]:
    """Room → its modules, of the table of rooms: lines of `| `room/` | what it does | `module` `module` |`."""
    rows = re.findall(r"^\| *`([\w/]+/)` *\|.*\|([^|]*)\| *$", readme, re.M)
    return {room: set(re.findall(r"`([^`]+)`", modules)) for room, modules in rows}


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_a_shipped_study_is_valid_and_named_as_its_file(path: Path) -> None:
    assert read_study(path.stem).name == path.stem


@pytest.mark.parametrize("path", VARIANTS, ids=lambda p: p.stem)
def test_shipped_variants_are_valid_and_one_alone_is_named_as_its_file(path: Path) -> None:
    variants = read_variants(path.stem)
    assert len(variants) > 1 or variants[0].name == path.stem


def test_every_variant_of_the_grid_has_a_file_of_its_own() -> None:
    assert {v.name for v in read_variants("grid")} <= {p.stem for p in VARIANTS}


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_a_model_of_a_shipped_study_is_in_the_project_or_pinned(path: Path) -> None:
    study = read_study(path.stem)
    models = [study.base, study.captioning.model, study.scoring.identity, study.scoring.judge]
    loose = [m.path for m in models if m and m.revision is None and not study.path(m.path).is_dir()]
    assert loose == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_notebooks_of_the_story_are_there(name: str) -> None:
    assert (PROJECT / "notebooks" / f"{name}.ipynb").is_file()


def test_snakemake_owns_the_five_steps_and_nothing_that_a_person_decided(tmp_path: Path) -> None:
    """Snakemake deletes the outputs of a job before it runs and after it fails, so the ledger must not be one."""
    words = ["--snakefile", str(PROJECT / "Snakefile"), "--directory", str(tmp_path), "--cores", "1", "--summary"]
    run = subprocess.run([sys.executable, "-m", "snakemake", *words], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    outputs, _, steps = zip(*(line.split("\t")[:3] for line in run.stdout.splitlines()[1:]), strict=True)
    study = read_study("mini")
    assert set(steps) == {"captions", "adapters", "samples", "scores", "report"}
    assert {str(study.scores), str(study.report)} <= set(outputs)
    assert [o for o in outputs if not Path(o).is_relative_to(study.run)] == [str(study.dataset / ".captioned")]


@pytest.mark.parametrize(("words", "rc"), [(("VARIANT=r4_a8",), 2), (("VARIANTS=r4_a8", "-j", "2"), 0)])
def test_make_stops_on_a_misspelt_setting(words: tuple[str, ...], rc: int) -> None:
    run = subprocess.run(
        ["make", "-n", "-o", ".venv/.installed", "demo", *words], cwd=PROJECT, capture_output=True, check=False
    )
    assert run.returncode == rc, run.stderr
    assert (b"there is no setting VARIANT: make takes NAME" in run.stderr) == bool(rc)


def test_the_package_asks_for_lower_bounds_only() -> None:
    loose = [str(r) for r in CORE + EXTRA if [s.operator for s in r.specifier] != [">="]]
    assert loose == []


@pytest.mark.fault(28, 29)
@pytest.mark.parametrize(("name", "fixed"), [("torch", "2.10"), ("transformers", "5.3")])
def test_versions_that_run_what_they_should_refuse_are_not_taken(name: str, fixed: str) -> None:
    """Pickles in spite of weights_only (CVE-2026-24747), code without trust_remote_code (CVE-2026-4372)."""
    (asked,) = [r for r in CORE if r.name == name]
    assert min(Version(s.version) for s in asked.specifier) >= Version(fixed)


def test_the_lock_is_exact() -> None:
    loose = [str(r) for r in locked() if [s.operator for s in r.specifier] != ["=="]]
    assert loose == []


@pytest.mark.parametrize("requirement", CORE + EXTRA, ids=str)
def test_the_lock_holds_what_the_package_asks_for(requirement: Requirement) -> None:
    versions = pins().get(canonicalize_name(requirement.name), set())
    assert versions, f"{requirement.name} is not in requirements.lock: make lock"
    assert all(requirement.specifier.contains(Version(v)) for v in versions)


def test_the_lock_serves_linux_mac_and_windows() -> None:
    markers = " ".join(str(r.marker) for r in locked() if r.marker)
    assert all(system in markers for system in ("linux", "darwin", "win32"))
    assert Marker("sys_platform == 'linux'") in [r.marker for r in locked() if r.name == "cuda-toolkit"]


@pytest.mark.parametrize("name", ["requirements.lock", "environment.yml", "pyproject.toml"])
def test_no_index_is_named(name: str) -> None:
    assert re.findall(r"https?://|--index|--find-links|--extra-index|--trusted-host", text(name)) == []


def test_conda_takes_the_same_lock_and_a_python_that_the_package_takes() -> None:
    *conda, pip = yaml.safe_load(text("environment.yml"))["dependencies"]
    assert pip == {"pip": ["-r requirements.lock", "-e ."]}
    python = next(d for d in conda if d.startswith("python=")).removeprefix("python=")
    assert PYPROJECT["project"]["requires-python"] == f">={python}"


def test_pre_commit_runs_the_tools_of_the_lock() -> None:
    hooks = [h for r in yaml.safe_load(text(".pre-commit-config.yaml"))["repos"] for h in r["hooks"]]
    tools = [Requirement(d) for h in hooks for d in h.get("additional_dependencies", [])]
    assert {str(t) for t in tools} == {f"{t.name}=={v}" for t in tools for v in pins()[canonicalize_name(t.name)]}


def test_the_version_has_its_entry_in_the_change_log() -> None:
    assert f"## {caplora.__version__}" in text("CHANGELOG.md")


def test_the_rooms_of_the_readme_are_those_of_the_package() -> None:
    made: dict[str, set[str]] = {}
    for path in (PROJECT / "caplora").rglob("*.py"):
        room = path.parent.relative_to(PROJECT / "caplora").as_posix() + "/"
        if room != "./" and path.name != "__init__.py":
            made.setdefault(room, set()).add(path.stem)
    assert in_table(text("README.md")) == made


def test_the_table_of_rooms_is_read_as_it_is_drawn() -> None:
    table = "| room | does | files |\n|---|---|---|\n| `a/` | to `x.csv` | `b` `c` |\n| `a/d/` | `e/` | `f` `g` |\n"
    assert in_table(table + "| `make` | no room | `h` |\n") == {"a/": {"b", "c"}, "a/d/": {"f", "g"}}
