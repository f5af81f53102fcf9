"""A study → the further metrics that it asks for, loaded: the one interface of all of them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import pandas as pd
import torch

from caplora.extra_metrics.pick_score import PickScore
from caplora.extra_metrics.quality import Quality
from caplora.extra_metrics.vqa import Vqa
from caplora.sampling import Sample
from caplora.study import Study


@runtime_checkable
class Extra(Protocol):
    """A metric by a model of its own; what the model made of a picture is kept by content, as all embeddings are."""

    metric: str

    def batches(self, samples: Sequence[Sample]) -> int:
        """How many batches `embed` yields."""
        ...

    def embed(self, samples: Sequence[Sample]) -> Iterator[object]:
        """Put every picture through the model that has not been, batch by batch."""
        ...

    def table(self, samples: Sequence[Sample]) -> pd.DataFrame:
        """A row of the score table for each sample."""
        ...


METRICS: dict[str, Callable[[Study, torch.device], Extra]] = {"pick_score": PickScore, "vqa": Vqa, "quality": Quality}


def load_extra(study: Study, device: torch.device) -> list[Extra]:
    """The metrics in `scoring.extra`, in its order; none where it is empty, and then nothing is loaded."""
    return [METRICS[name](study, device) for name in study.scoring.extra]
