"""Room."""

from caplora.review.checks import checks_of
from caplora.review.decisions import kept

__all__ = [
    "checks_of",
    "kept",
]
