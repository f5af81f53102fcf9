"""What the five notebooks hold: one object each, named for what the notebook makes.

The objects are thin: they carry a study and its tables, and call the rooms.
"""

from caplora.notebooks.results import Results

__all__ = [
    "Results",
]
