"""A row of the ledger and a person's decision → the row as it is after it."""

import re
from collections.abc import Callable
from dataclasses import replace

from caplora.captions import LedgerError, Row


def kept(row: Row, text: str) -> Row:
    """`row` with `text` as its caption: kept if that is the suggestion, else edited.

    Raises LedgerError for a text without words, or with half a character.
    """
    if not text.strip():
        raise LedgerError("a caption needs words: write some, or reject the image")
    if not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise LedgerError("the caption holds half a character, which no file can keep: write it again")
    as_suggested = text == (row.suggestion or (row.text if row.status != "edited" else None))
    return replace(row, text=text, status="kept" if as_suggested else "edited", reason="")


def unchanged(row: Row, text: str, seen: str | None) -> Row:
    """`row`, unchanged; raises LedgerError if its caption is neither the one that was seen nor already `text`."""
    if seen is not None and row.text not in (seen, text):
        raise LedgerError(f"another hand has changed this caption meanwhile, to: {row.text}")
    return row


def find_and_replace(find: str, into: str, regex: bool) -> Callable[[str], str]:
    """The function that replaces `find` by `into` in a text; an empty `find` changes nothing.

    Raises LedgerError for a bad regular expression.
    """
    if not find:
        return lambda text: text
    try:
        pattern = re.compile(find if regex else re.escape(find))
        replacement = into if regex else into.replace("\\", r"\\")
        pattern.sub(replacement, "")  # so that a reference to a missing group is noticed now
    except (re.error, IndexError) as error:
        raise LedgerError(f"{find!r} → {into!r} is no regular expression: {error}") from error
    return lambda text: pattern.sub(replacement, text)


def reworded(row: Row, text: str) -> Row:
    """`row` with another text, without a decision on it: a pending row stays pending."""
    return replace(kept(row, text), status="pending") if row.status == "pending" else kept(row, text)
