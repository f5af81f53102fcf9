"""A person's way through the ledger: what is shown and in which order, every decision, and what is doubtful.

This file knows no widgets; `studio.py` shows it. Each decision is on disk when its method returns.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from caplora.captions import LedgerError, Row


def kept(row: Row, text: str) -> Row:
    """`row` with `text` as its caption: kept as suggested, or edited. Raises LedgerError for one without words."""
    if not text.strip():
        raise LedgerError("a caption needs words: write some, or reject the image")
    if not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise LedgerError("the caption holds half a character, which no file can keep: write it again")
    as_suggested = text == (row.suggestion or (row.text if row.status != "edited" else None))
    return replace(row, text=text, status="kept" if as_suggested else "edited", reason="")


def unchanged(row: Row, text: str, seen: str | None) -> Row:
    """`row`, if its caption is the one that was seen or already `text`; else LedgerError says what it is now."""
    if seen is not None and row.text not in (seen, text):
        raise LedgerError(f"another hand has changed this caption meanwhile, to: {row.text}")
    return row


def replacing(find: str, into: str, regex: bool) -> Callable[[str], str]:
    """What replaces `find` in a text; nothing if there is nothing to find. Raises LedgerError for a bad expression."""
    if not find:
        return lambda text: text
    try:
        pattern = re.compile(find if regex else re.escape(find))
        replacement = into if regex else into.replace("\\", r"\\")
        pattern.sub(replacement, "")  # a reference to a group that there is not
    except (re.error, IndexError) as error:
        raise LedgerError(f"{find!r} → {into!r} is no regular expression: {error}") from error
    return lambda text: pattern.sub(replacement, text)


def reworded(row: Row, text: str) -> Row:
    """`row` with other words, as one of many: nobody has looked at it by itself, so a pending one stays pending."""
    return replace(kept(row, text), status="pending") if row.status == "pending" else kept(row, text)
