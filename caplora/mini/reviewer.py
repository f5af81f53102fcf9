"""A reviewer who knows what the mini portraits show, and does with a ledger what a person does at the review table."""

import json
from functools import partial

from caplora.captions import Row, change_row, read_ledger
from caplora.mini.portraits import TRUTH
from caplora.mini.world import caption
from caplora.review import kept
from caplora.study import read_study


def review_portraits(name: str) -> list[Row]:
    """The rows decided now, all that were pending: a caption that is right is kept, one that is not is corrected.

    `name` is that of a study of the mini portraits; what the machine said stays in the ledger.
    """
    study = read_study(name)
    shown = json.loads(TRUTH.read_text(encoding="utf-8"))
    pending = [row for row in read_ledger(study.dataset) if row.status == "pending"]
    right = {row.file_name: caption(shown[row.source]) for row in pending}
    return [change_row(study.dataset, file, partial(kept, text=text)) for file, text in right.items()]
