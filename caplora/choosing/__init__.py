"""Scores and what was asked for → who draws the test prompts, who of them is reported, and who cannot be judged.

`choice` has the rule by which the development prompts choose, and `steps` that for adapters kept at several steps of a
training. `failures` says why a variant cannot be judged. `ablation` knows which variants are no candidates, because
they are trained on other captions or on fewer images, and what each kind of captions is worth.
"""

from caplora.choosing.ablation import ablation_arms, ablation_table, image_arms
from caplora.choosing.choice import Choice, read_choice
from caplora.choosing.failures import without

__all__ = [
    "Choice", "ablation_arms", "ablation_table", "image_arms", "read_choice", "without",
]  # fmt: skip
