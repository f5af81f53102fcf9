"""Room."""

from caplora.figures.losses import loss_curves

__all__ = [
    "loss_curves",
]
