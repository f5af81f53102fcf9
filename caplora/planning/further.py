"""What the further metrics of `scoring.extra` take of a card: the arithmetic and the memory of their models, in fp32.

The shapes are those of the models that caplora names itself, pinned as they are. Of another model nothing is known
before it is fetched, and that is said.
"""

from collections.abc import Sequence
from typing import NamedTuple

from caplora.extra_metrics import phrases_of
from caplora.planning.cards import Card
from caplora.planning.counting import transformer_flop
from caplora.planning.needs import CONTEXT, SHARE
from caplora.planning.pictures import pictures_of
from caplora.study import Scoring, Study, Variant, counted


class Shape(NamedTuple):
    """A model that scores."""

    parameters: int
    flop: int  # of a picture, or of a question about one
    bytes: int  # that a picture or a question takes on its way, at most


def transformer_bytes(width: int, inner: int, tokens: int) -> int:
    """The most that a transformer's forward pass holds at a time, in fp32: both sides of a wide layer and its input."""
    return 4 * tokens * (2 * inner + 3 * width)


TILES, TILE_TOKENS = 17, 81  # of SmolVLM: a square picture in 4 × 4 parts and as a whole, each of 729 patches
READ = TILES * (TILE_TOKENS + 2) + 40  # tokens of a question: each part between two of its own, and the words
PATCHES = 16**2 + 7**2 + 12**2  # of MUSIQ: 32 pixels each, of a picture of 512 and of it at 224 and 384
SHAPES = {
    "pick_score": Shape(986_109_441, transformer_flop(1280, 5120, 32, 257), transformer_bytes(1280, 5120, 257)),
    "vqa": Shape(  # its image encoder, and a language model whose wide layers have three matrices
        2_246_272_880,
        TILES * transformer_flop(1152, 4304, 27, 729) + transformer_flop(2048, 8192 * 3 // 2, 24, READ),
        TILES * transformer_bytes(1152, 4304, 729),
    ),
    "quality": Shape(  # each patch through a small convolutional network and a matrix of 16,384 × 384 first
        27_125_825,
        PATCHES * (14_200_000 + 2 * 16_384 * 384) + transformer_flop(384, 1152, 14, PATCHES + 1),
        4 * PATCHES * 4 * 16_384,
    ),
}


class Further(NamedTuple):
    """A further metric on a card."""

    metric: str
    bytes: int | None  # everything on the card while it is asked; None where its model is not known
    at_once: int  # pictures or questions
    seconds: float

    def said(self, card: Card) -> str:
        """In a sentence, with what to do where it does not fit."""
        if self.bytes is None:
            return (
                f"What {self.metric} takes is not counted: scoring.{self.metric} names a model that is not known here."
            )
        gb = f"{self.metric} takes {self.bytes / 1e9:.1f} GB"
        if self.bytes > SHARE * card.bytes:
            return f"{gb}, which does not fit: take it out of scoring.extra, or name a smaller model."
        thing = counted(self.at_once, "question" if self.metric == "vqa" else "picture")
        return f"{gb} with {thing} at once, and about {self.seconds / 60:.0f} of the minutes for 04."


def further_of(study: Study, variants: Sequence[Variant], card: Card) -> list[Further]:
    """What each metric of `scoring.extra` takes: one after another, while the study's CLIPs are off the card."""
    return [_of(study, metric, asked_of(study, variants, metric), card) for metric in study.scoring.extra]


def _of(study: Study, metric: str, asked: float, card: Card) -> Further:
    if getattr(study.scoring, metric) != Scoring.model_fields[metric].default:
        return Further(metric, None, 0, 0.0)
    shape = SHAPES[metric]
    beside = CONTEXT + 4 * shape.parameters
    at_once = study.captioning.batch_size if metric == "vqa" else study.scoring.batch_size
    while metric == "vqa" and at_once > 1 and beside + at_once * shape.bytes > SHARE * card.bytes:
        at_once = -(-at_once // 2)
    return Further(metric, beside + at_once * shape.bytes, at_once, asked * shape.flop / card.plain_rate)


def asked_of(study: Study, variants: Sequence[Variant], metric: str) -> float:
    """How many pictures a metric is asked about, or questions vqa answers: each phrase of the prompt of each picture.

    Those at other scales and of captions are not asked about.
    """
    drawn, suites = pictures_of(study, variants), study.sampling.suites
    prompts = {**suites, "kept steps": (*suites["development"], *suites["unrelated"])}
    asked = {split: count for split, count in drawn.items() if split not in ("scales", "captions") and count}
    if metric != "vqa":
        return sum(asked.values())
    phrases = {split: sum(len(phrases_of(p)) for p in prompts[split]) / len(prompts[split]) for split in asked}
    return sum(count * phrases[split] for split, count in asked.items())
