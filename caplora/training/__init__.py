"""Captioned images and variants → adapters: a whole grid is trained in one pass and resumes to the same bytes.

`inputs` encodes images and captions once. `grid` says what a study's variants train on and gives each a folder,
`packs` trains them together, and `loop` is the training itself: each step takes its `draws`, weighs the `loss` and
moves the weights (`optimizer`). `history` is what happened to each variant. `states` takes a pack apart into what the
`checkpoints` of each variant keep, and `records` writes the adapters and their curves when they are done. `room` says
before the first step whether the disk holds all that, and `caption_kinds` makes the captions of a caption ablation.
"""

from caplora.training.caption_kinds import other_captions
from caplora.training.grid import Grid, changes, claim
from caplora.training.inputs import Encoders, Inputs
from caplora.training.loop import Step
from caplora.training.packs import Plan, plan_packs, step_seconds, train_grid
from caplora.training.records import read_records, same_recipe, trained_captions, trained_on

__all__ = [
    "Encoders", "Grid", "Inputs", "Plan", "Step", "changes", "claim", "other_captions", "plan_packs", "read_records",
    "same_recipe", "step_seconds", "train_grid", "trained_captions", "trained_on",
]  # fmt: skip
