"""keeping.py: what a session made comes back in the next one, and no decision is ever lost on the way."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from caplora.captions.ledger import LedgerError, Row, read_ledger
from caplora.captions.open_ledger import Ledger
from caplora.notebooks import keeping
from caplora.notebooks.adapters import Adapters
from caplora.notebooks.keeping import DiffersError, Keeping
from caplora.study.files import file_hash
from caplora.study.reading import PROJECT
from caplora.study.study import read_study
from caplora.study.variants import Variant

BEGUN = PROJECT / "tests/training/v0.4.0"  # a study of six images
DATASET, RUN = "datasets/faces", "runs/faces"


def contents(root: Path) -> dict[str, bytes]:
    """File → its bytes, but for what belongs to the machine."""
    paths = [p for p in root.rglob("*") if p.is_file() and not p.name.endswith(keeping.PASSING)]
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in paths}


def machine(folder: Path) -> Path:
    """A machine on which the project was just unpacked."""
    (folder / "params/studies").mkdir(parents=True)
    (folder / "params/studies/mini.yaml").write_text("name: mini\n")
    return folder


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def decide(root: Path, text: str, image: str = "a.png") -> None:
    ledger = Ledger(root / DATASET, "me")
    ledger.change({image: replace(ledger.rows[image], text=text, status="edited")}, "review")


def texts(root: Path) -> dict[str, str]:
    return {row.file_name: row.text for row in read_ledger(root / DATASET)}


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A machine with a study of two images and a checkpoint."""
    root = machine(tmp_path / "first")
    put(root / "params/studies/faces.yaml", "name: faces\nlike: mini\n")
    for name in ("a.png", "b.png"):
        put(root / DATASET / name, name)
    Ledger(root / DATASET, "me").change({n: Row(n, "a face") for n in ("a.png", "b.png")}, "found")
    put(root / RUN / "adapters/r4_a8/checkpoints/step_000100/state.safetensors", "100")
    return root


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    return tmp_path / "drive"


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """The machine of the next session."""
    return machine(tmp_path / "second")


def of(root: Path, folder: Path | None) -> Keeping:
    return Keeping(root, "faces", folder)


def test_all_work_of_a_study_comes_back_on_a_fresh_machine(first: Path, second: Path, drive: Path) -> None:
    of(first, drive).keep()
    of(second, drive).bring_back()
    assert contents(second) == contents(first)
    decide(second, "my words")  # the ledger can be gone on with
    assert texts(second)["a.png"] == "my words"


def test_what_is_made_anew_sooner_than_copied_is_not_kept(first: Path, drive: Path) -> None:
    put(first / RUN / "cache/latents/a.safetensors", "latents")
    of(first, drive).keep()
    assert not (drive / RUN / "cache").exists()


def test_a_training_that_is_cut_off_goes_on_on_another_machine_to_the_same_bytes(tmp_path: Path) -> None:
    whole, first, second = (tmp_path / name for name in ("whole", "first", "second"))
    for root in (whole, first, second):
        root.mkdir()
        (root / "caplora").symlink_to(PROJECT / "caplora")
    for root in (whole, first):
        shutil.copytree(BEGUN / "datasets", root / "datasets")
        (root / "params/studies").mkdir(parents=True)
        shutil.copy(BEGUN / "begun.yaml", root / "params/studies")
    for _ in trained(whole).train():
        pass

    kept = Keeping(first, "begun", tmp_path / "drive")
    for step in kept.during(trained(first).train(), minutes=0):
        if step.number == 5:  # it is cut off here: of what is written now the copy learns nothing
            break
    Keeping(second, "begun", tmp_path / "drive").bring_back()
    rest = trained(second)
    assert 0 < rest.steps < 6
    for _ in rest.train():
        pass
    assert len(weights(whole)) == 4 and weights(second) == weights(whole)


def trained(root: Path) -> Adapters:
    """The variants of the study `begun`, ready to train."""
    study = read_study(root / "params/studies/begun.yaml", training={"checkpointing_steps": 2})
    adapters = Adapters(study, (Variant(rank=1, alpha=1), Variant(rank=2, alpha=4)))
    adapters.encode(adapters.captions)
    adapters.encode_held_out(adapters.kept_back)
    adapters.prepare()
    return adapters


def weights(root: Path) -> dict[str, str]:
    """Every file of weights of the study's adapters → its hash."""
    paths = (root / "runs/begun/adapters").glob("*/*.safetensors")
    return {path.relative_to(root).as_posix(): file_hash(path) for path in paths}


def test_the_next_session_goes_on_and_the_one_after_it_has_both(
    first: Path, second: Path, drive: Path, tmp_path: Path
) -> None:
    of(first, drive).keep()
    of(second, drive).bring_back()
    decide(second, "my words")
    put(second / RUN / "scores.csv", "scores")
    of(second, drive).keep()
    third = machine(tmp_path / "third")
    of(third, drive).bring_back()
    assert contents(third) == contents(second) and texts(third)["a.png"] == "my words"


def test_only_what_changed_is_copied_again(first: Path, drive: Path) -> None:
    of(first, drive).keep()
    before = {p: p.stat().st_ino for p in drive.rglob("*") if p.is_file()}
    put(first / RUN / "scores.csv", "scores")
    assert ": 1 files" in of(first, drive).keep()
    assert {p: p.stat().st_ino for p in before} == before
    assert ": 0 files" in of(first, drive).keep()


def test_a_checkpoint_that_training_removed_goes_from_the_copy_too_and_images_stay(first: Path, drive: Path) -> None:
    of(first, drive).keep()
    shutil.rmtree(first / RUN / "adapters/r4_a8/checkpoints/step_000100")
    put(first / RUN / "adapters/r4_a8/checkpoints/step_000200/state.safetensors", "200")
    put(first / DATASET / "c.png", "c")
    of(first, drive).keep()
    (first / DATASET / "c.png").unlink()
    of(first, drive).keep()
    assert "100" not in " ".join(
        contents(drive)
    ) and f"{RUN}/adapters/r4_a8/checkpoints/step_000200/state.safetensors" in contents(drive)
    assert (drive / DATASET / "c.png").is_file()


def test_every_decision_in_the_studio_is_kept_with_its_images(first: Path, second: Path, drive: Path) -> None:
    kept = of(first, drive)
    kept.bring_back()
    decide(first, "one")
    kept.keep_captions()  # the first that is kept at all
    put(first / DATASET / "c.png", "c")
    Ledger(first / DATASET, "me").change({"c.png": Row("c.png", "new")}, "found")
    decide(first, "two", "b.png")
    kept.keep_captions()
    assert not (drive / RUN).exists()
    of(second, drive).bring_back()
    assert texts(second) == {"a.png": "one", "b.png": "two", "c.png": "new"}


def test_a_session_that_lacks_decisions_of_the_copy_cannot_write_over_them(
    first: Path, second: Path, drive: Path
) -> None:
    of(first, drive).keep()
    of(second, drive).bring_back()
    decide(second, "later words")
    of(second, drive).keep()
    with pytest.raises(LedgerError, match=r"holds decisions that .* lacks: bring them back first"):
        of(first, drive).keep()
    assert texts(drive)["a.png"] == "later words"
    of(first, drive).bring_back()
    assert texts(first)["a.png"] == "later words"


def test_decisions_on_both_sides_stop_with_an_error_and_both_stay(first: Path, second: Path, drive: Path) -> None:
    of(first, drive).keep()
    of(second, drive).bring_back()
    decide(second, "later words")
    of(second, drive).keep()
    decide(first, "other words", "b.png")
    for deed in (of(first, drive).bring_back, of(first, drive).keep):
        with pytest.raises(LedgerError, match="neither is to be lost"):
            deed()
    assert texts(drive)["a.png"] == "later words" and texts(first)["b.png"] == "other words"


@pytest.mark.parametrize("side", ["here", "there"])
def test_what_a_spreadsheet_wrote_on_one_side_counts(first: Path, drive: Path, side: str) -> None:
    of(first, drive).keep()
    path = (first if side == "here" else drive) / DATASET / "metadata.csv"
    path.write_bytes(path.read_bytes().replace(b"a face", b"a kind face"))
    of(first, drive).bring_back()
    of(first, drive).keep()
    assert texts(first) == texts(drive) == {"a.png": "a kind face", "b.png": "a kind face"}


def test_other_work_on_a_machine_that_never_kept_here_is_refused_and_nothing_is_touched(
    first: Path, second: Path, drive: Path
) -> None:
    of(first, drive).keep()
    put(second / "params/studies/faces.yaml", "name: faces\nlike: sd15\n")
    before = contents(second)
    with pytest.raises(DiffersError, match=r"params/studies/faces\.yaml.*Delete or rename"):
        of(second, drive).bring_back()
    with pytest.raises(DiffersError):
        of(second, drive).keep()
    assert contents(second) == before and "like: mini" in (drive / "params/studies/faces.yaml").read_text()


def test_a_study_edited_between_two_notebooks_is_no_other_work(first: Path, drive: Path) -> None:
    of(first, drive).keep()
    put(first / "params/studies/faces.yaml", "name: faces\nlike: sd15\n")
    of(first, drive).bring_back()
    of(first, drive).keep()
    assert "sd15" in (drive / "params/studies/faces.yaml").read_text()


def test_a_copy_that_was_cut_short_is_made_whole_by_the_next(
    first: Path, drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, left = keeping._copy, [2]

    def failing(source: Path, target: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError("the disk is full")
        copy(source, target)

    monkeypatch.setattr(keeping, "_copy", failing)
    with pytest.raises(OSError, match="disk is full"):
        of(first, drive).keep()
    monkeypatch.undo()
    of(first, drive).keep()
    assert contents(drive) == contents(first)


@pytest.mark.fault(23)
def test_a_long_work_keeps_as_it_goes_and_goes_on_where_that_fails(first: Path, drive: Path) -> None:
    def work() -> object:
        for step in (200, 300):
            put(first / RUN / f"step_{step}", "x")
            yield step

    seen = [(step, (drive / RUN / "step_200").is_file()) for step in of(first, drive).during(work(), minutes=0)]
    assert seen == [(200, False), (300, True)]
    assert list(of(first, None).during(work(), minutes=0)) == [200, 300]
    shutil.rmtree(drive)
    drive.write_text("no folder any more")
    with pytest.warns(UserWarning, match="not kept in .* going on"):
        assert list(of(first, drive).during(work(), minutes=0)) == [200, 300]


def test_without_a_folder_nothing_is_kept_and_that_is_said(first: Path) -> None:
    before = contents(first)
    assert of(first, None).bring_back() == of(first, None).keep() == keeping.OFF
    assert contents(first) == before and not (first / RUN / ".kept.json").exists()


def test_a_folder_of_drive_needs_drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "DRIVE", tmp_path / "MyDrive")
    with pytest.raises(FileNotFoundError, match="Drive is not mounted"):
        Keeping.open("faces", "caplora")
    (tmp_path / "MyDrive").mkdir()
    assert Keeping.open("faces", "caplora").folder == tmp_path / "MyDrive/caplora"
    assert Keeping.open("faces", str(tmp_path / "disk")).folder == tmp_path / "disk"
    kept = Keeping.open("faces", "caplora")
    (tmp_path / "MyDrive").rmdir()
    with pytest.raises(FileNotFoundError, match="Drive is not mounted"):
        kept.keep()


def test_a_study_by_its_file_lies_where_its_file_lies(tmp_path: Path) -> None:
    assert Keeping.open(str(tmp_path / "small.yaml"), "").root == tmp_path
    assert Keeping.open(str(tmp_path / "params/studies/small.yaml"), "").root == tmp_path
    assert Keeping.open("mini", "").root == keeping.PROJECT


def test_what_was_written_last_is_copied_last(first: Path, drive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, name in enumerate(("z_first", "a_last")):
        put(first / RUN / name, "x")
        os.utime(first / RUN / name, ns=(0, 10**9 * (2 * 10**9 + number)))
    copied: list[str] = []
    copy = keeping._copy
    monkeypatch.setattr(keeping, "_copy", lambda source, target: (copied.append(target.name), copy(source, target)))
    of(first, drive).keep()
    assert copied[-4:] == ["z_first", "a_last", "history.jsonl", "metadata.csv"]
