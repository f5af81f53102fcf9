"""Room."""

from caplora.training.caption_kinds import other_captions
from caplora.training.grid import Grid, claim
from caplora.training.inputs import Encoders
from caplora.training.packs import plan_packs, train_grid
from caplora.training.records import read_curve

__all__ = [
    "Encoders",
    "Grid",
    "claim",
    "other_captions",
    "plan_packs",
    "read_curve",
    "train_grid",
]
