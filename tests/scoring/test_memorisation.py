"""memorisation.py: an adapter is measured against the images that it was trained on, and so is its null."""

from pathlib import Path

import numpy as np
import pytest

from caplora.sampling.samples import Sample
from caplora.scoring.embeddings import Embeddings
from caplora.scoring.memorisation import excess_table
from tests.scoring.test_whole_arms import Looks, pictures


def test_memorisation_is_above_that_of_portraits_that_nobody_trained_on(tmp_path: Path) -> None:
    views = Embeddings(Looks())
    trained, unseen = pictures(tmp_path / "trained", 12, 0), pictures(tmp_path / "unseen", 5, 1)
    drawn = pictures(tmp_path / "drawn", 4, 2)
    samples = [Sample(arm, path, path.name, 0, "test") for arm in ("all", "few") for path in drawn]
    table = excess_table(views, samples, trained, {"few": trained[:3]}, unseen)
    unit = {p: views.images([p])[0].numpy() for p in [*trained, *unseen, *drawn]}
    unit = {p: view / np.linalg.norm(view) for p, view in unit.items()}
    for arm, own in (("all", trained), ("few", trained[:3])):
        cosine = {p: max(float(unit[p] @ unit[t]) for t in own) for p in [*unseen, *drawn]}
        null = np.mean([cosine[p] for p in unseen])
        found = table[table["variant"] == arm]["value"].to_numpy()
        assert found == pytest.approx([cosine[p] - null for p in drawn], abs=1e-5)
    assert len(excess_table(views, samples, trained, {}, [])) == 0
