"""A person's way through the ledger: which images are shown, in which order, and everything that can be done to them.

Each decision is on disk when its method returns. This file knows no widgets; `studio` shows it.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from caplora.captions import SPLITS, Change, Finding, Ledger, LedgerError, Row, stacks, word_counts
from caplora.review.checks import Checks
from caplora.review.decisions import find_and_replace, kept, reworded, unchanged
from caplora.review.filters import Entry, parsed


class Review:
    """The review of a ledger by one person."""

    def __init__(self, ledger: Ledger, checks: Checks) -> None:
        self.ledger, self.checks = ledger, checks
        self.findings: dict[str, list[Finding]] = {}
        self._linted: dict[str, str] = {}  # the captions that `findings` are of
        self._worded: tuple[list[str], list[tuple[str, int]]] = [], []  # captions, and their commonest words
        self.filter, self.began, self.decided = "", time.monotonic(), 0
        self.order: list[str] = []
        self.shown: list[str] = []
        self.current = ""
        self._check()
        self.order = self._by_doubt()
        self.shown = list(self.order)
        self.current = next(iter(self.shown), "")

    @property
    def rows(self) -> dict[str, Row]:
        """The rows of the ledger by file name."""
        return self.ledger.rows

    def look_for(self, text: str) -> None:
        """Show only the images that pass a filter, the most doubtful first; a FilterError changes nothing."""
        test = parsed(text)
        self.filter, self.order = text, self._by_doubt()
        self.shown = [name for name in self.order if test(self.entry(name))]
        if self.current not in self.shown and self.shown:
            self.current = self.shown[0]

    def entry(self, name: str) -> Entry:
        """What filters can ask of a row."""
        row = self.rows[name]
        rules = tuple(finding.rule for finding in self.findings.get(name, ()))
        return Entry(row, self.checks.count(row.text), rules, self.checks.agreement.get(name))

    def go(self, name: str) -> None:
        """Show an image."""
        if name in self.rows:
            self.current = name

    def move(self, by: int) -> None:
        """Show the image `by` places further on, or the first or last one."""
        if self.shown:
            at = self.shown.index(self.current) if self.current in self.shown else 0
            self.current = self.shown[min(max(at + by, 0), len(self.shown) - 1)]

    def next_pending(self) -> bool:
        """Show the next undecided image, going on from the start after the last one; False if there is none."""
        at = self.shown.index(self.current) + 1 if self.current in self.shown else 0
        for name in [*self.shown[at:], *self.shown[:at]]:
            if self.rows[name].status == "pending":
                self.current = name
                return True
        return False

    def keep(self, name: str, text: str, seen: str | None = None) -> None:
        """Decide that `text` is the caption of an image: kept as suggested, or edited.

        `seen` is the caption that the person saw; LedgerError says so if somebody else has changed it since.
        """
        self._decide([name], lambda row: kept(unchanged(row, text, seen), text), "kept")

    def write(self, name: str, text: str, seen: str | None = None) -> None:
        """Save a text while it is being written. This decides nothing; a blank text is not saved."""
        if text.strip():
            self._decide([name], lambda row: reworded(unchanged(row, text, seen), text), "written")

    def reject(self, name: str, reason: str = "") -> None:
        """Decide that an image is not used, and why."""
        self._decide([name], lambda row: replace(row, status="rejected", reason=reason), "rejected")

    def put(self, name: str, split: str) -> None:
        """Put an image into the train split or hold it out."""
        if split not in SPLITS:
            raise LedgerError(f"unknown split {split!r}: use {', '.join(SPLITS)}")
        self._decide([name], lambda row: replace(row, split=split), f"put to {split}")

    def undo(self) -> None:
        """Take the last change back and show its first image."""
        self._show(self.ledger.undo())

    def redo(self) -> None:
        """Make the change again that was undone last, and show its first image."""
        self._show(self.ledger.redo())

    def found(self, find: str, into: str, regex: bool = False) -> dict[str, str]:
        """File name → caption after replacing, for the captions shown that would change; rejected ones are left out.

        Raises LedgerError for a bad regular expression.
        """
        reword = find_and_replace(find, into, regex)
        texts = {name: reword(self.rows[name].text) for name in self._used()}
        return {name: text for name, text in texts.items() if text != self.rows[name].text}

    def replace_all(self, find: str, into: str, regex: bool = False) -> int:
        """Replace in all captions shown, as one change; returns how many changed."""
        reword, texts = find_and_replace(find, into, regex), self.found(find, into, regex)
        if blank := [name for name, text in texts.items() if not text.strip()]:
            raise LedgerError(f"{blank[0]} would have no words left ({len(blank)} such captions)")
        self._decide(list(texts), lambda row: reworded(row, reword(row.text)), f"{find!r} → {into!r}")
        return len(texts)

    def decide_all(self, status: str, reason: str = "") -> int:
        """Keep or reject all that is shown and pending, as one change; returns how many."""
        names = [name for name in self.shown if self.rows[name].status == "pending"]
        if status == "kept":
            self._decide(names, lambda row: kept(row, row.text), "all shown kept")
        else:
            self._decide(names, lambda row: replace(row, status="rejected", reason=reason), "all shown rejected")
        return len(names)

    def add_to_all(self, words: str) -> int:
        """Add words to the end of all captions shown that lack them, as one change; returns how many changed."""
        words = words.strip()
        lacks = re.compile(rf"(?<!\w){re.escape(words)}(?!\w)", re.IGNORECASE)
        texts = {name: self.rows[name].text for name in self._used()}
        names = [name for name, text in texts.items() if words and text.strip() and not lacks.search(text)]
        self._decide(names, lambda row: reworded(row, f"{row.text.rstrip(' .,')}, {words}"), f"{words!r} added to all")
        return len(names)

    def words(self) -> list[tuple[str, int]]:
        """The 40 commonest words of the captions shown, and how many captions have each."""
        texts = [self.rows[name].text for name in self.shown]
        if texts != self._worded[0]:
            table = word_counts(texts, 40)
            self._worded = texts, list(zip(table["word"], table["captions"].tolist(), strict=True))
        return self._worded[1]

    def progress(self) -> dict[str, float]:
        """How many images are reviewed, how many there are, and how many were decided per minute."""
        reviewed = sum(row.status != "pending" for row in self.rows.values())
        minutes = max((time.monotonic() - self.began) / 60, 1 / 60)
        return {"reviewed": reviewed, "total": len(self.rows), "per_minute": round(self.decided / minutes, 1)}

    def stacked(self) -> tuple[str, str]:
        """What undo would take back and what redo would make again, in words; empty if there is nothing."""
        done, undone = stacks(self.ledger.history)
        return _last(done), _last(undone)

    def _used(self) -> list[str]:
        """The images shown that are not rejected."""
        return [name for name in self.shown if self.rows[name].status != "rejected"]

    def _decide(self, names: Sequence[str], decide: Callable[[Row], Row], why: str) -> None:
        """Change these rows, as they are on disk now; raises LedgerError for one that is gone."""
        before = sum(row.status == "pending" for row in self.rows.values())

        def decided(rows: Mapping[str, Row]) -> dict[str, Row]:
            if gone := [name for name in names if name not in rows]:
                raise LedgerError(f"{gone[0]} is no longer in the ledger: its image was taken away")
            return {name: decide(rows[name]) for name in names}

        try:
            self.ledger.amend(decided, why)
        finally:
            self._check()
        self.decided += max(0, before - sum(row.status == "pending" for row in self.rows.values()))

    def _show(self, change: Change | None) -> None:
        """Show the first image of a change."""
        if change is not None:
            self._check()
            self.current = next(iter(change.rows))

    def _check(self) -> None:
        """Find again what is doubtful, and drop or add the images that have left or joined the ledger."""
        used = {name: row.text for name, row in self.rows.items() if row.status != "rejected"}
        if used != self._linted:
            self.findings, self._linted = {}, used
            for finding in self.checks.lint(used):
                self.findings.setdefault(finding.file_name, []).append(finding)
        known = {*self.order}
        joined = [name for name in self.rows if name not in known]
        self.order = [name for name in self.order if name in self.rows] + joined
        self.shown = [name for name in self.shown if name in self.rows] + joined
        if self.current not in self.rows:
            self.current = next(iter(self.shown), "")

    def _by_doubt(self) -> list[str]:
        """The images: pending before decided, and the most doubtful first in each; ties in the order of the ledger."""
        doubt = self.checks.doubt([finding for found in self.findings.values() for finding in found])
        weights = {name: doubt.get(name, 0.0) + len(row.flags.split()) for name, row in self.rows.items()}
        return sorted(self.rows, key=lambda name: (self.rows[name].status != "pending", -weights[name]))


def _last(changes: Sequence[Change]) -> str:
    """The last change in words, or nothing."""
    if not changes:
        return ""
    names = list(changes[-1].rows)
    return f"{changes[-1].why}: {names[0] if len(names) == 1 else f'{len(names)} captions'}"
