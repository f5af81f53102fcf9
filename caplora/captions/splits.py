"""Images, and which of them are near-duplicates → their splits: what is trained on, and what is held out from it.

Near-duplicates go into one split: a picture that is held out says nothing if the model has seen another just like it.
This file does not know files or captions.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from caplora.captions.history import MACHINE, Change
from caplora.captions.ledger import Row


def assign_splits(
    rows: Sequence[Row],
    file_names: Iterable[str],
    share: float,
    clusters: Mapping[str, int] | None = None,
    by_hand: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """File name → "train" or "held_out", of `rows` and of new files; `clusters` numbers near-duplicates.

    A row keeps its split. Only where near-duplicates stand in both splits are they brought together: into the one that
    a person gave some of them (`by_hand`), else out of training. New files go where their cluster is, else they are
    held out, a whole cluster at a time, while that brings the number nearer to `share` of all. A hash of the cluster's
    first name decides which ones. If the share is above 0 and there are two images, at least one is held out, unless
    they are all alike; never are all.
    """
    clusters, by_hand = clusters or {}, by_hand or {}
    splits = {row.file_name: row.split for row in rows}
    groups = _groups([*splits, *(name for name in file_names if name not in splits)], clusters)
    rejected = {row.file_name for row in rows if row.status == "rejected"}
    free = []
    for group in groups:
        known = [name for name in group if name in splits and name not in rejected]
        if known:
            together = _together([splits[name] for name in known], {by_hand[name] for name in known if name in by_hand})
            splits |= {name: together for name in group if name not in rejected and name not in by_hand}
        elif new := [name for name in group if name not in splits]:
            free.append(new)
    return splits | _drawn(free, list(splits.values()), share)


def by_hand(history: Iterable[Change]) -> dict[str, str]:
    """File name → the split that somebody else than caplora gave it last."""
    said = {}
    for change in history:
        for name, (_, now) in change.rows.items():
            if "split" in (now or {}):
                said[name] = (now or {})["split"], change.who
    return {name: split for name, (split, who) in said.items() if who != MACHINE}


def _groups(names: Sequence[str], clusters: Mapping[str, int]) -> list[list[str]]:
    """The names, those of one cluster together, in the order of a hash of the first of them."""
    groups: dict[object, list[str]] = {}
    for name in sorted(names):
        groups.setdefault(clusters.get(name, name), []).append(name)
    return sorted(groups.values(), key=lambda group: hashlib.sha256(group[0].encode()).digest())


def _together(splits: Sequence[str], said: Iterable[str]) -> str:
    """The split of a cluster whose rows have these; `said` are those that a person gave."""
    decisive = {*said} or {*splits}
    return "held_out" if "held_out" in decisive else "train"


def _drawn(groups: Sequence[Sequence[str]], known: Sequence[str], share: float) -> dict[str, str]:
    """The splits of groups that are all new."""
    count = len(known) + sum(map(len, groups))
    wanted = min(max(round(share * count), 1 if share > 0 else 0), count - 1)
    held = known.count("held_out")
    splits: dict[str, str] = {}
    for group in groups:
        nearer = abs(held + len(group) - wanted) < abs(held - wanted) and held + len(group) < count
        held += len(group) if nearer else 0
        splits |= dict.fromkeys(group, "held_out" if nearer else "train")
    if held == 0 and wanted > 0 and groups and len(smallest := min(groups, key=len)) < count:
        splits |= dict.fromkeys(smallest, "held_out")
    return splits
