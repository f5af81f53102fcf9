"""readiness.py, corrections.py: what a person changed is counted; nothing is ready that a referee would send back."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caplora.captions.doubts import Finding
from caplora.captions.ledger import Row
from caplora.review.corrections import common_corrections, edit_distance, edit_distances, marked, replacements
from caplora.review.readiness import ITEMS, NotReadyError, checklist, ready

words = st.lists(st.sampled_from(["red", "hair", "in", "a", "hat"]), max_size=8)


def good(count: int = 8) -> list[Row]:
    """Rows that nothing speaks against."""
    return [
        Row(f"{i}.png", f"me {i}", "m", "kept", "held_out" if i == 0 else "train", origin="me", consent="2026-01-01")
        for i in range(count)
    ]


@given(words, words)
def test_the_edit_distance_is_a_distance(a: list[str], b: list[str]) -> None:
    assert edit_distance(a, a) == 0
    assert edit_distance(a, b) == edit_distance(b, a)
    assert abs(len(a) - len(b)) <= edit_distance(a, b) <= max(len(a), len(b))


@given(words, words, words)
def test_a_detour_is_never_shorter(a: list[str], b: list[str], c: list[str]) -> None:
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)


def test_the_edit_distance_counts_words() -> None:
    assert edit_distance(["a", "woman", "in", "red"], ["a", "tall", "woman", "in", "blue"]) == 2
    table = edit_distances([Row("a", "me in blue", status="edited", suggestion="me in red"), Row("b", "x")])
    assert table.to_dict("list") == {"file_name": ["a"], "changed": [1], "words": [3]}


@given(st.text(max_size=40), st.text(max_size=40))
def test_marks_put_together_give_both_texts(before: str, after: str) -> None:
    pieces = marked(before, after)
    assert "".join(text for kind, text in pieces if kind != "new") == before
    assert "".join(text for kind, text in pieces if kind != "gone") == after


def test_the_commonest_corrections_are_counted_by_caption() -> None:
    assert replacements("me in red hair", "me in blue hair, smiling") == [("red", "blue"), ("", ", smiling")]
    assert replacements("me in red", "in red") == [("me", "")]
    assert replacements("me, in soft light", "me, lit from the left") == [("in soft light", "lit from the left")]
    rows = [Row(f"{i}", "me in blue , blue", status="edited", suggestion="me in red , red") for i in range(3)]
    rows += [Row("k", "me in blue", status="kept", suggestion="me in red"), Row("l", "me", status="edited")]
    assert common_corrections(rows).values.tolist() == [["red", "blue", 3]]


def test_a_good_ledger_is_green_throughout() -> None:
    table = checklist(good(), [], {})
    assert set(table["state"]) == {"green"}
    assert list(table["item"]) == list(ITEMS)
    assert ready(table) == "ready to train"


@pytest.mark.fault(12)
@pytest.mark.parametrize(
    ("item", "change"),
    [
        ("captions", {"text": " "}),
        ("reviewed", {"status": "pending"}),
        ("consent", {"consent": ""}),
        ("consent", {"origin": ""}),
        ("images", {"split": "held_out"}),
    ],
)
def test_each_fault_turns_its_item_red_unless_it_is_overruled(item: str, change: dict[str, str]) -> None:
    rows = good(6)
    rows[3] = replace(rows[3], **change)
    table = checklist(rows, [], {})
    assert table.loc[table["state"] == "red", "item"].tolist() == [item]
    with pytest.raises(NotReadyError, match=rf"(?s)not ready to train:\n  {item}: .*overrule: \[{item}\]"):
        ready(table)
    assert ready(checklist(rows, [], {}, [item])) == f"ready to train; overruled: {item}"
    if item != "images":
        rejected = [replace(row, status="rejected") if row == rows[3] else row for row in good(1) + rows[1:]]
        assert "red" not in set(checklist([*rejected, *good(9)[6:]], [], {})["state"])


@pytest.mark.parametrize(("rule", "item"), [("long", "length"), ("unknown", "characters"), ("identity", "identity")])
def test_what_lint_finds_turns_items_red(rule: str, item: str) -> None:
    table = checklist(good(), [Finding("1.png", rule, "why"), Finding("1.png", "same", "why")], {})
    assert table.loc[table["state"] == "red", ["item", "found"]].values.tolist() == [[item, "1: 1.png"]]


@pytest.mark.fault(10)
def test_near_duplicates_on_both_sides_are_a_leak_and_on_one_side_none() -> None:
    leaky = checklist(good(), [], {"0.png": 1, "1.png": 1, "2.png": 2, "3.png": 2})
    assert leaky.loc[leaky["state"] == "red", ["item", "found"]].values.tolist() == [["leaks", "1: 0.png"]]
    assert set(checklist(good(), [], {"2.png": 2, "3.png": 2})["state"]) == {"green"}


def test_only_items_that_there_are_can_be_overruled() -> None:
    with pytest.raises(NotReadyError, match="no item 'revewed' to overrule: it has images"):
        checklist(good(), [], {}, ["revewed"])
