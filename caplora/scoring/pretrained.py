"""A model of transformers that scores pictures: loaded in fp32, from a folder or by a commit of the hub.

It is read from safetensors, and no code that comes with it is run.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from caplora.jobs import no_secret_told
from caplora.scoring.embeddings import fingerprint_of, hash_of, shown_of
from caplora.study import Model, Study


class Pretrained:
    """A model with its own preprocessing; `kind` is its class in transformers, `setting` what names it in a study.

    Raises OSError naming the setting where it cannot be loaded. What it makes of pixels, a subclass says.
    """

    kind: str
    setting: str

    def __init__(self, study: Study, model: Model, device: torch.device) -> None:
        import transformers  # seconds, for those who score

        self.path, self.pinned = study.model_path(model), {"revision": model.revision, "trust_remote_code": False}
        self.device, self.label = device, Path(model.path).name
        with self.loading():
            kind, told = getattr(transformers, self.kind), {"output_loading_info": True, "use_safetensors": True}
            loaded, found = kind.from_pretrained(self.path, dtype=torch.float32, **told, **self.pinned)
            if found["missing_keys"]:  # transformers makes them up, at random
                raise ValueError(f"it lacks weights of {self.kind}: {', '.join(sorted(found['missing_keys'])[:3])}")
            self.processor = transformers.AutoImageProcessor.from_pretrained(self.path, **self.pinned)
        self.model: Any = loaded.to(device).eval()
        self.weights = hash_of(self.model)
        self.versions = f"transformers {version('transformers')}, torch {torch.__version__}"
        self.fingerprint = fingerprint_of(self.weights, self.processor.to_dict(), self.versions, device)
        self.shown = shown_of(self.processor.to_dict(), "transformers")

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Within it, what cannot be loaded is said with the setting that names the model."""
        try:
            with no_secret_told():
                yield
        except (OSError, ValueError) as error:
            raise OSError(f"{self.setting}: {self.path!r} cannot be loaded: {error}") from error

    def pixels(self, images: Sequence[Image.Image]) -> Float[Tensor, "n 3 h w"]:
        """Pictures as the model is shown them."""
        return self.processor([image.convert("RGB") for image in images], return_tensors="pt").pixel_values
