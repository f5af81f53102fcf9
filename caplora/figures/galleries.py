"""Samples → figures: the pictures themselves, side by side from the same noise."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image

from caplora.figures.look import (
    INK,
    MUTED,
    STYLE,
    WIDTH,
    Figure,
    appearance,
    counts,
    footnote,
    opening_note,
    shorten,
    wrapped,
)
from caplora.sampling import CAPTIONED
from caplora.statistics import primary_model
from caplora.study import BASELINE, Study, disk_errors_name, metric_of, percent

Picture = NDArray[np.uint8]  # (height, width, 3), sRGB
Pictures = Mapping[str, Mapping[str, Picture]]  # arm → prompt → sample


def read_pictures(folder: Path, names: Iterable[str]) -> list[Picture]:
    """The images of those names in `folder`, RGB; a name that leaves the folder is a ValueError."""
    paths = [(folder / name).resolve() for name in names]
    outside = [p for p in paths if folder.resolve() not in p.parents]
    if outside:
        raise ValueError(f"{outside[0]} lies outside {folder}: correct file_name in its metadata.csv")
    pictures = []
    for path in paths:
        with disk_errors_name(path, "read"), Image.open(path) as image:
            pictures.append(np.asarray(image.convert("RGB")))
    return pictures


def sample_pictures(folder: Path, prompts: Sequence[str], seed: int) -> dict[str, Picture]:
    """What one arm drew for `prompts` with one seed: prompt → picture, in their order; one not drawn is left out."""
    with disk_errors_name(folder / "metadata.csv", "read"):
        table = pd.read_csv(folder / "metadata.csv", keep_default_na=False)
    names = dict(table.loc[table["seed"] == seed, ["text", "file_name"]].itertuples(index=False, name=None))
    drawn = [p for p in prompts if p in names]
    return dict(zip(drawn, read_pictures(folder, [names[p] for p in drawn]), strict=True))


def sample_table(scores: pd.DataFrame, arms: Sequence[str], prompts: Sequence[str], seed: int) -> pd.DataFrame:
    """What a grid of samples shows, and the primary CLIPScore of each: variant, prompt, seed, clip_score."""
    own = scores[(scores["metric"] == "clip_score") & (scores["model"] == primary_model(scores))]
    own = own[own["variant"].isin(arms) & own["prompt"].isin(prompts) & (own["seed"] == seed)]
    return own[["variant", "prompt", "seed", "value"]].rename(columns={"value": "clip_score"})


@rc_context(STYLE)
def sample_grid(samples: Pictures, note: str = "") -> Figure:
    """Every arm's sample of every prompt: a row per prompt, a column per arm, all of a row from the same noise."""
    prompts = list(dict.fromkeys(p for drawn in samples.values() for p in drawn))
    side = min(1.5, (WIDTH - 1.8) / len(samples))  # inches
    words = min(2.6, WIDTH - 0.1 - side * len(samples))
    width, height = words + side * len(samples) + 0.1, side * len(prompts) + 0.65
    figure = Figure((width, height))
    texts = shorten(prompts, int(words / 0.064), max_lines=int(side / 0.13))
    size = min(9, 90 * side / max(len(arm) for arm in samples))  # of the arms' names, so that they stay apart
    for y, (prompt, text) in enumerate(zip(prompts, texts, strict=True), 1):
        bottom = height - 0.3 - side * y
        figure.text(0.08 / width, (bottom + side / 2) / height, text, va="center", fontsize=7.5, linespacing=1.2)
        for x, arm in enumerate(samples):
            axes = place(figure, words + side * x, bottom, side - 0.04)
            show_picture(axes, samples[arm].get(prompt))
            if y == 1:
                axes.set_title(arm, loc="center", fontsize=size, color=_colour(arm))
    footnote(figure, "; ".join(filter(None, ["each row starts from the same noise", note, opening_note(prompts)])))
    return figure


@rc_context(STYLE)
def labelled_grid(
    pictures: Sequence[Sequence[Picture | None]], columns: Sequence[str], rows: Sequence[str], note: str
) -> Figure:
    """Pictures row by row, a label above each column and, where there are several rows, beside each row."""
    count, longest = len(pictures[0]), max(len(word) for label in rows for word in (label[:26], *label.split()))
    words = min(1.7, 0.2 + 0.064 * longest) if any(rows) else 0.08
    side = min(2.4, max(0.9, (WIDTH - words - 0.08) / count))  # inches
    above = [fill(label, max(10, int(side / 0.064))) for label in columns]
    top, width = 0.14 * max(text.count("\n") + 1 for text in above) + 0.14, words + side * count + 0.08
    below = 0.25 + 0.14 * (wrapped(note, width).count("\n") + 1)
    figure = Figure((width, height := top + side * len(pictures) + below))
    for y, (own, label) in enumerate(zip(pictures, rows, strict=True), 1):
        bottom = height - top - side * y
        text = fill(label, int(words / 0.064), max_lines=max(2, int(side / 0.14)), placeholder=" …")
        figure.text(0.08 / width, (bottom + side / 2) / height, text, va="center", fontsize=7.5, linespacing=1.2)
        for x, picture in enumerate(own):
            show_picture(place(figure, words + side * x, bottom, side - 0.04), picture)
    for x, text in enumerate(above):
        left, foot = (words + side * (x + 0.5) - 0.02) / width, 1 - (top - 0.09) / height
        figure.text(left, foot, text, ha="center", va="baseline", fontsize=7.5, linespacing=1.2)
    footnote(figure, note)
    return figure


def copies_table(replication: pd.DataFrame, last: str, count: int = 3) -> pd.DataFrame:
    """The rows of all arms for the captions by which `last` comes nearest to the images that they are of.

    `count` captions are of training images, and as many of held-out ones.
    """
    own = replication[replication["variant"] == last]
    nearest = [p for _, rows in own.groupby("split", sort=False) for p in rows.nlargest(count, "value")["prompt"]]
    return pd.concat([replication[replication["prompt"] == prompt] for prompt in nearest])


def copied_pictures(study: Study, table: pd.DataFrame, arms: Mapping[str, str]) -> Pictures:
    """Title → caption of a `copies_table` → picture: the images themselves, and what each of title → arm draws.

    A picture that is gone is left out.
    """
    prompts, seed = list(table["prompt"].unique()), int(table["seed"].iloc[0])
    names = {p: n for p, n in zip(table["prompt"], table["image"], strict=True) if (study.dataset / n).is_file()}
    images = dict(zip(names, read_pictures(study.dataset, names.values()), strict=True))
    folders = {title: study.samples(f"{arm}{CAPTIONED}") for title, arm in arms.items()}
    return {"the image": images} | {title: sample_pictures(own, prompts, seed) for title, own in folders.items()}


@rc_context(STYLE)
def copies(pictures: Pictures, table: pd.DataFrame) -> Figure:
    """Images beside what each arm draws when it is asked with their captions: a row per image, training images first.

    `pictures` are `copied_pictures` of a `copies_table`.
    """
    split = dict(zip(table["prompt"], table["split"], strict=True))
    rows = [[drawn.get(prompt) for drawn in pictures.values()] for prompt in split]
    beside = ["trained on" if own == "train" else "held out" for own in split.values()]
    note = (
        "Each row: an image, and what is drawn from its caption and the same noise. Of training images and of held-out"
        f" ones, those that the last column comes nearest to (cosine by {table['model'].iloc[0]})."
    )
    return labelled_grid(rows, list(pictures), beside, note)


@rc_context(STYLE)
def teaser(portraits: Sequence[Picture], samples: Pictures, effect: pd.Series, note: str = "") -> Figure:
    """The study in one picture: training portraits, the baseline above a variant, and what the test prompts say.

    `samples` holds the baseline and one variant, `effect` is that variant's row of the table of effects.
    """
    prompts = list(dict.fromkeys(p for drawn in samples.values() for p in drawn))
    side = (WIDTH - 0.66) / (len(prompts) + 4 / 3)  # inches; three portraits are as high as two samples
    left, bottom, height = WIDTH - 0.08 - side * len(prompts), 1.08, 2 * side + 1.94
    figure = Figure((WIDTH, height))
    _headline(figure, effect, height)
    figure.text(0.01, (bottom + 2 * side + 0.07) / height, "some of the training portraits", fontsize=8, color=MUTED)
    for i, portrait in enumerate(portraits[:6]):
        small = 2 * side / 3
        show_picture(place(figure, 0.08 + i % 2 * small, bottom + (2 - i // 2) * small, small - 0.03), portrait)
    for row, arm in enumerate(samples):
        y = bottom + (1 - row) * side
        figure.text((left - 0.2) / WIDTH, (y + side / 2) / height, arm, rotation=90, ha="center", va="center",
                    fontsize=9.5, fontweight="bold", color=_colour(arm))  # fmt: skip
        for x, prompt in enumerate(prompts):
            show_picture(place(figure, left + x * side, y, side - 0.03), samples[arm].get(prompt))
    for x, text in enumerate(shorten(prompts, int(side / 0.065), max_lines=6)):
        figure.text((left + x * side) / WIDTH, (bottom - 0.08) / height, text, va="top", fontsize=7.5, linespacing=1.2)
    said = "above and below: the same noise"
    footnote(figure, "; ".join(filter(None, [said, note, opening_note(prompts)])))
    return figure


def _headline(figure: Figure, effect: pd.Series, height: float) -> None:
    """What was measured, in two lines: a null result reads as one."""
    name = metric_of(effect["metric"]).name
    gain = f"{name} {effect['baseline']:.3f} → {effect['adapter']:.3f}, {percent(effect['relative'])}"
    among = f"95 % interval {percent(effect['relative_low'])} to {percent(effect['relative_high'])}"
    said = f"{effect['variant']} {effect['verdict']} the baseline: {gain}"
    figure.text(0.01, 1 - 0.12 / height, said, va="top", fontsize=11.5, fontweight="bold", color=INK)
    under = f"{among}, clustered by prompt; n = {counts(effect.to_frame().T)}"
    figure.text(0.01, 1 - 0.38 / height, under, va="top", fontsize=9, color=MUTED)


def _colour(arm: str) -> str:
    return MUTED if arm == BASELINE else str(appearance(arm)["color"])


def place(figure: Figure, left: float, bottom: float, side: float) -> Axes:
    """A square of the figure, in inches from its lower left corner."""
    width, height = figure.get_size_inches()
    return figure.add_axes((left / width, bottom / height, side / width, side / height))


def show_picture(axes: Axes, picture: Picture | None) -> None:
    """One picture in its place, or the word that it is missing."""
    axes.axis("off")
    if picture is None:
        axes.text(0.5, 0.5, "missing", ha="center", va="center", color=MUTED, transform=axes.transAxes)
    else:
        axes.imshow(picture)
