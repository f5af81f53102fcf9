"""Two versions of a caption → what changed between them; the ledger → what persons corrected, and how much."""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pandas as pd

from caplora.captions import Row

BREAKS = re.compile(r"(\s+|[,.;:!?])")


def marked(before: str, after: str) -> list[tuple[str, str]]:
    """What became of a text, piece by piece: ("same" | "gone" | "new", words); neighbouring changes are one piece."""
    a, b = BREAKS.split(before), BREAKS.split(after)
    runs: list[tuple[bool, str, str]] = []  # whether it changed, before, after
    opcodes = difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    for number, (kind, i, j, k, m) in enumerate(opcodes):
        old, new = "".join(a[i:j]), "".join(b[k:m])
        changed = kind != "equal" or (0 < number < len(opcodes) - 1 and old.isspace())
        if runs and changed and runs[-1][0]:
            runs[-1] = (True, runs[-1][1] + old, runs[-1][2] + new)
        else:
            runs.append((changed, old, new))
    pieces = []
    for changed, old, new in runs:
        pieces += [("gone", old), ("new", new)] if changed else [("same", old)]
    return [(kind, words) for kind, words in pieces if words]


def common_corrections(rows: Iterable[Row], commonest: int = 15) -> pd.DataFrame:
    """What persons most often replaced in the machine's words: machine, person, captions (how many have it)."""
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        if row.status == "edited" and row.suggestion:
            counts.update({*replacements(row.suggestion, row.text)})
    table = [(before, after, number) for (before, after), number in counts.most_common(commonest)]
    return pd.DataFrame(table, columns=["machine", "person", "captions"])


def replacements(before: str, after: str) -> list[tuple[str, str]]:
    """Pairs of the words that were removed and those put in their place; one of the two may be empty."""
    pieces = [("same", ""), *marked(before, after), ("same", "")]
    pairs = []
    for (kind, words), (following, others) in pairwise(pieces):
        if kind == "gone":
            pairs.append((words.strip(), others.strip() if following == "new" else ""))
        elif following == "new":
            pairs.append(("", others.strip()))
    return [pair for pair in pairs if any(pair)]


def edit_distances(rows: Iterable[Row]) -> pd.DataFrame:
    """For each caption that a person kept or edited: file_name, changed (Levenshtein distance in words), words."""
    table = [
        (row.file_name, edit_distance(row.suggestion.split(), row.text.split()), len(row.text.split()))
        for row in rows
        if row.status in ("kept", "edited") and row.suggestion
    ]
    return pd.DataFrame(table, columns=["file_name", "changed", "words"])


def edit_distance(before: Sequence[str], after: Sequence[str]) -> int:
    """How many words must be inserted, removed or replaced to turn one text into the other (Levenshtein 1966)."""
    row = list(range(len(after) + 1))
    for i, word in enumerate(before, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(after, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (word != other))
    return row[-1]
