"""The ledger → captions that ask adapters for their training images back, and as many of images nobody has seen."""

from collections import Counter
from collections.abc import Sequence

from caplora.captions import Row, held_out, read_ledger, trained
from caplora.study import Study, Variant, drawn_images
from caplora.training import trained_on


def captions_to_ask(study: Study, variants: Sequence[Variant]) -> dict[str, list[str]]:
    """Split → captions: of `sampling.captions` images that all of the variants were trained on, and of as many unseen.

    There may be fewer of either; where one has none, there are no captions at all.
    """
    captions = {name: text for text, name in images_by_caption(study).items()}
    names = {split: {row.file_name for row in rows} & {*captions} for split, rows in _rows(study).items()}
    seen = [set(own) for v in variants if (own := trained_on(study, v))]  # one that says nothing has seen all
    names["train"] = names["train"].intersection(*seen)
    most, seed = study.sampling.captions, study.training.seed
    drawn = {split: drawn_images(own, min(most, len(own)), seed) for split, own in names.items()}
    return {split: [captions[name] for name in own] for split, own in drawn.items()} if all(drawn.values()) else {}


def images_by_caption(study: Study) -> dict[str, str]:
    """Caption → file name of the image that it is of; a caption that several images have is left out."""
    rows = [row for own in _rows(study).values() for row in own if row.text]
    counts = Counter(row.text for row in rows)
    return {row.text: row.file_name for row in rows if counts[row.text] == 1}


def _rows(study: Study) -> dict[str, list[Row]]:
    ledger = read_ledger(study.dataset)
    return {"train": trained(ledger), "held_out": held_out(ledger)}
