"""How near a sample comes to the image whose caption it was drawn from: whether an adapter brings it back.

Prompts of one's own seldom bring a training image back, its caption does (Somepalli et al. 2023, section 6; Carlini et
al. 2023, section 4). Of images that no adapter has seen, the same number is likeness and nothing more: its null.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from caplora.sampling import CAPTIONED, Sample
from caplora.scoring.embeddings import Embeddings
from caplora.scoring.sample_metrics import cosines
from caplora.scoring.scores import paths_of, score_rows


def replication_table(views: Embeddings, samples: Sequence[Sample], images: Mapping[str, Path]) -> pd.DataFrame:
    """Cosine of each sample to the image of its caption, −1 … 1, by the adapter that drew it; and the `image`.

    `images` is caption → image; a sample of another caption has no row. The split says whether the adapter was trained
    on the image: train or held_out.
    """
    own = [s for s in samples if s.prompt in images]
    pictures = [images[s.prompt] for s in own]
    values = cosines(views.images(paths_of(own)), views.images(pictures)).tolist() if own else []
    named = [replace(s, variant=s.variant.removesuffix(CAPTIONED)) for s in own]
    return score_rows(named, "replication", values, views.encoder).assign(image=[path.name for path in pictures])
