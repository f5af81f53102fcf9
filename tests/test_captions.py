"""captions.py: the ledger loses nothing, refuses what it cannot mean, and a person's word outlives the machine's."""

import csv
import json
import unicodedata
from dataclasses import astuple, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caplora.captions import (
    COLUMNS,
    SPLITS,
    STATUSES,
    LedgerError,
    Row,
    assign_splits,
    caption_statistics,
    captioned,
    change_row,
    enrolled,
    held_out,
    read_captions_json,
    read_ledger,
    trained,
    update_ledger,
    word_counts,
    write_ledger,
)
from caplora.mini.world import caption, draw_person, draw_scene, truth
from caplora.study import Study, read_study
from caplora.wording import compose

HEADER = ",".join(COLUMNS)
ME = "an ink drawing of a woman"


def study_of(tmp_path: Path, images: tuple[str, ...] = ()) -> Study:
    """A study with `images` among a person's files and, as PNG, in the dataset; the ledger is not written."""
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


def ledger(folder: Path, *lines: str, header: str = HEADER, images: tuple[str, ...] = ("a.png", "b.png")) -> None:
    for name in images:
        (folder / name).touch()
    (folder / "metadata.csv").write_text("\r\n".join([header, *lines, ""]), encoding="utf-8", newline="")


words = st.text(max_size=60) | st.sampled_from(
    ['a, "b"\r\nc', "\ufeff", "=1+1", "머리, 긴", "a\0b", " a ", "\r", "\n", '"']
)
names = st.text(st.characters(exclude_characters="/\\\0", exclude_categories=("Cs",)), min_size=1, max_size=40).map(
    lambda stem: f"_{stem}.png"
)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(names, words, words, words), max_size=4, unique_by=lambda cells: cells[0]))
def test_any_text_survives_the_ledger(cells: list[tuple[str, str, str, str]]) -> None:
    rows = [
        Row(name, text, machine, STATUSES[i % len(STATUSES)], SPLITS[i % len(SPLITS)], source)
        for i, (name, text, machine, source) in enumerate(cells)
    ]
    with TemporaryDirectory() as folder:
        for row in rows:
            Path(folder, row.file_name).touch()
        write_ledger(Path(folder), rows)
        assert read_ledger(Path(folder)) == rows
        with Path(folder, "metadata.csv").open(encoding="utf-8", newline="") as file:
            assert [list(r.values()) for r in csv.DictReader(file)] == [list(astuple(r)) for r in rows]


def test_what_a_spreadsheet_saves_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    text = "source,split,suggestion,status,machine_text,text,file_name\r\na.jpg,train,,kept,m,긴 머리,a.png\r\n\r\n"
    (tmp_path / "metadata.csv").write_text(
        text, encoding="utf-8-sig", newline=""
    )  # with BOM, columns moved, a blank line
    assert read_ledger(tmp_path) == [Row("a.png", "긴 머리", "m", "kept", "train", "a.jpg")]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["a.png,t,m,kept,train,s,", "b.png,t,m,keep,train,s,"], r"row 3 \(b.png\): unknown status 'keep'.*kept"),
        (["a.png,t,m,kept,test,s,"], r"row 2 \(a.png\): unknown split 'test'"),
        (["a.png,t,m,kept,train,s,", "a.png,t,m,kept,train,s,"], "row 3: a.png stands twice"),
        (["c.png,t,m,kept,train,s,"], r"row 2 \(c.png\): there is no such image"),
        (["a.png,red, long hair,m,kept,train,s,"], "row 2: 7 cells are needed, got 8"),
        (['a.png,"t'], "cannot be read"),
    ],
)
def test_a_bad_row_is_an_error_that_names_file_and_row(tmp_path: Path, lines: list[str], says: str) -> None:
    ledger(tmp_path, *lines)
    with pytest.raises(LedgerError, match=rf"metadata\.csv.*{says}"):
        read_ledger(tmp_path)


@pytest.mark.parametrize(
    "header", ["file_name,text,machine_text,status,split", HEADER + ",notes", "", HEADER.replace(",", ";")]
)
def test_a_missing_or_unknown_column_is_an_error_that_names_the_columns(tmp_path: Path, header: str) -> None:
    ledger(tmp_path, header=header)
    with pytest.raises(LedgerError, match=r"metadata\.csv: the columns must be file_name, text"):
        read_ledger(tmp_path)


def test_a_ledger_in_another_encoding_says_how_to_save_it(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text(f"{HEADER}\r\na.png,긴 머리,,kept,train,,\r\n", encoding="cp949")
    with pytest.raises(LedgerError, match="save it as “CSV UTF-8”"):
        read_ledger(tmp_path)


def test_a_missing_ledger_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="run 01_data_captioning"):
        read_ledger(tmp_path)


@pytest.mark.parametrize(
    "name", ["../out.png", "sub/../../out.png", "{out}", "..\\out.png", "C:\\out.png", "link.png", "a\0.png"]
)
def test_a_file_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "out.png").touch()
    (folder / "link.png").symlink_to(tmp_path / "out.png")
    ledger(folder, f"{name.format(out=tmp_path / 'out.png')},t,m,kept,train,s,")
    with pytest.raises(LedgerError, match=r"row 2 .*must lie in"):
        read_ledger(folder)


def test_a_failed_write_leaves_the_ledger_before_it(tmp_path: Path) -> None:
    ledger(tmp_path, "a.png,t,m,kept,train,s,")
    before = (tmp_path / "metadata.csv").read_bytes()
    with pytest.raises(UnicodeEncodeError):
        write_ledger(tmp_path, [Row("a.png", "\ud800")])
    assert (tmp_path / "metadata.csv").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png", "metadata.csv"]


def test_changing_a_row_leaves_the_others_as_they_are_on_disk(tmp_path: Path) -> None:
    ledger(tmp_path, "a.png,t,m,kept,train,s,", "b.png,t,m,kept,train,s,")
    row = change_row(tmp_path, "b.png", lambda now: Row(now.file_name, "new", "m", "edited", "train", "s"))
    assert [r.text for r in read_ledger(tmp_path)] == ["t", "new"]
    assert row.status == "edited"
    with pytest.raises(LedgerError, match=r"no row for c\.png"):
        change_row(tmp_path, "c.png", lambda now: now)


@given(st.sets(st.text(max_size=8)), st.sets(st.text(max_size=8)), st.floats(0, 0.99))
def test_the_share_is_held_out_and_images_that_join_move_none(some: set[str], more: set[str], share: float) -> None:
    splits = assign_splits(some, share)
    count = list(splits.values()).count("held_out")
    assert splits == assign_splits(sorted(some, reverse=True), share)
    assert count == 0 if len(some) < 2 or share == 0 else 1 <= count < len(some)
    assert abs(count - share * len(some)) <= 1
    larger = assign_splits(more, share, splits)
    assert larger.keys() == some | more
    assert all(larger[name] == split for name, split in splits.items())


def test_a_hundred_and_twenty_portraits_give_a_hundred_to_train_on() -> None:
    splits = assign_splits([f"portrait_{i:03}.png" for i in range(1, 121)], 0.17)
    held = [name for name, split in splits.items() if split == "held_out"]
    assert len(held) == 20
    assert held != sorted(splits)[:20]  # by hash, not the first that come


def test_a_split_once_given_is_never_changed() -> None:
    first = enrolled([], sources(*(f"{i}.jpg" for i in range(20))), 0.2)
    turned = [Row(r.file_name, split="train" if r.split == "held_out" else "held_out", source=r.source) for r in first]
    assert enrolled(turned, sources(*(f"{i}.jpg" for i in range(40))), 0.2)[:20] == turned


@pytest.mark.parametrize(
    ("machine", "text"),
    [
        ("a pencil drawing of a lady with red hair , in a t - shirt", f"{ME} with red hair, in a t-shirt"),
        ("arafed image of a young lady in a white dress", f"{ME} in a white dress"),
        ("there is a man that is standing in front of a wall", f"{ME} standing in front of a wall"),
        ("there is a woman that has short hair", f"{ME} with short hair"),
        ("a close up of a person", ME),
        ("a close up of a person wearing a hat", f"{ME} wearing a hat"),
        ("a painting in oil of a gentleman, serious", f"{ME}, serious"),
        ("a black and white photo of a woman ' s face with freckles", f"{ME} with freckles"),
        ("smiling woman with red red hair and a hat and a hat and a hat", f"{ME}, smiling, with red hair and a hat"),
        ("a beautiful young white - haired woman in a dress", f"{ME}, white-haired, in a dress"),
        ("a man standing in front of a woman", f"{ME} standing in front of a woman"),
        ("two women on a bench", f"{ME}, two women on a bench"),
        ("a man and a woman sitting", f"{ME}, a man and a woman sitting"),
        ("a painting of flowers", f"{ME}, a painting of flowers"),
        ("", ME),
    ],
)  # fmt: skip
def test_the_subject_takes_the_place_of_the_machines_opening(machine: str, text: str) -> None:
    assert compose(machine, ME) == text
    assert compose(text, ME) == text


def test_no_attribute_of_the_portrait_world_is_lost_or_kept_twice() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        attributes = truth(draw_person(rng), draw_scene(rng))
        plain = caption(attributes)
        said = plain.replace("-", " - ").replace(",", " ,")  # as a word-piece tokenizer gives it back
        assert compose(said, ME) == f"{ME} with {plain.partition(' with ')[2]}"


@given(st.text(max_size=80))
def test_every_composed_caption_starts_with_the_subject(machine: str) -> None:
    assert compose(machine, ME).startswith(ME)


def test_machine_captions_fill_pending_rows_and_no_others(tmp_path: Path) -> None:
    images = tuple(f"{status}.png" for status in STATUSES)
    ledger(tmp_path, images=images)
    rows = [Row(f"{status}.png", "mine", "before", status) for status in STATUSES if status != "pending"]
    write_ledger(tmp_path, [Row("pending.png"), *rows])
    after = captioned(tmp_path, dict.fromkeys(images, "a woman in red"), ME)
    filled = Row("pending.png", f"{ME} in red", "a woman in red", suggestion=f"{ME} in red")
    assert after == read_ledger(tmp_path) == [filled, *rows]


MACHINE = "a woman with long hair, smiling"


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
    ledger(tmp_path, images=("a.png",))
    write_ledger(tmp_path, [Row("a.png")])
    (row,) = captioned(tmp_path, {"a.png": MACHINE}, "a photo of me")
    write_ledger(tmp_path, [replace(row, text=text.format("a photo of me"))])  # as a spreadsheet does
    (row,) = captioned(tmp_path, {"a.png": MACHINE}, ME)
    assert (row.text, row.status) == (becomes.format(ME), status)


@pytest.mark.parametrize("machine", ["a woman", ""])
def test_a_caption_that_is_the_subject_alone_stays_the_machines(tmp_path: Path, machine: str) -> None:
    ledger(tmp_path, images=("a.png",))
    write_ledger(tmp_path, [Row("a.png")])
    for subject in (ME, ME, "a photo of me"):
        (row,) = captioned(tmp_path, {"a.png": machine}, subject)
        assert (row.text, row.status) == (subject, "pending")


def test_new_images_join_the_ledger_and_decisions_stay(tmp_path: Path) -> None:
    study = study_of(tmp_path, ("a.jpg", "b.jpg", "c.jpg"))
    update_ledger(study, sources("a.jpg", "b.jpg"))
    change_row(study.dataset, "a.png", lambda row: Row("a.png", "mine", "m", "edited", row.split, "a.jpg"))
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


def test_captions_json_is_a_persons_own_words_until_the_ledger_has_them(tmp_path: Path) -> None:
    study = study_of(tmp_path, ("배우.jpg", "b.jpg"))
    path = study.images_folder / "captions.json"
    path.write_text(json.dumps({unicodedata.normalize("NFD", "배우.jpg"): "long hair, 긴 머리"}), encoding="utf-8-sig")
    rows = update_ledger(study, sources("배우.jpg", "b.jpg"))
    assert [(row.text, row.status) for row in rows] == [("long hair, 긴 머리", "edited"), ("", "pending")]
    path.write_text(json.dumps({"배우.jpg": "another"}))
    assert update_ledger(study, sources("배우.jpg", "b.jpg")) == rows


def test_captions_of_images_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    study = study_of(tmp_path, ("a.jpg",))
    (study.images_folder / "captions.json").write_text('{"a.jpg": "me", "z.jpg": "who?"}')
    with pytest.raises(LedgerError, match=r"captions\.json: there is no image 'z\.jpg' \(1 such names\)"):
        update_ledger(study, sources("a.jpg"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[]", "got list"),
        ("{", "cannot be read"),
        ('{"a.jpg": 3}', "'a.jpg' must be words, got 3"),
        ('{"a.jpg": " "}', "must be words"),
        ('{"a.jpg": {"text": "b"}}', "must be words"),
        ('{"a.jpg": "b", "a.jpg": "c"}', "'a.jpg' stands twice"),
    ],
)
def test_a_captions_json_of_other_content_is_an_error(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "captions.json").write_text(content)
    with pytest.raises(LedgerError, match=rf"captions\.json.*{says}"):
        read_captions_json(tmp_path / "captions.json")


def test_rejected_rows_are_neither_trained_on_nor_held_out() -> None:
    rows = [Row(f"{status}-{split}.png", "t", "m", status, split) for status in STATUSES for split in SPLITS]
    assert [r.file_name for r in trained(rows)] == ["pending-train.png", "kept-train.png", "edited-train.png"]
    assert [r.file_name for r in held_out(rows)] == ["pending-held_out.png", "kept-held_out.png", "edited-held_out.png"]


def test_nothing_is_trained_without_a_caption() -> None:
    with pytest.raises(LedgerError, match=r"a\.png has no caption"):
        trained([Row("a.png", " \n")])


def test_statistics_count_words_and_the_captions_that_have_them() -> None:
    rows = [Row("a.png", "red hair, a red t-shirt"), Row("b.png", "with red hair"), Row("c.png")]
    assert caption_statistics(rows)["words"].tolist() == [5, 3, 0]
    counts = word_counts([row.text for row in rows], commonest=2)
    assert counts.to_dict("list") == {"word": ["hair", "red"], "captions": [2, 2]}


def test_the_examples_in_datasets_have_the_structure_they_show() -> None:
    folder = Path(__file__).parents[1] / "datasets"
    captions = read_captions_json(folder / "captions_example.json")
    with (folder / "metadata_example.csv").open(encoding="utf-8", newline="") as file:
        rows = [Row(**cells) for cells in csv.DictReader(file)]
    assert rows
    assert all(row.status in STATUSES and row.split in SPLITS for row in rows)
    assert all(compose(row.machine_text, ME) == row.text for row in rows if row.status in ("pending", "kept"))
    assert captions == {row.source: row.text for row in rows if row.status != "rejected"}
