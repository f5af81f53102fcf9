"""What Stable Diffusion 1.5, 2.1 and XL need of a card and how long a study takes, counted and not run: two tables.

    python benchmarks/budget.py

The study is `sd15` with the grid of six; the other models take its settings at their own resolution. The first table
is the hour on a T4: the default study as it stands, and with settings that draw and train more or less.
"""

from shapes import RESOLUTION, base_configs

from caplora.planning import CARDS, card_of, forecast_of, table_of
from caplora.study import read_study, read_variants

GRID = read_variants("grid")
WAYS = {  # of the default study: what is turned in training and in sampling
    "as it stands: 20 steps, one finalist": ({}, {}),
    "two finalists": ({}, {"finalists": 2}),
    "every variant draws the test prompts": ({}, {"finalists": 6}),
    "every variant, 30 steps of the solver": ({}, {"finalists": 6, "num_inference_steps": 30}),
    "as it stands, half as many training images": ({"gradient_accumulation_steps": 1}, {}),
}


def cards() -> None:
    """A table of every card for each base model."""
    study = read_study("sd15")
    for name, pixels in RESOLUTION.items():
        own = study.model_copy(update={"images": study.images.model_copy(update={"resolution": pixels})})
        forecasts = [forecast_of(own, GRID, base_configs(name), card) for card in CARDS.values()]
        print(f"\n{name} at {pixels} pixels\n\n{table_of(forecasts)}", flush=True)


def hour() -> None:
    """The default study on a T4, and what would make it shorter."""
    print("\n| sd15 on a T4 | pictures | 02, min | 03, min | 04, min | in all, min |\n|---|---|---|---|---|---|")
    for name, (training, sampling) in WAYS.items():
        study = read_study("sd15", training=training, sampling=sampling)
        found = forecast_of(study, GRID, base_configs("sd15"), card_of("T4"))
        m, drawn = found.minutes, sum(found.drawn.values())
        print(f"| {name} | {drawn} | {m.training:.0f} | {m.sampling:.0f} | {m.scoring:.0f} | {m.all:.0f} |", flush=True)


if __name__ == "__main__":
    hour()
    cards()
