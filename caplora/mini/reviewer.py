"""A stand-in for a person who reviews: it knows what the mini portraits show, and decides on every pending caption."""

import json

from caplora.captions import Ledger, Row
from caplora.mini.world import TRUTH, caption
from caplora.review import kept
from caplora.study import read_study


def review_portraits(name: str) -> list[Row]:
    """The rows that were pending and are now decided: a right caption is kept, a wrong one is corrected.

    `name` is the name of a study of the mini portraits. What the machine said stays in the ledger.
    """
    ledger, shown = Ledger(read_study(name).dataset), json.loads(TRUTH.read_text(encoding="utf-8"))
    pending = [row for row in ledger.rows.values() if row.status == "pending"]
    decided = [kept(row, caption(shown[row.source])) for row in pending]
    ledger.change({row.file_name: row for row in decided}, "reviewed", "the reviewer who knows the mini portraits")
    return decided
