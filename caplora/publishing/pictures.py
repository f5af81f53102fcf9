"""Samples of a study → the few pictures of a model card, chosen by a rule that does not look at how good they are.

The first test prompts with the first seed, where baseline and adapter both drew them; of a variant that was spared the
test prompts, the development prompts. A picture must say itself that it was drawn for its prompt, so no portrait gets
in, and one that is as near to a training image as a copy of it is left out.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from caplora.report import read_table
from caplora.sampling import pictures_of, said_of, wanted_samples
from caplora.study import BASELINE, Study, disk_errors_name, replacing

COUNT = 4  # prompts
FOLDER = "images"
SUITES = ("test", "development")


@dataclass(frozen=True)
class Pair:
    """What the base model and the adapter drew for a prompt from the same noise."""

    prompt: str
    seed: int
    baseline: Path
    adapter: Path

    @property
    def file_name(self) -> str:
        """Of the adapter's picture on the card."""
        return f"{FOLDER}/{self.adapter.name}"

    @property
    def baseline_name(self) -> str:
        """Of the base model's."""
        return f"{FOLDER}/{BASELINE}_{self.baseline.name}"


@dataclass(frozen=True)
class Chosen:
    """The pictures of a card, and how many were left out because they are as near to a training image as a copy.

    `unchecked` is how many of those shown nobody has compared with the training images.
    """

    pairs: tuple[Pair, ...]
    split: str = ""
    left_out: int = 0
    unchecked: int = 0


def chosen_pictures(study: Study, variant: str) -> Chosen:
    """The pictures of `variant` by the rule; none where samples were not drawn, or all are near-copies."""
    copies, left_out = near_copies(study, variant), 0
    for split in SUITES:
        pairs = drawn_pairs(study, variant, split)
        kept = [pair for pair in pairs if not copies.get((pair.prompt, pair.seed))][:COUNT]
        passed = pairs[: pairs.index(kept[-1]) + 1] if kept else pairs
        left_out += len(passed) - len(kept)
        if kept:
            return Chosen(tuple(kept), split, left_out, sum((p.prompt, p.seed) not in copies for p in kept))
    return Chosen((), left_out=left_out)


def drawn_pairs(study: Study, variant: str, split: str) -> list[Pair]:
    """The prompts of a suite that both arms drew with the first seed, in the study's order."""
    wanted = [w for w in wanted_samples(study.sampling) if w.split == split and w.seed == study.sampling.seeds[0]]
    base, own = (pictures_of(study.samples(arm), wanted) for arm in (BASELINE, variant))
    pairs = [Pair(w.prompt, w.seed, base[w], own[w]) for w in wanted if w in base and w in own]
    return [p for p in pairs if said_of(p.baseline).get("prompt") == said_of(p.adapter).get("prompt") == p.prompt]


def near_copies(study: Study, variant: str) -> dict[tuple[str, int], bool]:
    """Prompt and seed of every sample that was checked → whether it is nearer to a training image than 95 % of the
    held-out portraits are. Scores of before there was this check, or without held-out portraits, have checked none.
    """
    closest, scores = read_table(study.closest), read_table(study.scores, [variant])
    limits = closest["limit"].dropna().tolist() if "limit" in closest else []
    if not limits or not len(scores):
        return {}
    own = scores[(scores["metric"] == "memorisation") & scores["value"].notna()]
    limit = limits[0]
    columns = (own[name].tolist() for name in ("prompt", "seed", "value"))
    return {(prompt, seed): value > limit for prompt, seed, value in zip(*columns, strict=True)}


def save_bare(source: Path, path: Path) -> None:
    """The same pixels without anything that the file says beside them, whole or not at all."""
    with disk_errors_name(source, "read"), Image.open(source) as image:
        pixels = np.asarray(image.convert("RGB"))
    with replacing(path) as part:
        Image.fromarray(pixels).save(part, format="PNG")
