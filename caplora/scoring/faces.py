"""A face recogniser that embeds the largest face of a picture: two pictures of one person's face are near each other.

YuNet finds the face, its landmarks align it, and SFace embeds it (`caplora.images`). A picture in which no face is
found has the embedding 0, whose cosine to any other is 0.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from caplora.images import Absent, Detector, FaceEncoder, open_detector, open_face_encoder
from caplora.sampling import Sample
from caplora.scoring.embeddings import Embeddings, fingerprint_of, shown_of
from caplora.scoring.sample_metrics import all_cosines, nearest
from caplora.scoring.scores import paths_of, score_rows
from caplora.study import Study

CPU = torch.device("cpu")  # where OpenCV computes


class LargestFace:
    """What embeds the largest face of a picture; `shown` it is the aligned face, black where there is none."""

    def __init__(self, detector: Detector, encoder: FaceEncoder) -> None:
        self.detector, self.encoder = detector, encoder
        self.label, self.weights, self.versions = encoder.label, encoder.weights, encoder.versions
        found = {"encoder": encoder.fingerprint, "detector": detector.fingerprint}
        self.fingerprint = fingerprint_of(self.weights, found, self.versions, CPU)
        self.shown = shown_of(found, "caplora.images")

    def pixels(self, images: Sequence[Image.Image]) -> Float[Tensor, "n 3 112 112"]:
        """The aligned face of each picture, 0 … 255; zeros where none is found."""
        return torch.stack([self._aligned(image.convert("RGB")) for image in images])

    def _aligned(self, image: Image.Image) -> Float[Tensor, "3 112 112"]:
        if not (faces := self.detector.faces(image)):
            return torch.zeros(3, 112, 112)
        return torch.from_numpy(self.encoder.aligned(image, faces[0])).permute(2, 0, 1).float()

    def embed_pixels(self, pixels: Float[Tensor, "n 3 112 112"]) -> Float[Tensor, "n 128"]:
        """Embeddings of unit length, and zeros for black pixels."""
        faces = pixels.byte().permute(0, 2, 3, 1).numpy()
        made = [self.encoder.embedding(face) if face.any() else np.zeros(128) for face in faces]
        return torch.from_numpy(np.array(made)).float()


def load_faces(study: Study) -> Embeddings | Absent:
    """The study's face recogniser, and what it made before; or the reason why there is none."""
    detector = open_detector(study)
    if isinstance(detector, Absent):
        return detector
    encoder = open_face_encoder(study)
    if isinstance(encoder, Absent):
        return encoder
    return Embeddings(LargestFace(detector, encoder), study.embeddings, study.scoring.batch_size)


def face_table(views: Embeddings, samples: Sequence[Sample], portraits: Sequence[Path]) -> pd.DataFrame:
    """How like the person each sample's face is, −1 … 1, and whether one was found in it, 0 or 1.

    Likeness is the cosine to the mean of the faces in the held-out portraits (`face_similarity`) and to the nearest of
    them (`face_nearest`); it is 0 where the sample shows no face. No rows where no portrait shows one.
    """
    known = views.images(portraits) if portraits else torch.zeros(0, 128)
    known = F.normalize(known[known.any(1)], dim=1)
    if not len(known):
        return score_rows([], "face_similarity", [], views.encoder)
    faces = views.images(paths_of(samples))
    found = {
        "face_similarity": all_cosines(faces, known.mean(0, keepdim=True))[:, 0],
        "face_nearest": torch.where(faces.any(1), nearest(faces, known)[0], 0.0),
        "face_found": faces.any(1).float(),
    }
    tables = [score_rows(samples, metric, values.tolist(), views.encoder) for metric, values in found.items()]
    return pd.concat(tables, ignore_index=True)


def without_faces(views: Embeddings | Absent, portraits: Sequence[Path]) -> str:
    """Why faces are not compared, in a sentence; empty where they are."""
    if isinstance(views, Absent):
        return f"Faces are not compared: {views.reason}."
    seen = bool(portraits) and bool(views.images(portraits).any())
    return "" if seen else "Faces are not compared: none was found in the held-out portraits."
