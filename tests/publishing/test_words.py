"""words.py: what people wrote is shown by Markdown as they wrote it, and nothing of it works."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from caplora.publishing.words import code, escaped, literal, plain

MARKDOWN = MarkdownIt("gfm-like", {"html": True, "linkify": False})
LINES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cf")), max_size=60).map(
    lambda text: " ".join(text.split())
)


def inline(source: str) -> list[tuple[str, str]]:
    """What Markdown makes of the inside of a paragraph: the type and content of each piece."""
    tokens = MARKDOWN.parseInline(source)[0].children or []
    return [(token.type, token.content) for token in tokens if token.type != "text" or token.content]


@given(LINES)
def test_text_is_shown_as_it_is_and_as_text_alone(text: str) -> None:
    pieces = inline(escaped(text))
    assert {kind for kind, _ in pieces} <= {"text", "text_special"}
    assert "".join(content for _, content in pieces) == plain(text).strip()


@given(LINES.filter(str.strip))
def test_nothing_ends_a_code_span(text: str) -> None:
    [(kind, content)] = inline(code(text))
    assert (kind, content.strip()) == ("code_inline", plain(text).strip())


@given(st.text(max_size=60))
def test_a_string_of_python_is_one_line_that_says_the_text(text: str) -> None:
    said = literal(text)
    assert "\n" not in said and ast.literal_eval(said) == plain(text).strip()


@pytest.mark.parametrize(
    "cell", ["a | b", "x\ny", "| --- |", "`a|b`"],
)  # fmt: skip
def test_a_cell_of_a_table_stays_one_cell(cell: str) -> None:
    page = MARKDOWN.render(f"| what | n |\n|---|---|\n| {escaped(cell)} | 1 |\n")
    assert page.count("<td>") == 2 and page.count("<table>") == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("by someone@example.com", "by (an e-mail address, left out)"),
        ("see /home/someone/faces, please", "see (a path, left out) please"),
        ("in ~/portraits", "in (a path, left out)"),
        (r"in C:\Users\someone\faces now", "in (a path, left out) now"),
        ("key hf_abcdefghijklmnop", "key (a token, left out)"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("caplora/mini/models/blip@bcc56c1 beams 3", "caplora/mini/models/blip@bcc56c1 beams 3"),
        ("and/or w/o", "and/or w/o"),
        ("a\u202eb\u0000c\nd", "abc d"),
    ],
)
def test_what_is_nobodys_business_is_left_out_and_nothing_else(text: str, shown: str) -> None:
    assert plain(text) == shown
