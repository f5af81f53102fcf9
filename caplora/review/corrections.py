"""The ledger → what a person changed in it, and whether it is ready to train on."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pandas as pd

from caplora.captions import Row, marked


def corrections(rows: Iterable[Row], commonest: int = 15) -> pd.DataFrame:
    """What persons replaced most often in the machine's wording: machine, person, captions (how many have it)."""
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        if row.status == "edited" and row.suggestion:
            counts.update({*replacements(row.suggestion, row.text)})
    table = [(before, after, number) for (before, after), number in counts.most_common(commonest)]
    return pd.DataFrame(table, columns=["machine", "person", "captions"])


def replacements(before: str, after: str) -> list[tuple[str, str]]:
    """The words that gave way and those in their place, pair by pair; one side may be empty."""
    pieces = [("same", ""), *marked(before, after), ("same", "")]
    pairs = []
    for (kind, words), (following, others) in pairwise(pieces):
        if kind == "gone":
            pairs.append((words.strip(), others.strip() if following == "new" else ""))
        elif following == "new":
            pairs.append(("", others.strip()))
    return [pair for pair in pairs if any(pair)]


def edit_distances(rows: Iterable[Row]) -> pd.DataFrame:
    """Of each caption that a person decided on: file_name, words changed (Levenshtein, by words), words in all."""
    table = [
        (row.file_name, edit_distance(row.suggestion.split(), row.text.split()), len(row.text.split()))
        for row in rows
        if row.status in ("kept", "edited") and row.suggestion
    ]
    return pd.DataFrame(table, columns=["file_name", "changed", "words"])


def edit_distance(before: Sequence[str], after: Sequence[str]) -> int:
    """How many words must be put in, taken out or replaced to make one text of the other (Levenshtein 1966)."""
    row = list(range(len(after) + 1))
    for i, word in enumerate(before, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(after, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (word != other))
    return row[-1]
