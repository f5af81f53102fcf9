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
    code_alone = [content for kind, content in pieces if kind not in ("text", "text_special")]
    assert all(content.lower().startswith(("http", "www.")) for content in code_alone)
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


GOES = [  # (what a person wrote, what is shown)
    ("by someone@example.com", "by (an e-mail address, left out)"),
    ("see /home/someone/faces, please", "see (a path, left out), please"),
    ("from /home/someone/My Pictures/Jane Doe. Then", "from (a path, left out). Then"),
    ("in ~/portraits", "in (a path, left out)"),
    ("in ~someone/portraits", "in (a path, left out)"),
    ("in $HOME/portraits", "in (a path, left out)"),
    (r"in %USERPROFILE%\faces", "in (a path, left out)"),
    (r"in C:\Users\Jane Doe\faces", "in (a path, left out)"),
    ("in C:/Users/Jane Doe/faces", "in (a path, left out)"),
    ("in 'D:/faces' now", "in '(a path, left out)' now"),
    (r"on \\server\share\Jane Doe", "on (a path, left out)"),
    ("on //server/share", "on (a path, left out)"),
    (r"Users\someone\faces", "(a path, left out)"),
    ("file:///home/someone/faces", "(a path, left out)"),
    ("s3://bucket/faces", "(a path, left out)"),
    ("nas:/volume1/faces", "(a path, left out)"),
    ("someone@nas.example.com:/volume1", "(a path, left out)"),
    ("key hf_abcdefghijklmnop", "key (a token, left out)"),
    ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "(a token, left out)"),
    ("github_pat_11ABCDEFG0abcdef", "(a token, left out)"),
    ("sk-proj-abc123DEF456ghi", "(a token, left out)"),
    ("AKIAIOSFODNN7EXAMPLE", "(a token, left out)"),
    ("key 0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0u", "key (a token, left out)"),
    ("https://someone:word@example.org/a", "(a web address, left out)"),
    ("see https://example.org/a?key=1.", "see (a web address, left out)."),
    ("http://localhost:8888/lab and http://nas.local/a", "(a web address, left out) and (a web address, left out)"),
    ("http://192.168.1.7/a", "(a web address, left out)"),
    ("https://example.org/hf_abcdefghijklmnop", "(a web address, left out)"),
    ("a\u202eb\u0000c\nd", "abc d"),
]
STAYS = [
    "half-length portrait, 3/4 view, w/ glasses", "and/or w/o", "f/1.8 1/200 s, ~3/4 of them, he / she / they",
    "black/white/grey, 24/7", "caplora/mini/models/blip@bcc56c1 beams 3", "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "16:9, note: smiling", "happy :/ or not", "$5/month, 50 %/50 %", "sk-looking person", "small_r16_a16.safetensors",
    "https://example.org/a/b_(c)", "see https://commons.wikimedia.org, please", "www.example.org",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",  # a hash is no key
]  # fmt: skip


@pytest.mark.parametrize(("text", "shown"), [*GOES, *((text, text) for text in STAYS)])
def test_what_is_nobodys_business_is_left_out_and_nothing_else(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize("text", [s for s in STAYS if "http" in s or "www" in s])
def test_an_address_is_shown_as_code_because_that_is_never_a_link(text: str) -> None:
    pieces = inline(escaped(text))
    assert "".join(content for _, content in pieces) == text
    assert [content.startswith(("http", "www")) for kind, content in pieces if kind == "code_inline"] == [True]
    assert not [
        content for kind, content in pieces if kind != "code_inline" and ("http" in content or "www" in content)
    ]
