"""Room."""

from caplora.scoring.clip import ClipEmbeddings, ClipEncoder
from caplora.scoring.embeddings import embed
from caplora.scoring.folder import read_texts, score_folder
from caplora.scoring.judge import named_attributes
from caplora.scoring.scores import caption_agreement
from caplora.scoring.whole_arms import ArmValues

__all__ = [
    "ArmValues",
    "ClipEmbeddings",
    "ClipEncoder",
    "caption_agreement",
    "embed",
    "named_attributes",
    "read_texts",
    "score_folder",
]
