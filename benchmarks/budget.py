"""What Stable Diffusion 1.5, 2.1 and XL need of a card and how long a study takes, counted and not run: two tables.

    python benchmarks/budget.py

The study is `sd15` with the grid of six; the other models take its settings at their own resolution. The first table
is the hour on a T4: the default study as it stands, and with settings that draw and train less.
"""

from shapes import RESOLUTION, TEXTS, VAES, unet_config
from transformers import CLIPTextConfig

from caplora.planning import CARDS, BaseConfigs, card_of, forecast_of, table_of
from caplora.study import read_study, read_variants

GRID = read_variants("grid")
WAYS = {  # of the default study: what is turned in training and in sampling, and how many finalists there are
    "as it stands": ({}, {}, None),
    "20 steps of the solver": ({}, {"num_inference_steps": 20}, None),
    "20 steps, one finalist": ({}, {"num_inference_steps": 20}, 1),
    "20 steps, two finalists": ({}, {"num_inference_steps": 20}, 2),
    "20 steps, one finalist, 1,000 images": ({"gradient_accumulation_steps": 1}, {"num_inference_steps": 20}, 1),
}


def configs(name: str) -> BaseConfigs:
    texts = [CLIPTextConfig(**text).to_dict() for text in TEXTS[name]]
    return BaseConfigs.of(unet_config(name), VAES[name], texts)


def cards() -> None:
    """A table of every card for each base model."""
    study = read_study("sd15", sampling={"num_inference_steps": 20})
    for name, pixels in RESOLUTION.items():
        own = study.model_copy(update={"images": study.images.model_copy(update={"resolution": pixels})})
        forecasts = [forecast_of(own, GRID, configs(name), card, finalists=1) for card in CARDS.values()]
        print(f"\n{name} at {pixels} pixels\n\n{table_of(forecasts)}", flush=True)


def hour() -> None:
    """The default study on a T4, and what would make it shorter."""
    print("\n| sd15 on a T4 | pictures | 02, min | 03, min | 04, min | in all, min |\n|---|---|---|---|---|---|")
    for name, (training, sampling, finalists) in WAYS.items():
        study = read_study("sd15", training=training, sampling=sampling)
        found = forecast_of(study, GRID, configs("sd15"), card_of("T4"), finalists=finalists)
        m, drawn = found.minutes, sum(found.drawn.values())
        print(f"| {name} | {drawn} | {m.training:.0f} | {m.sampling:.0f} | {m.scoring:.0f} | {m.all:.0f} |", flush=True)


if __name__ == "__main__":
    hour()
    cards()
