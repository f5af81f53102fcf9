"""What adapters were trained on → captions that ask for it back, and as many of images that none of them has seen."""

from collections import Counter
from collections.abc import Sequence

from caplora.captions import held_out, read_ledger
from caplora.study import Study, Variant, drawn_images
from caplora.training import trained_captions

Asked = dict[str, dict[str, str]]  # train or held_out → caption → file name of its image


def captions_to_ask(study: Study, variants: Sequence[Variant]) -> Asked:
    """Captions of `sampling.captions` images that all of the variants were trained on, and of as many held-out ones.

    Of both fewer where one has fewer; none where it has none.
    """
    known = captions_known(study, variants)
    count = min(study.sampling.captions, *map(len, known.values()))
    drawn = {split: drawn_images(own.values(), count, study.training.seed) for split, own in known.items()}
    return {split: {text: name for text, name in known[split].items() if name in drawn[split]} for split in drawn}


def captions_known(study: Study, variants: Sequence[Variant]) -> Asked:
    """The captions, as they were trained on, of images that all of the variants have seen, and of those unseen by any.

    A caption of several images is left out, and so is one whose image is gone.
    """
    seen = [trained_captions(study, v) for v in variants]
    held = {(row.file_name, row.text) for row in held_out(read_ledger(study.dataset)) if row.text}
    every = {image for own in seen for image in own.items()}
    common = every.intersection(*(own.items() for own in seen))
    unseen = {(name, text) for name, text in held if not any(name in own for own in seen)}
    counts = Counter(text for _, text in every | unseen)
    return {
        split: {t: n for n, t in sorted(own) if t and counts[t] == 1 and (study.dataset / n).is_file()}
        for split, own in (("train", common), ("held_out", unseen))
    }
