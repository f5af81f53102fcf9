"""studio.py: what the widget shows and does, spoken to as its front end does; and that all text stays text."""

import gc
import json
import weakref
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from caplora.captions.ledger import LEDGER, LedgerError, Row, read_ledger, write_ledger
from caplora.review.static_table import html_table, jpeg
from caplora.review.studio import Studio
from caplora.study.files import only_writer
from tests.review.test_review import checks

PAYLOAD = "<img src=x onerror=alert(1)>"
QUOTED = "'\"><img src=x onerror=alert(1)>.png"


class Tags(HTMLParser):
    """The tags and attributes in a piece of HTML, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, name in enumerate(("a.png", "b.png", QUOTED)):
        Image.fromarray(np.full((96, 96, 3), 80 * i, np.uint8)).save(tmp_path / name)
    rows = [
        Row("a.png", "me, smiling", "a smiling woman", "pending", "train", "a.jpg", "me, smiling"),
        Row("b.png", "me in red", "a woman in red", "pending", "held_out", "b.jpg", "me in red"),
        Row(QUOTED, f"me {PAYLOAD}", f"a woman {PAYLOAD}", "pending", "train", "c.jpg", f"me {PAYLOAD}"),
    ]
    write_ledger(tmp_path, rows)
    return tmp_path


@pytest.fixture
def studio(folder: Path) -> Studio:
    return Studio(folder, checks({"a.png": 0.31}), who="mina")


def do(studio: Studio, what: str, name: str = "", **more: Any) -> dict[str, Any]:
    """Send what the front end sends; the view after it."""
    studio._received(studio, {"do": what, "name": name, **more}, [])
    return studio.view


def status(studio: Studio) -> dict[str, str]:
    return {row.file_name: row.status for row in read_ledger(studio.folder)}


def test_the_view_shows_the_card_and_every_mark(studio: Studio) -> None:
    view = do(studio, "go", value="a.png")
    assert [name for name, _, _ in view["marks"]] == ["a.png", "b.png", QUOTED]
    card = view["card"]
    assert (card["file_name"], card["tokens"], card["limit"], card["agreement"]) == ("a.png", 2, 4, 0.31)
    assert "".join(words for kind, words in card["pieces"] if kind != "new") == "a smiling woman"
    assert view["progress"]["total"] == 3


def test_a_deed_names_its_image_so_a_late_one_cannot_change_another(studio: Studio) -> None:
    do(studio, "go", value="b.png")
    view = do(studio, "keep", "a.png", text="me, serious")
    rows = {row.file_name: row for row in read_ledger(studio.folder)}
    assert (rows["a.png"].text, rows["a.png"].status) == ("me, serious", "edited")
    assert (rows["b.png"].text, rows["b.png"].status) == ("me in red", "pending")
    assert view["saved"].startswith("saved")


def test_undo_and_redo_are_offered_in_words(studio: Studio) -> None:
    view = do(studio, "reject", "a.png", value="blink")
    assert view["undo"] == "rejected: a.png"
    assert do(studio, "undo")["redo"] == "rejected: a.png"
    assert status(studio)["a.png"] == "pending"
    assert do(studio, "redo")["redo"] == ""
    assert status(studio)["a.png"] == "rejected"


def test_what_cannot_be_done_is_said_and_changes_nothing(studio: Studio) -> None:
    before = (studio.folder / LEDGER).read_bytes()
    assert do(studio, "keep", "a.png", text=" ")["saved"] == (
        "not done: a caption needs words: write some, or reject the image"
    )
    assert "no field 'colour'" in do(studio, "filter", value="colour:red")["saved"]
    assert "regular expression" in do(studio, "replace", find="(", into="", regex=True)["saved"]
    assert (studio.folder / LEDGER).read_bytes() == before
    (studio.folder / LEDGER).unlink()
    assert do(studio, "keep", "a.png", text="me")["saved"].startswith("not done")
    assert not (studio.folder / LEDGER).exists()


def test_opening_decides_nothing(folder: Path) -> None:
    before = (folder / LEDGER).read_bytes()
    Studio(folder, checks())
    assert (folder / LEDGER).read_bytes() == before


def test_a_studio_in_another_place_is_told_and_only_looks(folder: Path) -> None:
    with only_writer(folder / LEDGER):
        second = Studio(folder, checks())
        assert "Another studio is open here" in second.view["told"]
        assert do(second, "go", value="b.png")["card"]["file_name"] == "b.png"
        assert do(second, "keep", "a.png", text="me")["saved"].startswith("not done: Another studio")
    assert set(status(second).values()) == {"pending"}


def test_opening_it_again_in_one_kernel_hands_the_ledger_on(studio: Studio) -> None:
    again = Studio(studio.folder, checks())
    assert again.view["told"] == ""
    assert "opened again" in studio.view["told"]
    assert do(studio, "keep", "a.png", text="me")["saved"].startswith("not done: This studio was opened again")
    assert do(again, "keep", "a.png", text="me, smiling")["saved"].startswith("saved")


def test_a_studio_that_was_opened_again_lets_its_rows_go(folder: Path) -> None:
    first = Studio(folder, checks())
    held = weakref.ref(first.review)
    Studio(folder, checks())
    gc.collect()
    assert held() is None and first.view["told"]


def test_of_many_images_the_marks_near_to_the_one_shown_are_sent_and_others_where_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{i:03}.png" for i in range(400)]
    for name in names:
        (tmp_path / name).touch()
    write_ledger(tmp_path, [Row(name, "me", suggestion="me") for name in names])
    studio, sent = Studio(tmp_path, checks()), []
    view = do(studio, "go", value="200.png")
    near = [name for name, _, _ in view["marks"]]
    assert near == names[view["first"] : view["first"] + len(near)] and len(near) < 150
    assert view["shown"] == 400 and "200.png" in near and len(json.dumps(view)) < 10_000
    monkeypatch.setattr(studio, "send", lambda content, buffers=None: sent.append(content))
    do(studio, "keep", "399.png", text="me")
    do(studio, "marks", **{"from": 370, "to": 400})
    assert [sent[0]["first"], *(name for name, _, _ in sent[0]["marks"])] == [370, *names[370:]]
    assert sent[0]["marks"][-1][1] == "kept"
    do(studio, "marks", **{"from": 0, "to": 400})
    assert 100 < len(sent[1]["marks"]) < 400


@pytest.mark.fault(31)
def test_pictures_are_sent_small_and_large_and_only_of_the_ledger(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[dict[str, Any], list[bytes]]] = []
    monkeypatch.setattr(studio, "send", lambda content, buffers=None: sent.append((content, buffers)))
    do(studio, "pictures", names=["a.png", "../secret.png"], large=False)
    assert sent[0][0] == {"pictures": ["a.png"], "large": False}
    assert sent[0][1][0].startswith(b"\xff\xd8")
    do(studio, "count", "a.png", text="one two three four five")
    assert (sent[1][0]["count"], sent[1][0]["name"]) == ({"tokens": 5, "lost": "five"}, "a.png")
    do(studio, "find", find="me", into="she", regex=False)
    assert sent[2][0]["total"] == 3
    assert sent[2][0]["found"][0]["pieces"] == [("gone", "me"), ("new", "she"), ("same", ", smiling")]


def test_a_picture_that_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (96, 48), "red").save(path)
    first = jpeg(path, 64)
    Image.new("RGB", (96, 48), "blue").save(path)
    assert jpeg(path, 64) != first


def test_a_missing_ledger_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="run 01_data_captioning"):
        Studio(tmp_path, checks())


@pytest.mark.fault(30)
def test_captions_and_file_names_stay_text_in_the_static_table(folder: Path) -> None:
    table = Tags(html_table(folder))
    assert [tag for tag, _ in table.tags].count("img") == 3  # the thumbnails and nothing else
    assert not any(name.startswith("on") for _, attributes in table.tags for name in attributes)
    assert [a["title"] for tag, a in table.tags if tag == "img"] == ["a.png", "b.png", QUOTED]
    assert f"me {PAYLOAD}" in table.text


def test_a_limited_table_says_how_many_it_leaves_out(folder: Path) -> None:
    assert "and 1 more in metadata.csv" in html_table(folder, limit=2)
    assert "more in" not in html_table(folder, limit=0)


def test_every_message_is_answered_and_what_failed_is_marked(studio: Studio) -> None:
    first = do(studio, "keep", "a.png", text=" ")
    again = do(studio, "keep", "a.png", text=" ")
    assert first["failed"] and again["failed"] and again["answers"] > first["answers"]
    mended = do(studio, "move", value=1)
    assert (mended["failed"], mended["saved"]) == (False, "")
    assert do(studio, "no such deed")["saved"].startswith("not done")


def test_a_decision_that_comes_twice_skips_nobody(studio: Studio) -> None:
    do(studio, "go", value="a.png")
    assert do(studio, "keep", "a.png", text="me, smiling")["card"]["file_name"] == "b.png"
    assert do(studio, "keep", "a.png", text="me, smiling")["card"]["file_name"] == "b.png"


def test_a_damaged_picture_keeps_no_other_from_being_shown(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[list[bytes]] = []
    monkeypatch.setattr(studio, "send", lambda content, buffers=None: sent.append(buffers))
    (studio.folder / "a.png").write_bytes(b"not a picture")
    do(studio, "pictures", names=["a.png", "b.png"], large=True)
    assert [len(file) > 0 for file in sent[0]] == [False, True]


def test_each_change_is_copied_elsewhere_and_a_look_is_not(folder: Path) -> None:
    copies: list[str] = []
    studio = Studio(folder, checks({}), who="mina", kept=lambda: copies.append(read_ledger(folder)[0].status))
    do(studio, "go", value="b.png")
    assert copies == []
    do(studio, "keep", "a.png", text="me, smiling")
    assert copies == ["kept"]


def test_a_copy_that_fails_is_said_and_the_change_stands(folder: Path) -> None:
    def kept() -> None:
        raise OSError("Drive is full")

    studio = Studio(folder, checks({}), who="mina", kept=kept)
    view = do(studio, "reject", "a.png", value="blurred")
    assert "not kept elsewhere: Drive is full" in view["saved"] and "saved" in view["saved"]
    assert read_ledger(folder)[0].status == "rejected"
