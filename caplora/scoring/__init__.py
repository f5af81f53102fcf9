"""Samples → scores: what CLIP, the identity encoder and the judge say of each sample, and of each arm as a whole.

`embeddings` puts every picture through a model once; the models are `clip` (`clip_weights` fetches it), `identity`,
`faces` and `judge`, and `pretrained` loads those of transformers. `sample_metrics` has the formulas for one sample,
CLIPScore among them, and `scores` the tables that they make; `set_metrics` and `whole_arms` do the same for a whole arm
(KID, CMMD, diversity). `replication` has samples of captions. `shuffled_prompts` is a control. `folder` scores any
folder.
"""

from caplora.scoring.clip import ClipEmbeddings, clip_embeddings, load_clip
from caplora.scoring.embeddings import (
    Embeddings,
    Kept,
    batches,
    content_of,
    embed,
    fingerprint_of,
    hash_of,
    open_picture,
    shown_of,
)
from caplora.scoring.faces import face_table, load_faces, without_faces
from caplora.scoring.folder import left_out, read_pictures, score_folder, scored_paths, unread
from caplora.scoring.identity import load_identity
from caplora.scoring.judge import JudgeEmbeddings, load_judges, named_attributes
from caplora.scoring.pretrained import Pretrained
from caplora.scoring.replication import replication_table
from caplora.scoring.sample_metrics import cosines
from caplora.scoring.scores import (
    caption_agreement,
    clip_table,
    diversity_table,
    drift_table,
    judge_table,
    likeness_table,
    memorisation_table,
    paths_of,
    scorable_samples,
    score_rows,
    write_scores,
)
from caplora.scoring.shuffled_prompts import shuffled_prompts_table
from caplora.scoring.whole_arms import ArmValues, arm_values, closest_pairs

__all__ = [
    "ArmValues", "ClipEmbeddings", "Embeddings", "JudgeEmbeddings", "Kept", "Pretrained", "arm_values", "batches",
    "caption_agreement", "clip_embeddings", "clip_table", "closest_pairs", "content_of", "cosines", "diversity_table",
    "drift_table", "embed", "face_table", "fingerprint_of", "hash_of", "judge_table", "left_out", "likeness_table",
    "load_clip", "load_faces", "load_identity", "load_judges", "memorisation_table", "named_attributes", "open_picture",
    "paths_of", "read_pictures", "replication_table", "scorable_samples", "score_folder", "score_rows", "scored_paths",
    "shown_of", "shuffled_prompts_table", "unread", "without_faces", "write_scores",
]  # fmt: skip
