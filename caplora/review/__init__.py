"""The ledger of a study → captions that a person has decided on, and whether they are ready to train on.

`studio` is the widget, with `studio.js`, `strip.js` and `studio.css`; `scripts` puts `node.js`, which all widgets use,
before a script. `static_table` shows the ledger where no kernel runs.
`review` does what the person asks, with `decisions` for one row, `filters` for what is typed to find captions and
`checks` for what the study knows of them. `corrections` counts what persons changed; `readiness` is the
checklist before training.
"""

from caplora.review.checks import Checks, checks_of
from caplora.review.corrections import common_corrections, edit_distances
from caplora.review.decisions import kept
from caplora.review.readiness import checklist, colour, ready
from caplora.review.scripts import script_of
from caplora.review.static_table import html_table, jpeg
from caplora.review.studio import Studio

__all__ = [
    "Checks", "Studio", "checklist", "checks_of", "colour", "common_corrections", "edit_distances", "html_table",
    "jpeg", "kept", "ready", "script_of",
]  # fmt: skip
