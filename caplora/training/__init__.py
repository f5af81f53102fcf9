"""Room."""

from caplora.training.caption_kinds import other_captions
from caplora.training.grid import Grid, claim
from caplora.training.inputs import Encoders, Inputs
from caplora.training.loop import Step
from caplora.training.packs import Plan, plan_packs, train_grid
from caplora.training.records import read_curve, read_records

__all__ = [
    "Encoders",
    "Grid",
    "Inputs",
    "Plan",
    "Step",
    "claim",
    "other_captions",
    "plan_packs",
    "read_curve",
    "read_records",
    "train_grid",
]
