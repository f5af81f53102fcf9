"""Words of a study → Markdown that shows them and does nothing, without what is nobody's business.

Captions, prompts, names and a person's own sentences are text: no HTML, no links, no emphasis, no second front matter.
One rule says what is left out, and that it was is said: keys, e-mail addresses and every place to which the public
cannot go. That is a path from a root (of a disk, a drive, a share, a home, another computer), up to the next comma,
quote or end of the sentence, since paths hold spaces; and a web address with a password, a query or a private host.
"""

import html
import re
import unicodedata

from markupsafe import Markup

ROOTS = (
    r"(?<!\w)[\w.+@-]+:[\\/~]+(?=[^\s\\/])",  # file:///, s3://, C:/, C:\, host:/, someone@host:~/
    r"(?<![\w:\\/])(?:\\\\|//)\w[\w.$-]*[\\/]",  # \\server\share, //server/share
    r"(?<![\w/:.)])/[^\s/\"'<>|]+/(?=[^\s/])",  # /home/someone
    r"(?<!\w)(?:~(?:[A-Za-z]\w*)?|\$\{?[A-Za-z]\w*\}?|%[A-Za-z]\w*%)[\\/](?=\w)",  # ~/, ~me/, $HOME/, %USERPROFILE%\
    r"(?<!\w)\w[\w.-]*\\\w[\w.-]*\\(?=\w)",  # Users\someone\faces
)
END = r"(?=\s*(?:[,;\"<>|`“”«»]|'(?!\w)|[.!?](?:\s|$)|$))"  # of a path
KEYS = (
    r"(?<![A-Za-z0-9])(?:hf_|gh[oprsu]_|github_pat_|npm_|glpat-|xox[abps]-)\w[\w-]{7,}",
    r"(?<!\w)(?:sk-(?=[\w-]*\d)[\w-]{12,}|AKIA\w{12,}|AIza[\w-]{20,}|eyJ[\w-]{8,}\.[\w.-]+)",
    r"(?<!\w)(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])(?=[A-Za-z]*\d)[A-Za-z0-9]{32,}(?!\w)",  # no word is so long and mixed
)
FOUND = re.compile(
    r"(?P<address>(?<!\w)[Hh][Tt][Tt][Pp][Ss]?://[^\s\"'<>|`]*[\w/=&-])"
    f"|(?P<token>{'|'.join(KEYS)})|(?P<path>(?:{'|'.join(ROOTS)}).*?{END})"
    r"|(?P<email>[\w.+-]+@[\w-]+(?:\.[\w-]+)+)"
)
SAID = {"address": "a web address", "token": "a token", "path": "a path", "email": "an e-mail address"}
PRIVATE = "local|localdomain|lan|home|internal|intranet|corp|arpa"
PUBLIC = re.compile(rf"https?://(?:[\w-]+\.)+(?!(?:{PRIVATE})\b)[a-z]{{2,}}(?:/[^?@]*)?", re.IGNORECASE)
WEB = re.compile(r"(?<!\w)((?:https?://|www\.)[^\s\"'<>|`]*[\w/])", re.IGNORECASE)  # what Markdown would make a link
TURNED = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # characters that reorder the text around them

MEANT = r"[\\`*\[\]|~$#]|(?<![^\W_])_|_(?![^\W_])"  # of Markdown; an underscore within a word is one


def plain(text: str) -> str:
    """The text in one line, without control characters and without what the rule leaves out."""
    line = re.sub(r"[^\S\u00a0]+", " ", text)
    kept = "".join(c for c in line if unicodedata.category(c) not in ("Cc", "Cs") and c not in TURNED)
    return FOUND.sub(_public_or_left_out, kept)


def _public_or_left_out(found: re.Match[str]) -> str:
    kind, text = str(found.lastgroup), found[0]
    holds_key = any(re.search(key, text) for key in KEYS)
    return text if kind == "address" and PUBLIC.fullmatch(text) and not holds_key else f"({SAID[kind]}, left out)"


def escaped(value: object) -> str:
    """A value as Markdown that shows it as it is; Markdown of our own (`Markup`) stays.

    A web address is a code span: only there does no reader of Markdown make it a link.
    """
    if isinstance(value, Markup):
        return str(value)
    parts = WEB.split(plain(str(value)))  # text and address by turns
    return "".join(f"`{part}`" if place % 2 else _as_text(part) for place, part in enumerate(parts))


def _as_text(text: str) -> str:
    return re.sub(MEANT, r"\\\g<0>", html.escape(text, quote=False))


def code(text: str) -> Markup:
    """The text as a code span, which nothing in it can end."""
    line = plain(text).strip()
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    pad = " " if "`" in (line[:1], line[-1:]) else ""
    return Markup(f"{fence}{pad}{line}{pad}{fence}")  # noqa: S704


def literal(text: str) -> Markup:
    """The text as a string of Python, in one line."""
    return Markup(repr(plain(text).strip()))  # noqa: S704
