"""Room."""

from caplora.captioning.machine_captions import captions_of

__all__ = [
    "captions_of",
]
