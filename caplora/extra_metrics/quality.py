"""Quality without a reference: MUSIQ of pyiqa, on the picture as it is (Ke et al. 2021, arXiv 2108.05997).

pyiqa would fetch the newest weights and unpickle whatever is in them. So it builds the network alone; the weights are
of a pinned commit, checked by their hash, and read as tensors and nothing else.
"""

from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from caplora.extra_metrics.of_pictures import OfPictures
from caplora.jobs import no_secret_told
from caplora.sampling import Sample
from caplora.scoring import Embeddings, fingerprint_of, hash_of, paths_of, score_rows, shown_of
from caplora.study import Model, Study, file_hash

FILE = "musiq_koniq_ckpt-e95806b9.pth"
SHA256 = "e95806b9eae5f3814c410f574ba8e552362bd5bc63d758ed5b97860f5d6185aa"


def installed() -> Any:
    """The library pyiqa; raises ImportError that says how to get it."""
    try:
        return import_module("pyiqa")
    except ImportError as error:
        raise ImportError(
            f"scoring.extra has quality, which needs pyiqa (for noncommercial use): pip install pyiqa, or take quality"
            f" out ({error})"
        ) from error


def weights_of(study: Study, settings: Model) -> Path:
    """The file of the weights, in the folder or from the hub; raises ValueError for another than the one known."""
    path = study.model_path(settings)
    if Path(path).is_dir():
        file = Path(path) / FILE
    else:
        from huggingface_hub import hf_hub_download

        with no_secret_told():
            file = Path(hf_hub_download(path, FILE, revision=settings.revision))
    if (found := file_hash(file)) != SHA256:
        raise ValueError(f"scoring.quality: {file} has the hash {found} and should have {SHA256}: get it again")
    return file


class Musiq:
    """MUSIQ in fp32; its embedding of a picture is one number, 0 … 100 or a little beyond."""

    def __init__(self, network: torch.nn.Module, device: torch.device) -> None:
        self.model, self.device, self.label = network.float().to(device).eval(), device, "musiq"
        self.weights = hash_of(self.model)
        self.versions = f"pyiqa {version('pyiqa')}, torch {torch.__version__}"
        self.fingerprint = fingerprint_of(self.weights, {}, self.versions, device)
        self.shown = shown_of({"range": 1}, "pyiqa")

    def pixels(self, images: Sequence[Image.Image]) -> Float[Tensor, "n 3 h w"]:
        """Pictures of one size as they are, 0 … 1."""
        stacked = np.stack([np.asarray(image.convert("RGB"), dtype=np.float32) for image in images])
        return torch.from_numpy(stacked).permute(0, 3, 1, 2) / 255

    @torch.no_grad()
    def embed_pixels(self, pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1"]:
        """The quality of each picture."""
        return self.model(pixels.to(self.device)).reshape(-1, 1)


def load_musiq(study: Study, device: torch.device) -> Musiq:
    """MUSIQ with the study's weights."""
    network = installed().create_metric("musiq", pretrained=False, device="cpu").net
    loaded = torch.load(weights_of(study, study.scoring.quality), map_location="cpu", weights_only=True)
    network.load_state_dict({key.removeprefix("module."): value for key, value in loaded.items()})
    return Musiq(network, device)


class Quality(OfPictures):
    """The quality of samples, whatever was asked for."""

    metric = "quality"

    def __init__(self, study: Study, device: torch.device) -> None:
        self.views = Embeddings(load_musiq(study, device), study.embeddings, study.scoring.batch_size)

    def table(self, samples: Sequence[Sample]) -> pd.DataFrame:
        """A row of the score table for each sample."""
        values = self.views.images(paths_of(samples))[:, 0]
        return score_rows(samples, self.metric, values.tolist(), self.views.encoder)
