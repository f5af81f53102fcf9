"""The summary of captions counts what is there."""

import pytest

from caplora.captions.ledger import Row
from caplora.figures.captions import caption_summary, summary_figure

ROWS = [
    Row("1.png", "a photo of a woman, smiling, red hair", status="edited"),
    Row("2.png", "a photo of a woman, red hair", status="kept"),
    Row("3.png", "a photo of a woman, in a hat, red scarf", status="pending"),
    Row("4.png", "a photo of a woman", status="pending"),
]


def test_captions_are_counted_by_length_facet_status_and_word() -> None:
    table = caption_summary(ROWS, ["hair", "expression"], "a photo of a woman").set_index(["measure", "value"])
    assert table.loc["words", "captions"].to_dict() == {"5": 1, "7": 1, "8": 1, "10": 1}
    assert table.loc["facet", "captions"].to_dict() == {"hair": 2, "expression": 1}
    assert table.loc["status", "share"].to_dict() == {"pending": 0.5, "kept": 0.25, "edited": 0.25}
    assert table.loc[("word", "red"), "captions"] == 3
    assert "woman" not in table.loc["word"].index


def test_the_bars_are_the_counts() -> None:
    table = caption_summary(ROWS, ["hair", "expression"], "a photo of a woman")
    bars = [[round(max(p.get_height(), 0)) for p in axes.patches] for axes in summary_figure(table).axes[:1]]
    assert bars == [table.loc[table["measure"] == "words", "captions"].tolist()]


def test_captions_that_say_the_subject_alone_have_no_commonest_words() -> None:
    table = caption_summary(ROWS[3:], ["hair"], "a photo of a woman")
    assert "word" not in set(table["measure"])
    assert summary_figure(table).axes


def test_no_captions_are_an_error() -> None:
    with pytest.raises(ValueError, match="no captions to describe"):
        caption_summary([], ["hair"])
