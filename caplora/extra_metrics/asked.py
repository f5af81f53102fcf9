"""A study → the further metrics that it asks for: the one interface of all of them."""

import gc
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

import pandas as pd
import torch

from caplora.extra_metrics.pick_score import PickScore
from caplora.extra_metrics.quality import Quality
from caplora.extra_metrics.vqa import Vqa
from caplora.sampling import Sample
from caplora.study import Study


class Extra(Protocol):
    """A metric by a model of its own; what the model made of a picture is kept by content, as all embeddings are."""

    metric: str

    def __init__(self, study: Study, device: torch.device) -> None: ...

    @staticmethod
    def batches(study: Study, samples: Sequence[Sample]) -> int:
        """How many batches `embed` yields; no model is loaded for that."""
        ...

    def embed(self, samples: Sequence[Sample]) -> Iterator[object]:
        """Put every picture through the model that has not been, batch by batch."""
        ...

    def table(self, samples: Sequence[Sample]) -> pd.DataFrame:
        """A row of the score table for each sample."""
        ...


METRICS: dict[str, type[Extra]] = {"pick_score": PickScore, "vqa": Vqa, "quality": Quality}


class Extras:
    """The metrics in `scoring.extra` of a study, for some samples; each is loaded when its turn comes.

    What stands `aside` are models that leave the card meanwhile.
    """

    def __init__(
        self, study: Study, samples: Sequence[Sample], device: torch.device, aside: Sequence[torch.nn.Module] = ()
    ) -> None:
        self.study, self.samples, self.device, self.aside = study, samples, device, aside
        self._tables: dict[str, pd.DataFrame] = {}

    @property
    def batches(self) -> int:
        """How many batches all of them take."""
        return sum(METRICS[name].batches(self.study, self.samples) for name in self.study.scoring.extra)

    def embed(self) -> Iterator[object]:
        """Put every picture through their models, batch by batch.

        One model is let go of before the next is loaded: two of them do not fit a card of 16 GB.
        """
        names = self.study.scoring.extra
        self._place(torch.device("cpu") if names else self.device)
        try:
            for name in names:
                metric = METRICS[name](self.study, self.device)
                yield from metric.embed(self.samples)
                self._tables[name] = metric.table(self.samples)
                del metric
                gc.collect()
                torch.cuda.empty_cache()
        finally:
            self._place(self.device)

    def _place(self, device: torch.device) -> None:
        for model in self.aside:
            model.to(device)
        torch.cuda.empty_cache()

    def tables(self) -> list[pd.DataFrame]:
        """What each of them says, a row of the score table for each sample."""
        if len(self._tables) < len(self.study.scoring.extra):
            deque(self.embed(), maxlen=0)
        return list(self._tables.values())
