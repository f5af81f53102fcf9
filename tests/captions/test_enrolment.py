"""enrolment.py: images join and leave the ledger, the machine speaks, and what a person decided stays."""

import json
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest

from caplora.captions.enrolment import captioned, update_ledger
from caplora.captions.ledger import STATUSES, LedgerError, Row, Said, read_ledger, write_ledger
from caplora.captions.open_ledger import Ledger
from caplora.review.readiness import checklist
from caplora.study.study import Study, read_study

ME = "an ink drawing of a woman"
MACHINE = "a woman with long hair, smiling"


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def study_of(tmp_path: Path, images: tuple[str, ...] = ()) -> Study:
    """A study with `images` among a person's files and, as PNG, in the dataset; the ledger is not written."""
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "study.yaml").write_text(
        "name: faces\nimages: {folder: mine}\nsampling: {development: [a], test: [b, c]}\n"
    )
    study = read_study(tmp_path / "study.yaml")
    for folder in (study.images_folder, study.dataset):
        folder.mkdir(parents=True)
    for name in images:
        (study.images_folder / name).touch()
        (study.dataset / f"{Path(name).stem}.png").touch()
    return study


def sources(*names: str) -> dict[str, str]:
    return {f"{Path(name).stem}.png": name for name in names}


def test_machine_captions_fill_pending_rows_and_no_others(tmp_path: Path) -> None:
    images = tuple(f"{status}.png" for status in STATUSES)
    touch(tmp_path, *images)
    rows = [Row(f"{status}.png", "mine", "before", status) for status in STATUSES if status != "pending"]
    write_ledger(tmp_path, [Row("pending.png"), *rows])
    after = captioned(tmp_path, dict.fromkeys(images, Said("a woman in red", "blip", "now")), ME)
    filled = Row(
        "pending.png", f"{ME} in red", "a woman in red", suggestion=f"{ME} in red", captioner="blip", captioned="now"
    )
    assert after == read_ledger(tmp_path) == [filled, *rows]


@pytest.mark.parametrize(
    ("text", "becomes", "status"),
    [
        ("{} with long hair, smiling", "{} with long hair, smiling", "pending"),
        ("", "{} with long hair, smiling", "pending"),
        ("{}, freckled, with long hair, smiling", "a photo of me, freckled, with long hair, smiling", "edited"),
        ("she, with long hair, smiling", "she, with long hair, smiling", "edited"),
        ("{} with long hair, smiling!", "a photo of me with long hair, smiling!", "edited"),
        ("{}", "a photo of me", "edited"),
    ],
)
def test_a_new_subject_rewrites_what_the_machine_worded_and_nothing_that_a_person_did(
    tmp_path: Path, text: str, becomes: str, status: str
) -> None:
    touch(tmp_path, "a.png")
    write_ledger(tmp_path, [Row("a.png")])
    (row,) = captioned(tmp_path, {"a.png": Said(MACHINE)}, "a photo of me")
    write_ledger(tmp_path, [replace(row, text=text.format("a photo of me"))])  # as a spreadsheet does
    (row,) = captioned(tmp_path, {"a.png": Said(MACHINE)}, ME)
    assert (row.text, row.status) == (becomes.format(ME), status)


@pytest.mark.parametrize("machine", ["a woman", ""])
def test_a_caption_that_is_the_subject_alone_stays_the_machines(tmp_path: Path, machine: str) -> None:
    touch(tmp_path, "a.png")
    write_ledger(tmp_path, [Row("a.png")])
    for subject in (ME, ME, "a photo of me"):
        (row,) = captioned(tmp_path, {"a.png": Said(machine)}, subject)
        assert (row.text, row.status) == (subject, "pending")


def test_new_images_join_the_ledger_and_decisions_stay(tmp_path: Path) -> None:
    study = study_of(tmp_path, ("a.jpg", "b.jpg", "c.jpg"))
    update_ledger(study, sources("a.jpg", "b.jpg"))
    ledger = Ledger(study.dataset)
    ledger.change({"a.png": replace(ledger.rows["a.png"], text="mine", status="edited")}, "edited")
    before = read_ledger(study.dataset)
    assert update_ledger(study, sources("a.jpg", "b.jpg", "c.jpg"))[:2] == before
    assert [row.file_name for row in read_ledger(study.dataset)] == ["a.png", "b.png", "c.png"]
    assert update_ledger(study, sources("a.jpg")) == read_ledger(study.dataset)  # a limited run forgets nobody
    assert len(read_ledger(study.dataset)) == 3


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("how", ["deleted", "refused"])
def test_the_row_of_a_gone_image_goes_unless_its_caption_is_a_persons(tmp_path: Path, status: str, how: str) -> None:
    study = study_of(tmp_path, ("a.jpg", "b.jpg"))
    write_ledger(study.dataset, [Row("a.png", "mine", "m", status, "train", "a.jpg"), Row("b.png", source="b.jpg")])
    before = read_ledger(study.dataset)
    refused = ["a.jpg"] if how == "refused" else []
    if how == "deleted":
        (study.images_folder / "a.jpg").unlink()
    if status in ("kept", "edited"):
        with pytest.raises(LedgerError, match=r"a\.jpg is gone or refused.*put the image back, or delete that row"):
            update_ledger(study, sources("b.jpg"), refused)
        assert read_ledger(study.dataset) == before
    else:
        assert update_ledger(study, sources("b.jpg"), refused) == before[1:]
        assert not (study.dataset / "a.png").exists()


def test_no_usable_image_is_an_error_that_points_at_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"refused\.csv"):
        update_ledger(study_of(tmp_path), {}, ["a.jpg"])


@pytest.mark.fault(15)
def test_captions_json_is_a_persons_own_words_until_the_ledger_has_them(tmp_path: Path) -> None:
    study = study_of(tmp_path, ("배우.jpg", "b.jpg"))
    path = study.images_folder / "captions.json"
    path.write_text(json.dumps({unicodedata.normalize("NFD", "배우.jpg"): "long hair, 긴 머리"}), encoding="utf-8-sig")
    rows = update_ledger(study, sources("배우.jpg", "b.jpg"))
    assert [(row.text, row.status) for row in rows] == [("long hair, 긴 머리", "edited"), ("", "pending")]
    path.write_text(json.dumps({"배우.jpg": "another"}))
    assert update_ledger(study, sources("배우.jpg", "b.jpg")) == rows


@pytest.mark.fault(13)
def test_captions_of_images_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    study = study_of(tmp_path, ("a.jpg",))
    (study.images_folder / "captions.json").write_text('{"a.jpg": "me", "z.jpg": "who?"}')
    with pytest.raises(LedgerError, match=r"captions\.json: there is no image 'z\.jpg' \(1 such names\)"):
        update_ledger(study, sources("a.jpg"))


def test_words_replaced_in_the_studio_outlive_the_captioner_and_stay_pending(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    write_ledger(tmp_path, [Row("a.png")])
    captioned(tmp_path, {"a.png": Said(MACHINE)}, ME)
    ledger = Ledger(tmp_path, who="mina")
    ledger.change({"a.png": replace(ledger.rows["a.png"], text=f"{ME}, laughing")}, "'smiling' → 'laughing'")
    (row,) = captioned(tmp_path, {"a.png": Said("another caption")}, ME)
    assert (row.text, row.status, row.machine_text) == (f"{ME}, laughing", "pending", "another caption")


def test_a_persons_caption_never_moves_to_another_picture_of_the_same_name(tmp_path: Path) -> None:
    study = study_of(tmp_path, ("a.jpg", "b.jpg"))
    update_ledger(study, sources("a.jpg", "b.jpg"))
    ledger = Ledger(study.dataset, who="mina")
    ledger.change({"a.png": replace(ledger.rows["a.png"], text="mine", status="edited")}, "edited")
    (study.images_folder / "0").mkdir()
    (study.images_folder / "0" / "a.jpg").touch()
    now = {"a.png": "0/a.jpg", "b.png": "b.jpg"}
    with pytest.raises(LedgerError, match=r"your caption of it \(a\.png, edited\).*0/a\.jpg has its name now"):
        update_ledger(study, now, ["a.jpg"])
    ledger.undo()
    assert {row.file_name: (row.source, row.status) for row in update_ledger(study, now, ["a.jpg"])} == {
        "b.png": ("b.jpg", "pending"),
        "a.png": ("0/a.jpg", "pending"),
    }
    (study.images_folder / "0" / "a.jpg").rename(study.images_folder / "0" / "c.jpg")  # moved: the caption goes with it
    rows = {row.file_name: row for row in update_ledger(study, {"a.png": "0/c.jpg", "b.png": "b.jpg"})}
    assert rows["a.png"].source == "0/c.jpg"
    assert (study.dataset / "a.png").exists()


def test_own_words_never_replace_what_a_person_changed_in_the_ledger(tmp_path: Path) -> None:
    study = study_of(tmp_path, ("a.jpg",))
    update_ledger(study, sources("a.jpg"))
    write_ledger(study.dataset, [replace(row, text="from a spreadsheet") for row in read_ledger(study.dataset)])
    (study.images_folder / "captions.json").write_text('{"a.jpg": "another"}')
    assert [row.text for row in update_ledger(study, sources("a.jpg"))] == ["from a spreadsheet"]


def test_near_duplicates_are_held_out_together_or_trained_on_together(tmp_path: Path) -> None:
    names = tuple(f"{letter}{k}.jpg" for letter in "abcdefgh" for k in range(3))  # eight bursts of three
    study, clusters = study_of(tmp_path, names), {f"{name[:2]}.png": "abcdefgh".index(name[0]) + 1 for name in names}
    apart = {row.file_name: row.split for row in update_ledger(study_of(tmp_path / "apart", names), sources(*names))}
    assert any(len({apart[f"{letter}{k}.png"] for k in range(3)}) == 2 for letter in "abcdefgh")  # what would be a leak
    rows = update_ledger(study, sources(*names), clusters=clusters)
    splits = {row.file_name: row.split for row in rows}
    assert all(len({splits[f"{letter}{k}.png"] for k in range(3)}) == 1 for letter in "abcdefgh")
    assert [*splits.values()].count("held_out") == 3  # one burst: nearest to 0.17 of 24
    checks = checklist([replace(row, text=row.file_name) for row in rows], [], clusters)
    assert checks.set_index("item").loc["leaks", "state"] == "green"


@pytest.mark.fault(10)
def test_a_leak_in_a_ledger_is_mended_unless_a_person_chose_the_splits(tmp_path: Path) -> None:
    study, names = study_of(tmp_path, tuple(f"{k}.jpg" for k in range(12))), sources(*(f"{k}.jpg" for k in range(12)))
    before = {row.file_name: row.split for row in update_ledger(study, names)}
    held, other, *trained = sorted(before, key=lambda name: before[name])
    alike = {held: 1, trained[0]: 1, other: 2, trained[1]: 2}
    ledger = Ledger(study.dataset, who="mina")
    ledger.change({trained[1]: replace(ledger.rows[trained[1]], split="held_out")}, "by hand")
    ledger.change({trained[1]: replace(ledger.rows[trained[1]], split="train")}, "by hand")
    after = {row.file_name: row.split for row in update_ledger(study, names, clusters=alike)}
    assert (after[held], after[trained[0]]) == ("held_out", "held_out")
    assert (after[other], after[trained[1]]) == ("train", "train")
    assert {name: after[name] for name in trained[2:]} == {name: before[name] for name in trained[2:]}
    assert {row.file_name: row.split for row in update_ledger(study, names, clusters=alike)} == after
