"""review.py: the queue is by doubt, every decision is on disk at once, and one undo takes back one deed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from caplora.captions.doubts import Finding
from caplora.captions.history import read_history
from caplora.captions.ledger import LedgerError, Row, read_ledger, write_ledger
from caplora.captions.open_ledger import Ledger
from caplora.review.checks import Checks
from caplora.review.decisions import kept
from caplora.review.filters import FilterError
from caplora.review.review import Review

NAMES = ("a.png", "b.png", "c.png", "d.png")


def checks(agreement: Mapping[str, float] | None = None) -> Checks:
    """Checks of words instead of tokens: more than four are too many, and two findings are twice the doubt."""

    def lint(captions: Mapping[str, str]) -> list[Finding]:
        return [Finding(name, "long", "too long") for name, text in captions.items() if len(text.split()) > 4]

    def doubt(findings: Sequence[Finding]) -> dict[str, float]:
        names = [finding.file_name for finding in findings]
        return {name: float(names.count(name)) for name in names}

    return Checks(
        count=lambda text: len(text.split()),
        lost=lambda text: " ".join(text.split()[4:]),
        lint=lint,
        doubt=doubt,
        agreement=agreement or {},
        limit=4,
    )


def ledger_of(folder: Path) -> Path:
    for name in NAMES:
        (folder / name).touch()
    rows = [
        Row("a.png", "me in red", "a woman in red", suggestion="me in red"),
        Row("b.png", "me in red, with very long hair", "a woman", suggestion="me in red, with very long hair"),
        Row("c.png", "me", "a lady", suggestion="me", flags="blurry"),
        Row("d.png", "me at last", "a lady", "kept", suggestion="me at last"),
    ]
    write_ledger(folder, rows)
    return folder


@pytest.fixture
def review(tmp_path: Path) -> Review:
    return Review(Ledger(ledger_of(tmp_path), who="mina"), checks())


def on_disk(review: Review, name: str) -> Row:
    return {row.file_name: row for row in read_ledger(review.ledger.folder)}[name]


def test_the_doubtful_come_first_and_the_decided_last(review: Review) -> None:
    assert review.shown == ["b.png", "c.png", "a.png", "d.png"]
    assert review.current == "b.png"


def test_each_decision_is_on_disk_at_once(review: Review) -> None:
    review.keep("a.png", "me in red")
    assert (on_disk(review, "a.png").status, on_disk(review, "a.png").text) == ("kept", "me in red")
    review.keep("b.png", "me in blue")
    assert (on_disk(review, "b.png").status, on_disk(review, "b.png").text) == ("edited", "me in blue")
    review.reject("c.png", "eyes shut")
    assert (on_disk(review, "c.png").status, on_disk(review, "c.png").reason) == ("rejected", "eyes shut")
    review.put("a.png", "held_out")
    assert on_disk(review, "a.png").split == "held_out"
    review.write("a.png", "me in green")
    assert (on_disk(review, "a.png").status, on_disk(review, "a.png").text) == ("edited", "me in green")
    assert {change.who for change in read_history(review.ledger.folder)[1:]} == {"mina"}
    assert review.progress()["reviewed"] == 4


def test_a_blank_caption_is_no_decision_and_a_draft_of_nothing_is_not_saved(review: Review) -> None:
    with pytest.raises(LedgerError, match="needs words"):
        review.keep("a.png", " \n")
    review.write("a.png", " ")
    assert on_disk(review, "a.png") == review.rows["a.png"] == replace(on_disk(review, "a.png"), text="me in red")


def test_one_undo_takes_back_one_deed_and_shows_where_it_was(review: Review) -> None:
    before = read_ledger(review.ledger.folder)
    assert review.replace_all("me", "she") == 4
    review.keep("c.png", "she, blurred")
    review.go("d.png")
    review.undo()
    assert (review.current, on_disk(review, "c.png").text) == ("c.png", "she")
    assert review.stacked() == ("'me' → 'she': 4 captions", "kept: c.png")
    review.undo()
    assert read_ledger(review.ledger.folder) == before
    review.undo()  # nothing more to take back
    review.redo()
    review.redo()
    assert on_disk(review, "c.png").text == "she, blurred"
    assert review.stacked()[1] == ""


def test_the_next_pending_is_found_past_the_end_and_none_is_said(review: Review) -> None:
    review.go("d.png")
    assert review.next_pending()
    assert review.current == "b.png"
    for name in NAMES:
        review.reject(name)
    assert not review.next_pending()


def test_moving_stops_at_both_ends(review: Review) -> None:
    review.move(-1)
    assert review.current == "b.png"
    for _ in range(9):
        review.move(1)
    assert review.current == "d.png"


def test_a_filter_shows_what_passes_and_a_bad_one_leaves_what_was(review: Review) -> None:
    review.look_for("status:pending flag:blurry")
    assert (review.shown, review.current) == (["c.png"], "c.png")
    with pytest.raises(FilterError):
        review.look_for("colour:red")
    assert (review.shown, review.filter) == (["c.png"], "status:pending flag:blurry")
    review.look_for("tokens:>4 lint:long")
    assert review.shown == ["b.png"]
    review.look_for("")
    assert len(review.shown) == 4


def test_what_is_done_to_all_is_done_to_what_is_shown(review: Review) -> None:
    review.look_for("red")
    assert review.add_to_all("indoors") == 2
    assert on_disk(review, "a.png").text == "me in red, indoors"
    assert on_disk(review, "c.png").text == "me"
    assert review.add_to_all("Indoors") == 0
    assert on_disk(review, "a.png").status == "pending"  # nobody has looked at it by itself
    review.keep("a.png", on_disk(review, "a.png").text)
    review.look_for("")
    assert review.decide_all("rejected", "blurred") == 2  # only what is pending
    assert [on_disk(review, name).status for name in NAMES] == ["edited", "rejected", "rejected", "kept"]
    assert review.replace_all("me", "she") == 2  # and nothing that is rejected
    assert [on_disk(review, name).status for name in NAMES] == ["edited", "rejected", "rejected", "edited"]


@pytest.mark.parametrize(
    ("find", "into", "regex", "texts"),
    [
        ("in red", "in blue", False, {"a.png": "me in blue", "b.png": "me in blue, with very long hair"}),
        (r"in (\w+)", r"wearing \1", True, {"a.png": "me wearing red", "b.png": "me wearing red, with very long hair"}),
        ("in .", "x", False, {}),
        ("", "x", True, {}),
        ("red", r"\1", False, {"a.png": r"me in \1", "b.png": r"me in \1, with very long hair"}),
    ],
)
def test_replacing_is_previewed_as_it_is_done(
    review: Review, find: str, into: str, regex: bool, texts: dict[str, str]
) -> None:
    assert dict(sorted(review.found(find, into, regex).items())) == texts
    assert review.replace_all(find, into, regex) == len(texts)
    assert {name: on_disk(review, name).text for name in texts} == texts


@pytest.mark.parametrize(("find", "into"), [("(", "x"), ("red", r"\2")])
def test_a_bad_expression_is_named(review: Review, find: str, into: str) -> None:
    with pytest.raises(LedgerError, match="no regular expression"):
        review.found(find, into, regex=True)


def test_replacing_never_leaves_a_caption_without_words(review: Review) -> None:
    with pytest.raises(LedgerError, match=r"no words left \(4 such"):
        review.replace_all(".*", "", regex=True)
    assert on_disk(review, "c.png").text == "me"


def test_a_decision_keeps_what_another_hand_changed_meanwhile(review: Review) -> None:
    rows = read_ledger(review.ledger.folder)
    write_ledger(review.ledger.folder, [replace(rows[0], text="by another hand"), *rows[1:]])
    review.keep("b.png", "me")
    assert on_disk(review, "a.png").text == "by another hand"


def test_kept_is_the_machines_wording_and_edited_a_persons() -> None:
    row = Row("a.png", "me in red", "a woman in red", "pending", suggestion="me in red")
    assert kept(row, "me in red").status == "kept"
    assert kept(row, "me in a red coat").status == "edited"
    assert kept(Row("a.png", "from elsewhere"), "from elsewhere").status == "kept"
    assert kept(Row("a.png", "mine", status="edited"), "mine").status == "edited"
    with pytest.raises(LedgerError, match="needs words"):
        kept(row, "\n")


def test_words_are_counted_in_what_is_shown(review: Review) -> None:
    review.look_for("hair")
    assert ("hair", 1) in review.words()
    assert ("last", 1) not in review.words()


def test_a_decision_keeps_what_another_hand_changed_in_the_same_row(review: Review) -> None:
    rows = read_ledger(review.ledger.folder)
    write_ledger(review.ledger.folder, [replace(rows[0], consent="signed 2026", split="held_out"), *rows[1:]])
    review.keep("a.png", "me in red", seen="me in red")
    now = on_disk(review, "a.png")
    assert (now.status, now.consent, now.split) == ("kept", "signed 2026", "held_out")


def test_a_caption_that_another_hand_changed_meanwhile_is_not_overwritten_unseen(review: Review) -> None:
    rows = read_ledger(review.ledger.folder)
    write_ledger(review.ledger.folder, [replace(rows[0], text="theirs"), *rows[1:]])
    for deed in (review.keep, review.write):
        with pytest.raises(LedgerError, match="another hand has changed this caption meanwhile, to: theirs"):
            deed("a.png", "mine", "me in red")
    review.keep("a.png", "mine", seen="theirs")  # now it was seen
    assert on_disk(review, "a.png").text == "mine"


def test_images_that_leave_and_join_meanwhile_are_noticed(review: Review) -> None:
    folder = review.ledger.folder
    (folder / "e.png").touch()
    write_ledger(folder, [*read_ledger(folder)[1:], Row("e.png", "new")])
    with pytest.raises(LedgerError, match=r"a\.png is no longer in the ledger"):
        review.keep("a.png", "me in red")
    assert "a.png" not in review.shown and review.shown[-1] == "e.png"
    assert [row.file_name for row in read_ledger(folder)] == ["b.png", "c.png", "d.png", "e.png"]
    review.words()
    assert review.next_pending()


def test_writing_decides_nothing(review: Review) -> None:
    review.write("a.png", "me in green")
    assert (on_disk(review, "a.png").text, on_disk(review, "a.png").status) == ("me in green", "pending")
    review.write("d.png", "me in green")
    assert on_disk(review, "d.png").status == "edited"


def test_half_a_character_is_refused_before_anything_is_written(review: Review) -> None:
    with pytest.raises(LedgerError, match="half a character"):
        review.keep("a.png", "me \ud83d")


def test_words_are_added_where_the_word_itself_lacks(review: Review) -> None:
    review.replace_all("red", "that coat")
    assert review.add_to_all("hat") == 4


def test_a_decision_that_changes_no_words_checks_none_again(tmp_path: Path) -> None:
    asked: list[int] = []
    own = checks()
    counted = replace(own, lint=lambda captions: asked.append(len(captions)) or own.lint(captions))
    review = Review(Ledger(ledger_of(tmp_path), who="mina"), counted)
    words = review.words()
    review.keep("a.png", "me in red")
    review.put("a.png", "held_out")
    assert asked == [4] and review.words() is words
    review.keep("a.png", "me in a very long red coat")
    assert asked == [4, 4] and [f.file_name for f in review.findings["a.png"]] == ["a.png"]
    assert ("coat", 1) in review.words()
