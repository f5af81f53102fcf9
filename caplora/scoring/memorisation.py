"""How much nearer samples come to the images that their adapter was trained on than other portraits do.

An adapter is measured against its own images. Fewer images are farther from anything, so the null is of the same ones.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from caplora.sampling import Sample
from caplora.scoring.embeddings import Embeddings
from caplora.scoring.sample_metrics import nearest
from caplora.scoring.scores import paths_of, score_rows


def excess_table(
    views: Embeddings,
    samples: Sequence[Sample],
    trained: Sequence[Path],
    own: Mapping[str, Sequence[Path]],
    unseen: Sequence[Path],
) -> pd.DataFrame:
    """Cosine of each sample to the training image most like it, less the mean of the `unseen` portraits', −2 … 2.

    `trained` are the images of every arm that is not in `own`, which has those of an arm trained on fewer. Without
    unseen portraits there are no rows.
    """
    arms: dict[str, list[Sample]] = {}
    for sample in samples if unseen else ():
        arms.setdefault(sample.variant, []).append(sample)
    tables = []
    for arm, drawn in arms.items():
        images = views.images(own.get(arm, trained))
        null = nearest(views.images(unseen), images)[0].mean()
        values = nearest(views.images(paths_of(drawn)), images)[0] - null
        tables.append(score_rows(drawn, "memorisation_excess", values.tolist(), views.encoder))
    return pd.concat(tables, ignore_index=True) if tables else score_rows([], "memorisation_excess", [], views.encoder)
