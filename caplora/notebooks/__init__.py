"""What the five notebooks hold: one object each, named for what the notebook makes.

01 holds `Portraits`, 02 and the command `train` hold `Adapters`, 03 `Samples`, whose arms are in `arms.py`, and the
`Finalists` that it trains again, 04 `Scores` and at its end `People`, who compare pictures, and 05 `Results`, whose
tables are in `tables.py`, and the `Card` of the adapter that it chose. The objects are thin: they carry a study and its
tables, and call the rooms. Each notebook holds a `Keeping` too, which keeps the work in a second folder: Google Drive,
on Colab; and `parameters` stops it on a name that its parameters cell does not have. `watch` shows a study while it
runs, in a notebook of its own: `watch("mini")`.

Each is imported when it is asked for: a notebook does not wait for the libraries of the other four.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caplora.notebooks.adapters import Adapters
    from caplora.notebooks.card import Card
    from caplora.notebooks.finalists import Finalists
    from caplora.notebooks.keeping import Keeping
    from caplora.notebooks.parameters import check_parameters
    from caplora.notebooks.people import People
    from caplora.notebooks.portraits import Portraits
    from caplora.notebooks.results import Results
    from caplora.notebooks.samples import Samples
    from caplora.notebooks.scores import Scores
    from caplora.watching import watch

__all__ = [
    "Adapters", "Card", "Finalists", "Keeping", "People", "Portraits", "Results", "Samples", "Scores",
    "check_parameters", "watch",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name!r}")
    elsewhere = {"check_parameters": f"{__name__}.parameters", "watch": "caplora.watching"}
    return getattr(import_module(elsewhere.get(name, f"{__name__}.{name.lower()}")), name)
