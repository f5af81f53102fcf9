"""Words of a study → Markdown that shows them and does nothing, without what is nobody's business.

Captions, prompts, names and a person's own sentences are text: no HTML, no links, no emphasis, no second front matter.
Tokens, e-mail addresses and paths of a machine are left out, and that they were is said.
"""

import html
import re
import unicodedata

from markupsafe import Markup

LEFT_OUT = {
    re.compile(r"\bhf_[A-Za-z0-9]{8,}"): "(a token, left out)",
    re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"): "(an e-mail address, left out)",
    re.compile(r"(?<![\w/:.])(?:~(?:/[^\s/\"'<>|]+)+|(?:/[^\s/\"'<>|]+){2,})/?"): "(a path, left out)",
    re.compile(r"\b[A-Za-z]:\\[^\s\"'<>|]+"): "(a path, left out)",
}
TURNED = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # characters that reorder the text around them

MEANT = r"[\\`*\[\]|~$#]|(?<![^\W_])_|_(?![^\W_])"  # of Markdown; an underscore within a word is one


def plain(text: str) -> str:
    """The text in one line, without control characters and without what is `LEFT_OUT`."""
    line = re.sub(r"[^\S\u00a0]+", " ", text)
    kept = "".join(c for c in line if unicodedata.category(c) not in ("Cc", "Cs") and c not in TURNED)
    for pattern, instead in LEFT_OUT.items():
        kept = pattern.sub(instead, kept)
    return kept


def escaped(value: object) -> str:
    """A value as Markdown that shows it as it is; Markdown of our own (`Markup`) stays."""
    if isinstance(value, Markup):
        return str(value)
    return re.sub(MEANT, r"\\\g<0>", html.escape(plain(str(value)), quote=False))


def code(text: str) -> Markup:
    """The text as a code span, which nothing in it can end."""
    line = plain(text).strip()
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    pad = " " if "`" in (line[:1], line[-1:]) else ""
    return Markup(f"{fence}{pad}{line}{pad}{fence}")


def literal(text: str) -> Markup:
    """The text as a string of Python, in one line."""
    return Markup(repr(plain(text).strip()))
