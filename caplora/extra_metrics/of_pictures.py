"""A metric whose model sees each picture once; what it makes of one is kept by content, as all embeddings are."""

from collections.abc import Iterator, Sequence

from caplora.sampling import Sample
from caplora.scoring import Embeddings, embed, paths_of
from caplora.study import Study


class OfPictures:
    """A metric by the embeddings `views`."""

    views: Embeddings

    @staticmethod
    def batches(study: Study, samples: Sequence[Sample]) -> int:
        """How many batches `embed` yields; no model is loaded for that."""
        return -(-len(samples) // study.scoring.batch_size)

    def embed(self, samples: Sequence[Sample]) -> Iterator[object]:
        """Put every picture through the model that has not been, batch by batch."""
        return embed([self.views], paths_of(samples))
