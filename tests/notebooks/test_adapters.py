"""notebooks/adapters.py: which captions are trained on."""

from pathlib import Path

import pytest

from caplora.captions.ledger import LedgerError, Row, write_ledger
from caplora.notebooks.adapters import Adapters
from caplora.study.study import Study, read_study


def study_in(root: Path, overrule: tuple[str, ...]) -> Study:
    """The mini study with two images, one of which has no caption."""
    study = read_study("mini")
    captioning = study.captioning.model_copy(update={"overrule": overrule})
    study = study.model_copy(update={"captioning": captioning})
    study._root = root
    study.dataset.mkdir(parents=True)
    for name in ("a.png", "b.png"):
        (study.dataset / name).touch()
    write_ledger(study.dataset, [Row("a.png", "me, smiling"), Row("b.png", " ")])
    return study


@pytest.mark.fault(12)
def test_an_empty_caption_is_trained_on_only_where_the_study_says_so(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"b\.png has no caption: .*captioning\.overrule: \[captions\]"):
        _ = Adapters(study_in(tmp_path / "strict", ()), ()).captions
    with pytest.raises(LedgerError, match=r"b\.png has no caption"):
        _ = Adapters(study_in(tmp_path / "other", ("consent",)), ()).captions
    assert Adapters(study_in(tmp_path / "said", ("captions",)), ()).captions == [
        ("a.png", "me, smiling"),
        ("b.png", " "),
    ]
