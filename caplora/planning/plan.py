"""A study, its variants and a card → what it needs, what is chosen and how long it takes, in sentences and a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from caplora.lora import refuse_rank
from caplora.planning.again import Again, again_of
from caplora.planning.cards import PLAIN_UTILISATION, UTILISATION, Card
from caplora.planning.configs import BaseConfigs
from caplora.planning.counting import targeted
from caplora.planning.further import Further, further_of
from caplora.planning.minutes import Minutes, minutes_of
from caplora.planning.needs import IMAGES, Needs, chosen, needs_of
from caplora.planning.pictures import pictures_of
from caplora.study import Study, Variant

HEADS = (
    "card", "GB", "weights", "LoRA", "activations", "to train", "to draw", "packs", "checkpointing",
    "02, min", "03, min", "04, min", "in all, min",
)  # fmt: skip


@dataclass(frozen=True)
class Forecast:
    """What a study needs on a card, and how long it takes there."""

    study: Study
    card: Card
    needs: Needs
    minutes: Minutes
    drawn: dict[str, int]  # pictures of each suite, and at other scales
    again: Again  # the best recipes, trained from other seeds
    further: tuple[Further, ...] = ()  # metrics of scoring.extra

    def said(self) -> str:
        """The forecast in sentences."""
        drawn = ", ".join(f"{count} {split}" for split, count in self.drawn.items() if count)
        fp32 = "" if self.card.tf32 else f", and {PLAIN_UTILISATION:.0%} of that in fp32"
        return (
            f"{chosen(self.study, self.needs, self.card)}\n{sum(self.drawn.values())} pictures ({drawn}).\n"
            f"{self.minutes.said().capitalize()}: the arithmetic over {UTILISATION:.0%} of the card's rate{fp32};"
            " loading and downloading come on top."
            + "".join(f"\n{said}" for said in (self.again.said(), *(m.said(self.card) for m in self.further)) if said)
        )

    def row(self) -> tuple[str, ...]:
        """The forecast as a row under `HEADS`."""
        n, m = self.needs, self.minutes
        sizes = [self.card.bytes, n.weights, n.adapters, n.activations, n.training, n.sampling]
        packs = f"{n.packs} × {n.variants}" if n.fit(self.card) else "does not fit"
        times = [m.training, m.sampling, m.scoring, m.all] if n.fit(self.card) else []
        said = [f"{t:.0f}" for t in times] or ["–"] * 4
        return (self.card.name, *(f"{s / 1e9:.1f}" for s in sizes), packs, "on" if n.checkpointing else "off", *said)


def forecast_of(
    study: Study,
    variants: Sequence[Variant],
    configs: BaseConfigs,
    card: Card,
    images: int = IMAGES,
) -> Forecast:
    """The forecast of a study's variants on a card, for so many portraits.

    Raises ValueError naming a variant whose rank is above the width of a layer.
    """
    own = list(variants)
    for variant in own:
        refuse_rank(targeted(configs, study.training.of(variant).targets), variant)
    needs, further = needs_of(study, own, configs, card, images), further_of(study, own, card)
    minutes = minutes_of(study, own, configs, card, needs, images, further)
    again = again_of(study, own, configs, card, needs, images)
    return Forecast(study, card, needs, minutes, pictures_of(study, own), again, tuple(further))


def table_of(forecasts: Sequence[Forecast]) -> str:
    """Forecasts as a table of Markdown, in GB and minutes."""
    rows = [HEADS, ("---",) * len(HEADS), *(forecast.row() for forecast in forecasts)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
