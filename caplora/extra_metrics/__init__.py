"""Samples → scores of further models, each by name in `scoring.extra` of a study; nothing in caplora needs one of them.

`pick_score`, `vqa` and `quality` are the metrics, over the embeddings that `scoring` keeps by content (`of_pictures`);
`asked` loads those that a study asks for, one after another. `about` says of each what it measures, its licence and
what it cannot tell.
"""

from caplora.extra_metrics.about import ABOUT, About
from caplora.extra_metrics.asked import Extras
from caplora.extra_metrics.vqa import phrases_of

__all__ = ["ABOUT", "About", "Extras", "phrases_of"]
