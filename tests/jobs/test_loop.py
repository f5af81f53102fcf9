"""jobs/loop.py: five real notebooks one after another; what is done and would read the same is not done again."""

import shutil
from pathlib import Path

import nbformat
import pytest
from PIL import Image

from caplora.jobs import loop, notebook, reads
from caplora.jobs.loop import run_study
from caplora.jobs.notebook import JobError
from caplora.jobs.reads import SETTINGS
from caplora.jobs.records import read_records, record_path
from caplora.notebooks.keeping import Keeping
from caplora.study.reading import PROJECT
from caplora.study.study import Study, read_study
from tests.watching.small import small_study

STORY = tuple(SETTINGS)
WORK = {  # what a notebook leaves: a file of the study, and its content
    "01": ("datasets/small/metadata.csv", "file_name,text\na.png,a face\n"),
    "02": ("runs/small/adapters/r1_a1/settings.json", "{{}}"),
    "03": ("runs/small/samples/{arm}/metadata.csv", "a sample"),
    "04": ("runs/small/scores.csv", "a score"),
    "05": ("runs/small/report.html", "a report"),
}
VARIANTS = "variants: [{rank: 1, alpha: 1}]\n"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a study of an image, whose five notebooks, which write a file each, were run."""
    root = tmp_path_factory.mktemp("first")
    study = small_study(root)
    (root / "variants.yaml").write_text(VARIANTS)
    picture(study)
    study.dataset.mkdir(parents=True)
    shutil.copy(study.images_folder / "a.png", study.dataset)
    (root / "notebooks").mkdir()
    for name in STORY:
        write(root, name)
    with pytest.MonkeyPatch.context() as patch:
        of_project(patch, root)
        assert ran(study) == ["01", "02", "03", "04", "05"]
    return root


@pytest.fixture
def done(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A copy of it, elsewhere."""
    shutil.copytree(first, tmp_path / "project")
    of_project(monkeypatch, tmp_path / "project")
    return read_study(tmp_path / "project" / "small.yaml")


def of_project(patch: pytest.MonkeyPatch, root: Path) -> None:
    """Take the notebooks of another project for ours."""
    for module in (notebook, reads):
        patch.setattr(module, "PROJECT", root)


def picture(study: Study, colour: str = "red") -> None:
    study.images_folder.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(study.images_folder / "a.png")


def write(root: Path, name: str, more: str = "") -> None:
    """A notebook of the story, which writes its file where it is told the study lies."""
    file, content = WORK[name[:2]]
    files = [file.format(arm=arm) for arm in (("baseline", "r1_a1") if name.startswith("03") else ("",))]
    parameters = "study = ''\nvariants = ''\nredraw = False\npart = False"
    work = (
        f"from pathlib import Path\nfor file in {files}:\n    path = Path(study).parent / file\n"
        f"    path.parent.mkdir(parents=True, exist_ok=True)\n    path.write_text({content!r})"
    )
    cells = [nbformat.v4.new_code_cell(text) for text in (parameters, work, *filter(None, [more]))]
    cells[0].metadata["tags"] = ["parameters"]
    spec = {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=spec), root / "notebooks" / f"{name}.ipynb")


def root_of(study: Study) -> Path:
    return study.run.parents[1]


def ran(study: Study, drive: str = "") -> list[str]:
    """The numbers of the notebooks that were run."""
    root = root_of(study)
    return [n[:2] for n, due in run_study(str(root / "small.yaml"), str(root / "variants.yaml"), drive) if due]


def test_every_notebook_leaves_what_it_leaves_in_the_graph_and_is_not_run_again(done: Study) -> None:
    assert [(record.job, record.state) for record in read_records(done)] == [(name, "done") for name in STORY]
    assert all((done.run / f"{name}.ipynb").is_file() for name in STORY)
    made = {path.name for path in (done.run / "jobs").glob("*.made")}
    assert made == {"02_train_lora.made", "03_inference.made"} and (done.dataset / ".captioned").is_file()
    assert ran(done) == []


def test_what_is_changed_runs_what_reads_it_and_nothing_before(done: Study) -> None:
    root = root_of(done)
    write(root, "04_clipscore", "# another way to score")
    assert ran(done) == ["04"]  # whose scores are the same
    picture(done, "blue")
    assert ran(done) == ["01"]  # whose portraits are the same
    (done.dataset / "metadata.csv").write_text("file_name,text\na.png,a woman\n")
    assert ran(done) == ["02"]  # which trains the same
    (root / "variants.yaml").write_text(VARIANTS.replace("rank: 1", "rank: 2"))
    shutil.copytree(done.run / "adapters/r1_a1", done.run / "adapters/r2_a1")
    shutil.copytree(done.samples("r1_a1"), done.samples("r2_a1"))
    assert ran(done) == ["02", "03", "04", "05"]
    done.report.unlink()
    assert ran(done) == ["05"] and ran(done) == []


def test_a_notebook_that_fails_stops_the_others_and_goes_on_from_there(done: Study) -> None:
    root = root_of(done)
    write(root, "03_inference", "raise ValueError('out of ink')")
    with pytest.raises(JobError, match="03_inference failed: ValueError: out of ink"):
        ran(done)
    assert [r.state for r in read_records(done)] == ["done", "done", "failed", "done", "done"]
    write(root, "03_inference", "# mended")
    assert ran(done) == ["03"]
    again = read_records(done)[2]
    assert (again.state, again.run) == ("done", 1)


def test_another_machine_goes_on_where_the_first_was_cut_off(
    done: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, second = root_of(done), tmp_path / "second"
    second.mkdir()
    for name in ("small.yaml", "variants.yaml", "notebooks"):
        (shutil.copytree if (root / name).is_dir() else shutil.copy)(root / name, second / name)
    done.scores.unlink()  # 04 was not done yet
    Keeping(root, "small", tmp_path / "drive").keep()
    Keeping(second, "small", tmp_path / "drive").bring_back()
    of_project(monkeypatch, second)
    other = read_study(second / "small.yaml")
    assert not other.images_folder.exists()  # they were on the first machine alone
    assert ran(other) == ["04"] and ran(other) == []


def test_a_record_without_what_was_read_is_no_proof_of_anything(done: Study) -> None:
    record_path(done, "05_analysis").with_suffix(".reads").unlink()
    assert ran(done) == ["05"]


def test_the_loop_knows_the_notebooks_of_the_story() -> None:
    assert [p.stem for p in sorted((PROJECT / "notebooks").glob("0[1-5]_*.ipynb"))] == list(STORY)
    assert STORY[:3] == loop.MAKE
