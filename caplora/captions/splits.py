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

    A row keeps its split, and new files go where their near-duplicates are. Where those stand in both splits, they are
    brought together: as a person said of some of them (`by_hand`), else where most of them are, out of training if that
    is even. But training keeps at least half of the pictures, unless a person said otherwise: where it would not,
    near-duplicates go there. Other new files are held out, a whole cluster at a time, while that brings the number
    nearer to `share` of all; a hash of the cluster's first name decides which ones. If the share is above 0 and none
    would be held out, the smallest cluster that is free or was brought together is, if it is at most half of all.
    """
    clusters, by_hand = clusters or {}, by_hand or {}
    rejected = {row.file_name for row in rows if row.status == "rejected"}
    splits = {row.file_name: row.split for row in rows if row.file_name not in rejected}
    groups = _groups([*splits, *(name for name in {*file_names} - {*splits} - rejected)], clusters)
    count = sum(map(len, groups))
    most = max(count // 2, round(share * count))  # to hold out
    free: list[list[str]] = []  # clusters of which nothing is decided yet
    brought: list[list[str]] = []  # and those of which it is decided here
    for group in groups:
        known = [splits[name] for name in group if name in splits]
        said = {by_hand[name] for name in group if name in by_hand}
        if not known:
            free.append(group)
        elif said or len({*known}) > 1 or len(known) < len(group):
            elsewhere = _held(splits) - known.count("held_out")
            together = _by_person(said) if said else _by_most(known, room=elsewhere + len(group) <= most)
            splits |= {name: together for name in group if name not in by_hand}
            brought += [] if said else [group]
    splits |= _drawn(free, len(splits), _held(splits), share)
    if share > 0 and not _held(splits):
        splits |= dict.fromkeys(_smallest([*free, *brought], count // 2), "held_out")
    return {row.file_name: row.split for row in rows} | splits


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


def _held(splits: Mapping[str, str]) -> int:
    """How many are held out."""
    return list(splits.values()).count("held_out")


def _by_person(said: Iterable[str]) -> str:
    """The split of a cluster of which a person said these."""
    return "held_out" if "held_out" in said else "train"


def _by_most(splits: Sequence[str], room: bool) -> str:
    """The split that most of a cluster have; training where there is no room to hold the cluster out."""
    return "held_out" if room and 2 * splits.count("held_out") >= len(splits) else "train"


def _drawn(groups: Sequence[Sequence[str]], known: int, held: int, share: float) -> dict[str, str]:
    """The splits of groups that are all new, beside so many pictures that have theirs, some of them held out."""
    count = known + sum(map(len, groups))
    wanted = min(max(round(share * count), 1 if share > 0 else 0), count - 1)
    splits: dict[str, str] = {}
    for group in groups:
        nearer = abs(held + len(group) - wanted) < abs(held - wanted) and held + len(group) < count
        held += len(group) if nearer else 0
        splits |= dict.fromkeys(group, "held_out" if nearer else "train")
    return splits


def _smallest(groups: Sequence[list[str]], most: int) -> list[str]:
    """The smallest of the groups that have at most so many names; none if there is none."""
    return min((group for group in groups if len(group) <= most), key=len, default=[])
