"""Room."""

from caplora.review.checks import Checks, checks_of
from caplora.review.corrections import corrections, edit_distances
from caplora.review.decisions import kept
from caplora.review.readiness import checklist, colour, ready
from caplora.review.static_table import static_table
from caplora.review.studio import Studio

__all__ = [
    "Checks",
    "Studio",
    "checklist",
    "checks_of",
    "colour",
    "corrections",
    "edit_distances",
    "kept",
    "ready",
    "static_table",
]
