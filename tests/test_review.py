"""review.py: every decision is on disk at once, and what people and machines wrote stays text."""

from html.parser import HTMLParser
from pathlib import Path

import ipywidgets as widgets
import numpy as np
import pytest
from PIL import Image

from caplora.captions import LedgerError, Row, read_ledger, write_ledger
from caplora.review import kept, review_table, static_table

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
        Image.fromarray(np.full((32, 32, 3), 80 * i, np.uint8)).save(tmp_path / name)
    rows = [
        Row("a.png", "me, smiling", "a smiling woman", "pending", "train", "a.jpg", "me, smiling"),
        Row("b.png", "me in red", "a woman in red", "pending", "held_out", "b.jpg", "me in red"),
        Row(QUOTED, f"me {PAYLOAD}", f"a woman {PAYLOAD}", "pending", "train", "c.jpg", f"me {PAYLOAD}"),
    ]
    write_ledger(tmp_path, rows)
    return tmp_path


def inside(widget: widgets.Widget, kind: type) -> list:
    """Every widget of a kind, top to bottom."""
    below = [found for child in getattr(widget, "children", ()) for found in inside(child, kind)]
    return [widget, *below] if isinstance(widget, kind) else below


def saved(folder: Path, number: int) -> tuple[str, str, str]:
    row = read_ledger(folder)[number]
    return row.text, row.status, row.split


def test_each_decision_is_on_disk_at_once_and_touches_no_other_row(folder: Path) -> None:
    before = read_ledger(folder)
    line = review_table(folder).children[1]
    text, split, state = (inside(line, kind)[-1] for kind in (widgets.Textarea, widgets.Dropdown, widgets.HTML))
    keep, reject = inside(line, widgets.Button)
    keep.click()
    assert saved(folder, 1) == ("me in red", "kept", "held_out")
    text.value = "me in a red coat"
    assert saved(folder, 1) == ("me in a red coat", "edited", "held_out")
    split.value = "train"
    assert saved(folder, 1) == ("me in a red coat", "edited", "train")
    reject.click()
    assert saved(folder, 1) == ("me in a red coat", "rejected", "train")
    assert "rejected" in state.value
    assert "saved" in state.value
    keep.click()
    assert saved(folder, 1) == ("me in a red coat", "edited", "train")
    after = read_ledger(folder)
    assert (after[0], after[2]) == (before[0], before[2])


def test_opening_the_table_decides_nothing(folder: Path) -> None:
    before = (folder / "metadata.csv").read_bytes()
    table = review_table(folder)
    assert [box.value for box in inside(table, widgets.Textarea)] == [row.text for row in read_ledger(folder)]
    assert len(inside(table, widgets.Image)) == 3
    assert (folder / "metadata.csv").read_bytes() == before


def test_a_decision_keeps_what_another_hand_changed_meanwhile(folder: Path) -> None:
    line = review_table(folder).children[0]
    rows = read_ledger(folder)
    write_ledger(folder, [rows[0], kept(rows[1], "by another hand"), rows[2]])
    inside(line, widgets.Button)[0].click()
    assert saved(folder, 0)[1] == "kept"
    assert saved(folder, 1)[0] == "by another hand"


def test_what_cannot_be_saved_says_so_and_changes_nothing(folder: Path) -> None:
    line = review_table(folder).children[0]
    state = inside(line, widgets.HTML)[-1]
    inside(line, widgets.Textarea)[0].value = " "
    assert "not saved: a caption needs words" in state.value
    (folder / "metadata.csv").unlink()
    inside(line, widgets.Button)[0].click()
    assert "not saved" in state.value
    assert not (folder / "metadata.csv").exists()


def test_kept_is_the_machines_wording_and_edited_a_persons() -> None:
    row = Row("a.png", "me in red", "a woman in red", "pending", suggestion="me in red")
    assert kept(row, "me in red").status == "kept"
    assert kept(row, "me in a red coat").status == "edited"
    with pytest.raises(LedgerError, match="needs words"):
        kept(row, "\n")


def test_captions_and_file_names_stay_text(folder: Path) -> None:
    table = Tags(static_table(folder))
    assert [tag for tag, _ in table.tags].count("img") == 3  # the thumbnails and nothing else
    assert not any(name.startswith("on") for _, attributes in table.tags for name in attributes)
    assert [a["title"] for tag, a in table.tags if tag == "img"] == ["a.png", "b.png", QUOTED]
    assert f"me {PAYLOAD}" in table.text
    for shown in inside(review_table(folder), widgets.HTML):
        assert not {tag for tag, _ in Tags(shown.value).tags} - {"b", "br", "div"}
    reason = Row("a.png", machine_text=PAYLOAD)
    write_ledger(folder, [reason])
    assert PAYLOAD in Tags(inside(review_table(folder), widgets.HTML)[0].value).text


def test_an_error_shown_is_text_too(folder: Path) -> None:
    line = review_table(folder).children[2]
    write_ledger(folder, read_ledger(folder)[:2])
    inside(line, widgets.Button)[0].click()
    state = Tags(inside(line, widgets.HTML)[-1].value)
    assert [tag for tag, _ in state.tags] == ["b"]
    assert QUOTED in state.text


def test_a_limited_table_says_how_many_it_leaves_out(folder: Path) -> None:
    assert "and 1 more in metadata.csv" in static_table(folder, limit=2)
    assert "more in" not in static_table(folder, limit=0)
