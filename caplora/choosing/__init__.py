"""Scores and what was asked for → who draws the test prompts, who of them is reported, and who cannot be judged.

`choice` has the rule by which the development prompts choose, and `steps` that for adapters kept at several steps of a
training; `retraining` says who was trained again from other seeds. `failures` says why a variant cannot be judged.
`ablation` knows which variants are no candidates, because they are trained on other captions or on fewer images, and
what each kind of captions is worth; `replication` whose captions ask an adapter for its training images back.
"""

from caplora.choosing.ablation import ablation_arms, ablation_table
from caplora.choosing.choice import Choice
from caplora.choosing.failures import without
from caplora.choosing.replication import captions_known, captions_to_ask
from caplora.choosing.retraining import drawn_before, read_asked, read_choice, read_retrained

__all__ = [
    "Choice", "ablation_arms", "ablation_table", "captions_known", "captions_to_ask", "drawn_before", "read_asked",
    "read_choice", "read_retrained", "without",
]  # fmt: skip
