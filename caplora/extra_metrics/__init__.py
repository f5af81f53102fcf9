"""Samples → scores of further models, each by name in `scoring.extra` of a study; nothing in caplora needs one of them.

`pick_score`, `vqa` and `quality` are the metrics, one interface over the embeddings that `scoring` keeps by content;
`asked` loads those that a study asks for. `about` says of each what it measures, its licence and what it cannot tell.
"""

from caplora.extra_metrics.about import ABOUT, About
from caplora.extra_metrics.asked import Extra, load_extra

__all__ = ["ABOUT", "About", "Extra", "load_extra"]
