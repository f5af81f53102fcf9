"""splits.py: the share is held out, near-duplicates stay together, and nobody who is known is moved without need."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caplora.captions.history import MACHINE, UNKNOWN, Change
from caplora.captions.ledger import Row
from caplora.captions.splits import assign_splits, by_hand

texts = st.sets(st.text(max_size=8), max_size=30)
numbers = st.dictionaries(st.text("ab", max_size=4), st.integers(1, 4), max_size=20)


def rows_of(splits: dict[str, str], status: str = "kept") -> list[Row]:
    return [Row(name, split=split, status=status) for name, split in splits.items()]


@given(texts, texts, st.floats(0, 0.99))
def test_the_share_is_held_out_and_images_that_join_move_none(some: set[str], more: set[str], share: float) -> None:
    splits = assign_splits([], some, share)
    count = list(splits.values()).count("held_out")
    assert splits == assign_splits([], sorted(some, reverse=True), share)
    assert count == 0 if len(some) < 2 or share == 0 else 1 <= count < len(some)
    assert abs(count - share * len(some)) <= 1
    larger = assign_splits(rows_of(splits), more, share)
    assert larger.keys() == some | more
    assert all(larger[name] == split for name, split in splits.items())


def test_a_hundred_and_twenty_portraits_give_a_hundred_to_train_on() -> None:
    splits = assign_splits([], [f"portrait_{i:03}.png" for i in range(1, 121)], 0.17)
    held = [name for name, split in splits.items() if split == "held_out"]
    assert len(held) == 20
    assert held != sorted(splits)[:20]  # by hash, not the first that come


@given(texts, numbers, st.floats(0.01, 0.5))
def test_a_cluster_is_never_split_and_never_is_all_held_out(
    names: set[str], clusters: dict[str, int], share: float
) -> None:
    splits = assign_splits([], names | clusters.keys(), share, clusters)
    for number in clusters.values():
        assert len({splits[name] for name, own in clusters.items() if own == number}) == 1
    groups = len({*clusters.values()}) + len(names - clusters.keys())
    held = [*splits.values()].count("held_out")
    assert held < max(len(splits), 1)
    assert held > 0 or groups < 2


@given(texts, texts, numbers, st.floats(0, 0.99))
def test_a_ledger_without_leaks_stays_as_it_is(
    some: set[str], more: set[str], clusters: dict[str, int], share: float
) -> None:
    before = assign_splits([], some | clusters.keys(), share, clusters)
    after = assign_splits(rows_of(before), some | more, share, clusters)
    assert {name: after[name] for name in before} == before


def test_a_new_picture_goes_where_its_near_duplicate_is() -> None:
    known = {"a": "held_out", "b": "train", **{f"c{i}": "train" for i in range(10)}}
    splits = assign_splits(rows_of(known), ["a2", "b2", "b3"], 0.5, {"a": 1, "a2": 1, "b": 2, "b2": 2, "b3": 2})
    assert (splits["a2"], splits["b2"], splits["b3"]) == ("held_out", "train", "train")


def test_a_leak_is_mended_as_most_of_a_cluster_are_or_as_a_person_said() -> None:
    known = {"a": "held_out", "h": "held_out", **dict.fromkeys("bcdef", "train")}
    two, three = {"a": 1, "b": 1}, dict.fromkeys("abc", 1)
    assert assign_splits(rows_of(known), known, 0.2, two) == known | {"b": "held_out"}  # out of training
    assert assign_splits(rows_of(known), known, 0.2, three) == known | {"a": "train"}
    assert assign_splits(rows_of(known), known, 0.2, two, {"b": "train"}) == known | {"a": "train"}
    both = {"a": "held_out", "b": "train"}
    assert assign_splits(rows_of(known), known, 0.2, two, both) == known  # the checklist says that it leaks
    rejected = [*rows_of({"a": "held_out"}, "rejected"), *rows_of({"b": "train", "h": "held_out"})]
    assert assign_splits(rejected, "abh", 0.2, two) == {"a": "held_out", "b": "train", "h": "held_out"}


@pytest.mark.parametrize(
    ("known", "new", "alike", "held"),
    [
        ({"a": "train", "b": "held_out"}, "", "ab", ""),  # nothing else could be trained on
        ({"a": "held_out", **dict.fromkeys("bcdefghijk", "train")}, "", "abcdefghij", ""),
        ({"a": "train"}, "bcdefghij", "bcdefghij", ""),
        ({"a": "held_out", "b": "train"}, "cdefgh", "acdefgh", ""),
        ({"a": "held_out", **dict.fromkeys("bcdefgh", "train")}, "ij", "aij", "aij"),
        (dict.fromkeys("ab", "train"), "cdef", "cdef", ""),
        (dict.fromkeys("abcd", "train"), "efgh", "efgh", "efgh"),
    ],
)
def test_near_duplicates_never_leave_less_than_half_to_train_on(
    known: dict[str, str], new: str, alike: str, held: str
) -> None:
    splits = assign_splits(rows_of(known), [*known, *new], 0.1, dict.fromkeys(alike, 1))
    assert {name for name, split in splits.items() if split == "held_out"} == {*held}


def test_pictures_that_are_all_alike_are_all_trained_on() -> None:
    assert assign_splits([], "abcd", 0.25, dict.fromkeys("abcd", 1)) == dict.fromkeys("abcd", "train")


def test_a_split_by_hand_is_what_somebody_else_than_caplora_wrote_last() -> None:
    def change(who: str, **splits: str) -> Change:
        return Change(1, "", who, "", {name: ({}, {"split": split}) for name, split in splits.items()})

    history = [
        change(MACHINE, a="train", b="train", c="train"),
        change("mina", a="held_out"),
        change(UNKNOWN, b="held_out"),
        Change(2, "", "mina", "", {"c": ({}, {"text": "me"}), "d": ({"split": "train"}, None)}),
    ]
    assert by_hand(history) == {"a": "held_out", "b": "held_out"}
    assert by_hand([*history, change(MACHINE, a="train")]) == {"b": "held_out"}
