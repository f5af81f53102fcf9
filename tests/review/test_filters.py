"""filters.py: what a person types finds what it says, and nonsense is named."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caplora.captions.ledger import Row
from caplora.review.filters import Entry, FilterError, parsed

ENTRIES = {
    "a": Entry(Row("a.png", "me with Long hair, smiling", status="pending", flags="blurry dark"), 80, ("long",), 0.2),
    "b": Entry(Row("b.png", "me with short hair, laughing, glasses", status="kept", split="held_out"), 20, ("same",)),
    "c": Entry(
        Row("c.png", "긴 머리, hair: long", machine_text="a lady", status="rejected", reason="blink"), 30, (), 0.3
    ),
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "abc"),
        ("hair", "abc"),
        ("SMILING", "a"),
        ('"long hair"', "a"),
        ('"hair: long"', "c"),
        ("short hair", "b"),
        ("smiling OR laughing", "ab"),
        ("smiling or glasses AND laughing", "ab"),
        ("(smiling OR laughing) NOT glasses", "a"),
        ("(smiling OR laughing) -glasses", "a"),
        ("NOT (smiling OR laughing)", "c"),
        ("-(smiling OR laughing)", "c"),
        ("hair -(status:kept OR status:rejected)", "a"),
        ("-status:pending -status:kept", "c"),
        ("status:pending tokens:>75 flag:blurry \"long hair\"", "a"),
        ("tokens:>=20 tokens:<80", "bc"),
        ("tokens:30", "c"),
        ("words:>5", "b"),
        ("agreement:<0.25", "a"),
        ("NOT agreement:<0.25", "bc"),
        ("lint:same OR lint:long", "ab"),
        ("split:held_out", "b"),
        ("file:C.png", "c"),
        ("machine:lady reason:blink", "c"),
        ('text:"긴 머리"', "c"),
        ("머리", "c"),  # as decomposed as some systems type it
        ("flag:blur", ""),
    ],
)  # fmt: skip
def test_a_filter_finds_what_it_says(text: str, found: str) -> None:
    test = parsed(text)
    assert "".join(name for name, entry in ENTRIES.items() if test(entry)) == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("status:done", "status:done: use pending, kept, edited, rejected"),
        ("colour:red", "no field 'colour'.*quotes"),
        ("tokens:many", "write a number, as in tokens:>75"),
        ('"long', "not closed"),
        ("(a", "not closed"),
        ("a)", "nothing to close"),
        ("a OR", "missing beside OR"),
        ("OR a", "missing beside OR"),
        ("a NOT", "must follow"),
        ("()", "between"),
    ],
)
def test_nonsense_is_named(text: str, says: str) -> None:
    with pytest.raises(FilterError, match=says):
        parsed(text)


@given(
    st.text(max_size=30)
    | st.lists(st.sampled_from(["(", ")", "a", "NOT", "OR", "AND", '"', "-", ":", "tokens:>3"])).map(" ".join)
)
def test_anything_typed_is_a_filter_or_a_named_error(text: str) -> None:
    with suppress(FilterError):
        test = parsed(text)
        assert all(test(entry) in (True, False) for entry in ENTRIES.values())


@given(st.sampled_from(list(ENTRIES.values())), st.sampled_from(["hair", "status:kept", "tokens:>25", "(a OR b)"]))
def test_not_is_the_opposite(entry: Entry, text: str) -> None:
    assert parsed(f"NOT {text}")(entry) is not parsed(text)(entry)
