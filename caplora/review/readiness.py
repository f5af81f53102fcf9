"""The ledger → a checklist: is it ready to train on, and if not, what is missing."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import pandas as pd

from caplora.captions import Finding, Row, held_out

ITEMS = {  # of the checklist → what must be true, and what to do
    "images": "at least 5 images to train on and 1 held out: add some, or put some back",
    "captions": "every image has a caption: write one, or reject the image",
    "length": "every caption fits into the text encoder: shorten those that are cut off",
    "characters": "the tokenizer knows every character: correct them",
    "identity": "no caption says who it is: names and identity words go into the subject, or away",
    "leaks": "no picture is held out whose near-duplicate is trained on: put both into one split, or reject one",
    "reviewed": "a person has looked at every caption: review them in notebook 01 with interactive = True",
    "consent": "where each picture is from and who allowed it: images.provenance of the study, or the ledger's columns",
}
LEAST = 5  # images to train on
RULES = {"length": "long", "characters": "unknown", "identity": "identity"}  # item → the rule of its findings
COLOURS = {"green": "#00734c", "red": "#b03000", "overruled": "#8a6d00"}


class NotReadyError(ValueError):
    """A ledger that is not ready to train on; the message names what is missing and the ways out."""


def checklist(
    rows: Sequence[Row],
    findings: Iterable[Finding],
    clusters: Mapping[str, int],
    overruled: Collection[str] = (),
) -> pd.DataFrame:
    """The checklist of a ledger, a row per item: item, state (green, red, overruled), found, needed.

    `clusters` gives near-duplicates the same number. Raises NotReadyError for an overruled item that does not exist.
    """
    if unknown := sorted({*overruled} - {*ITEMS}):
        raise NotReadyError(f"the checklist has no item {unknown[0]!r} to overrule: it has {', '.join(ITEMS)}")
    found = faults(rows, findings, clusters)
    table = []
    for item, way_out in ITEMS.items():
        state = "green" if not found[item] else "overruled" if item in overruled else "red"
        table.append((item, state, found[item], way_out))
    return pd.DataFrame(table, columns=["item", "state", "found", "needed"])


def faults(rows: Sequence[Row], findings: Iterable[Finding], clusters: Mapping[str, int]) -> dict[str, str]:
    """Item of the checklist → what is wrong, in words; empty if nothing is."""
    used = [row for row in rows if row.status != "rejected"]
    train, held = [row for row in used if row.split == "train"], held_out(rows)
    by_rule: dict[str, set[str]] = {}
    for finding in findings:
        by_rule.setdefault(finding.rule, set()).add(finding.file_name)
    shared = {clusters.get(row.file_name) for row in train} & {clusters.get(row.file_name) for row in held} - {None}
    few = f"{len(train)} to train on, {len(held)} held out" if len(train) < LEAST or not held else ""
    alike = sum(row.file_name in clusters for row in used) if few else 0
    return {
        "images": few + (f" ({alike} are near-duplicates, which stay in one split)" if alike else ""),
        "captions": _named([row.file_name for row in used if not row.text.strip()]),
        **{item: _named(sorted(by_rule.get(rule, ()))) for item, rule in RULES.items()},
        "leaks": _named([row.file_name for row in held if clusters.get(row.file_name) in shared]),
        "reviewed": _named([row.file_name for row in used if row.status == "pending"]),
        "consent": _named([row.file_name for row in used if not (row.origin and row.consent)]),
    }


def colour(state: str) -> str:
    """The CSS of a state in a table."""
    return f"color: {COLOURS[state]}; font-weight: bold"


def ready(table: pd.DataFrame) -> str:
    """The sentence that a checklist is green or overruled; raises NotReadyError naming what is red and the ways out."""
    red = table[table["state"] == "red"]
    if len(red):
        lines = [f"  {item}: {found}. Needed: {needed}" for item, _, found, needed in red.itertuples(index=False)]
        names = ", ".join(red["item"])
        raise NotReadyError(
            "not ready to train:\n" + "\n".join(lines) + f"\nOr overrule: captioning.overrule: [{names}] in the study,"
            f' or overrule = "{names}" in this notebook'
        )
    overruled = table[table["state"] == "overruled"]["item"].tolist()
    return "ready to train" + (f"; overruled: {', '.join(overruled)}" if overruled else "")


def _named(names: Sequence[str]) -> str:
    """How many names there are, and the first three."""
    if not names:
        return ""
    return f"{len(names)}: {', '.join(names[:3])}" + (" …" if len(names) > 3 else "")
