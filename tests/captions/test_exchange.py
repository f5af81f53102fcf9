"""exchange.py, matching.py: captions come back the same in every form; sources that disagree are both shown."""

import json
import os
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from caplora.captions.exchange import read_captions, write_captions
from caplora.captions.ledger import LedgerError, Row, read_ledger, write_ledger
from caplora.captions.matching import compared, disagreements, imported, own_words

FORMS = ("captions.json", "metadata.jsonl", "all.csv", "sidecars")
WHOLE = ("metadata.jsonl", "all.csv")  # forms that hold every column
awkward = st.text(max_size=60) | st.sampled_from(
    [
        'a, "b"\r\nc',
        "\ufeff",
        "\ufeffbom",
        "=1+1",
        "머리, 긴",
        " a ",
        "\r",
        "\n",
        '"',
        "\u2028",
        "é",
        "e\u0301",
        "😀",
        "a\tb;c",
    ]
)
names = st.text(st.characters(exclude_characters="/\\\0", exclude_categories=("Cs",)), min_size=1, max_size=30).map(
    lambda stem: unicodedata.normalize("NFC", f"_{stem}.png")
)


def alike(name: str) -> str:
    """What names have in common that some disks and people take for the same."""
    return unicodedata.normalize("NFKD", name).casefold()


def rows_of(pairs: list[tuple[str, str]]) -> list[Row]:
    statuses = ("pending", "kept", "edited", "rejected")
    return [
        Row(name, text, f"{text}!", statuses[i % 4], "train", f"mine/{name}", text, reason=text, licence=text)
        for i, (name, text) in enumerate(pairs)
    ]


@pytest.mark.fault(14)
@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None, max_examples=60)
@given(
    pairs=st.lists(
        st.tuples(names, awkward), max_size=4, unique_by=lambda p: unicodedata.normalize("NFKD", p[0]).casefold()
    )
)
def test_out_and_back_is_the_identity_and_imported_captions_are_in_one_line(
    form: str, pairs: list[tuple[str, str]]
) -> None:
    rows = rows_of(pairs)
    with TemporaryDirectory() as place:
        path = Path(place, form if form != "sidecars" else "out")
        write_captions(rows, path)
        if not rows and form == "sidecars":
            return
        given = read_captions(path)
    bare = {row.file_name if form != "sidecars" else row.file_name.removesuffix(".png"): row for row in rows}
    assert {cells["file_name"]: cells["text"] for cells in given} == {name: row.text for name, row in bare.items()}
    if form in WHOLE:
        assert [Row(**cells) for cells in given] == rows
    others = {row.file_name: Row(row.file_name, "other words", source=row.source) for row in rows}
    new = imported(others, given, form)
    assert {name: row.text for name, row in new.items() if row.text != "other words"} == {
        row.file_name: " ".join(row.text.split()) for row in rows if row.text.strip()
    }
    assert imported({row.file_name: row for row in rows}, given, form) == {}


SCRIPT = """
import sys
from pathlib import Path
from caplora.captions.ledger import read_ledger
from caplora.captions.ledger import write_ledger
from caplora.captions.exchange import read_captions
from caplora.captions.exchange import write_captions
folder = Path(sys.argv[1])
rows = read_ledger(folder)
for form in ("captions.json", "metadata.jsonl", "all.csv", "sidecars"):
    path = folder.parent / form
    write_captions(rows, path)
    read = [cells["text"] for cells in read_captions(path)]
    assert sorted(read) == sorted(row.text for row in rows), form
write_ledger(folder, rows)
"""


@pytest.mark.fault(14)
@pytest.mark.parametrize(
    ("name", "more"), [("배우", {}), ("a", {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})], ids=["C", "ASCII"]
)
def test_the_locale_of_the_machine_changes_nothing(tmp_path: Path, name: str, more: dict[str, str]) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    rows = [
        Row(f"{name}.png", "긴 머리, smiling 😀", "\x85 é", source=f"{name}.jpg"),
        Row("b.png", "a\r\nb", source="b.jpg"),
    ]
    for row in rows:
        (folder / row.file_name).touch()
    write_ledger(folder, rows)
    subprocess.run([sys.executable, "-c", SCRIPT, folder], check=True, env=os.environ | {"LC_ALL": "C"} | more)
    assert read_ledger(folder) == rows


@pytest.mark.fault(14)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_other_peoples_csv_is_read(tmp_path: Path, encoding: str, delimiter: str) -> None:
    head = delimiter.join(["image", "blip_caption", "corrected_caption", "width"])
    lines = [head, delimiter.join(["배우.jpg", "a woman", '"긴 머리, ""red"""', "512"]), ""]
    path = tmp_path / "metadata_example.csv"
    path.write_bytes("\r\n".join(lines).encode(encoding))
    assert read_captions(path) == [{"file_name": "배우.jpg", "machine_text": "a woman", "text": '긴 머리, "red"'}]


def test_an_imported_caption_is_a_persons(tmp_path: Path) -> None:
    rows = {"a.png": Row("a.png", "me", source="faces/a.jpg"), "b.png": Row("b.png", "me too", source="b.jpg")}
    path = tmp_path / "captions.json"
    path.write_text(json.dumps({"faces/a.jpg": "me in red", "b.jpg": "me too"}))
    assert imported(rows, read_captions(path), "captions.json") == {
        "a.png": replace(rows["a.png"], text="me in red", status="edited")
    }
    assert imported(rows, [{"file_name": "a.png", "text": " "}], "x", partial=True) == {}


def test_of_two_pictures_of_one_name_each_gets_its_own_words(tmp_path: Path) -> None:
    for name in ("x/a.jpg", "y/a.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
        (tmp_path / name).with_suffix(".txt").write_text(f"caption of {name}")
    assert own_words(tmp_path) == {"x/a.jpg": "caption of x/a.jpg", "y/a.jpg": "caption of y/a.jpg"}
    (tmp_path / "x/a.txt").unlink()
    assert own_words(tmp_path) == {"y/a.jpg": "caption of y/a.jpg"}
    (tmp_path / "captions.json").write_text('{"a.jpg": "whose?"}')
    with pytest.raises(LedgerError, match=r"'a\.jpg' may be x/a\.jpg and y/a\.jpg: write its folder"):
        own_words(tmp_path)


def test_two_captions_of_one_row_are_not_silently_one() -> None:
    given = [{"file_name": "a.jpg", "text": "one"}, {"file_name": "a.png", "text": "two"}]
    with pytest.raises(LedgerError, match=r"'a\.jpg' and 'a\.png' are both of a\.png: leave one"):
        imported({"a.png": Row("a.png", source="a.jpg")}, given, "x")


def test_an_older_export_undoes_no_decision() -> None:
    now = Row("a.png", "mine", status="edited", source="a.jpg", consent="signed")
    old = {"file_name": "a.png", "text": "mine", "status": "pending", "consent": ""}
    assert imported({"a.png": now}, [old], "x") == {}
    assert imported({"a.png": now}, [old | {"text": "new"}], "x") == {"a.png": replace(now, text="new")}


@pytest.mark.fault(13)
def test_what_only_one_side_has_is_listed_both_ways() -> None:
    rows = {name: Row(name) for name in ("a.png", "b.png")}
    given = [{"file_name": "b.png", "text": "b"}, {"file_name": "z.png", "text": "z"}]
    with pytest.raises(LedgerError, match=r"only in captions\.json: 'z\.png'; only in metadata\.csv: 'a\.png'"):
        imported(rows, given, "captions.json")
    with pytest.raises(LedgerError, match=r"only in x: none; only in metadata\.csv: 'a\.png'.*--partial"):
        imported(rows, given[:1], "x")
    assert [*imported(rows, given[:1], "x", partial=True)] == ["b.png"]
    assert compared(rows, given, "theirs").fillna("–").values.tolist() == [
        ["a.png", "", "–"],
        ["b.png", "", "b"],
        ["z.png", "–", "z"],
    ]
    table = disagreements({"a": "1", "b": "2"}, {"b": "3", "c": "4"}, ("mine", "theirs"))
    assert table.fillna("–").values.tolist() == [["a", "1", "–"], ["b", "2", "3"], ["c", "–", "4"]]


@pytest.mark.fault(31)
@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "..\\a.png", "C:\\a.png"])
def test_a_name_that_leads_out_finds_only_an_image_of_the_ledger(tmp_path: Path, name: str) -> None:
    with pytest.raises(LedgerError, match="only in x"):
        imported({"b.png": Row("b.png")}, [{"file_name": name, "text": "me"}], "x", partial=True)


def test_own_words_come_from_any_form_that_people_have(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.jpg", "sub/b.v2.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "a.txt").write_text("me, smiling", encoding="utf-8-sig")
    (tmp_path / "sub/b.v2.txt").write_bytes("긴 머리".encode("cp949"))
    (tmp_path / "README.txt").write_text("not a caption")
    words = {"a.jpg": "me, smiling", "sub/b.v2.jpg": "긴 머리"}
    assert own_words(tmp_path) == words
    (tmp_path / "metadata.jsonl").write_text(
        "".join(json.dumps({"file_name": k, "text": v}) + "\n" for k, v in words.items())
    )
    assert own_words(tmp_path) == words
    (tmp_path / "a.caption").write_text(" \n")  # empty words disagree with none
    (tmp_path / "captions.json").write_text(json.dumps({"a.jpg": "", "sub/b.v2.jpg": "긴 머리"}))
    assert own_words(tmp_path) == words
    (tmp_path / "a.caption").write_text("me, serious")
    with pytest.raises(LedgerError, match=r"a\.txt: another file of the same name says 'me, serious': leave one"):
        own_words(tmp_path)
    (tmp_path / "a.caption").write_text("me,\nsmiling\n")
    assert own_words(tmp_path) == words
    (tmp_path / "captions.json").write_text(json.dumps({"a.jpg": "me, serious"}))
    with pytest.raises(LedgerError, match=r"disagree about 2 images:\n  a\.jpg: 'me, serious' in captions\.json"):
        own_words(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("captions.json", "[]", "got list"),
        ("captions.json", "{", "cannot be read"),
        ("captions.json", '{"a.jpg": 3}', "'a.jpg' must be words, got 3"),
        ("captions.json", '{"a.jpg": ["b", "c"]}', "'a.jpg' must be words, got "),
        ("captions.json", '{"a.jpg": {"width": 3}}', "'a.jpg': a column of file names .* got width, file_name"),
        ("meta_cap.json", '{"a.jpg": {"caption": 3}}', "'a.jpg': text must be text, got 3"),
        ("m.jsonl", "3", "line 1 must be an object, got 3"),
        ("captions.json", '{"a.jpg": "b", "a.jpg": "c"}', "'a.jpg' stands twice"),
        ("m.jsonl", '{"file_name": "a.jpg"}', "line 1: a column of file names .* got file_name"),
        ("m.jsonl", '\n{"file_name": "a.jpg", "text": 3}', "line 2: text must be text, got 3"),
        ("captions.json", "[" * 100_000, "cannot be read"),
        ("meta_cap.json", '{"a.jpg": {"tags": {"x": 0.9}}}', "'a.jpg': tags must be text, got "),
        ("meta_cap.json", '{"a.jpg": {"tags": 3}}', "'a.jpg': tags must be text, got 3"),
        ("meta_cap.json", '{"a.jpg": {"tags": ["b", 3]}}', "'a.jpg': tags must be text, got 3"),
        ("meta_cap.json", '{"a.jpg": {"caption": 3, "tags": "b"}}', "'a.jpg': caption must be text, got 3"),
        ("meta_cap.json", '{"a.jpg": {"caption": "b", "caption": "c"}}', "'a.jpg': 'caption' stands twice"),
        ("captions.json", '[{"image": "a.jpg", "text": "b", "text": "c"}]', "record 1: 'text' stands twice"),
        ("m.jsonl", '{"image": "a.jpg", "text": "b", "text": "c"}', "line 1: 'text' stands twice"),
        ("m.jsonl", '{"image": "a.jpg", "tags": {"b": 1}}', "line 1: tags must be text, got "),
        ("m.csv", "name,words\n", "a column of file names .*got name, words"),
        ("m.csv", "file_name,text\na.jpg,red, long\n", "row 2: 2 cells are needed, got 3"),
        ("m.xlsx", "", r"captions are read from \.json"),
    ],
)
def test_other_content_is_an_error_that_names_the_file(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(LedgerError, match=rf"{name}.*{says}"):
        read_captions(tmp_path / name)


def test_an_unknown_ending_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"captions are written as \.json"):
        write_captions([], tmp_path / "a.xlsx")


def test_a_list_of_records_is_read_as_a_table_with_the_columns_of_other_tools(tmp_path: Path) -> None:
    file = tmp_path / "captions.json"
    records = [
        {"image": "a.png", "blip_caption": "arafed woman", "corrected": "a woman", "width": 512},
        {"image": "b.png", "blip_caption": "a man", "corrected": None, "width": 512},
    ]
    file.write_text(json.dumps(records), encoding="utf-8")
    assert read_captions(file) == [
        {"file_name": "a.png", "text": "a woman", "machine_text": "arafed woman"},
        {"file_name": "b.png", "text": "", "machine_text": "a man"},
    ]
    for wrong, said in (
        ([{"image": "a.png"}], r"record 1: a column of file names .* got image"),
        ([{"image": "a.png", "caption": 3}], r"record 1: text must be text, got 3"),
        ([{"image": "a.png", "caption": "b"}, "c"], "must hold .*got list"),
    ):
        file.write_text(json.dumps(wrong), encoding="utf-8")
        with pytest.raises(LedgerError, match=said):
            read_captions(file)


def test_only_pictures_have_captions_whatever_lies_beside_them(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "photo", "PNG")  # a picture by what it holds
    for name in ("a.png", "broken.JPG"):
        (tmp_path / name).touch()
    for name in ("a.npz", "a.json", "a.pdf", "README.md", "b.safetensors"):
        (tmp_path / name).write_text("no picture")
    (tmp_path / "a").mkdir()
    for name in ("a", "broken", "photo", "README", "b"):
        (tmp_path / f"{name}.txt").write_text(name)
    assert own_words(tmp_path) == {"a.png": "a", "broken.JPG": "broken", "photo": "photo"}


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("meta_cap.json", {"a.png": {"caption": "a woman", "tags": "red hair, smiling"}}, "a woman, red hair, smiling"),
        ("meta_cap.json", {"/data/faces/a.png": {"tags": ["1girl", "red hair"]}}, "1girl, red hair"),
        ("meta_cap.json", {"C:\\faces\\a": {"caption": "a woman", "train_resolution": [512, 512]}}, "a woman"),
        ("captions.json", {"a.png": {"text": "a woman"}}, "a woman"),
        ("captions.json", [{"image": "a.png", "caption": "a woman"}], "a woman"),
        ("captions.jsonl", {"image": "a.png", "caption": "a woman", "id": 7}, "a woman"),
        ("captions.jsonl", {"image": "a.png", "caption": "a woman", "tags": ["red hair"]}, "a woman, red hair"),
        ("captions.json", [{"image": "a.png", "tags": "red hair"}], "red hair"),
        ("captions.json", [{"image": "a.png", "text": "a woman", "tags": ["red hair"]}], "a woman"),
        ("captions.json", [{"image": "a.png", "text": None, "tags": ["red hair"]}], "red hair"),
        ("captions.json", {"a.png": "a woman\nred hair\r\n"}, "a woman red hair"),
        ("a.txt", "a woman,\n  red hair\n\n", "a woman, red hair"),
        ("a.caption", "a woman\n", "a woman"),
    ],
)
def test_captions_in_the_forms_of_other_trainers_are_own_words_in_one_line(
    tmp_path: Path, name: str, content: object, text: str
) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    assert own_words(tmp_path) == {"a.png": text}
