"""Two pictures side by side, many times: the samples that gained and lost most, those most like a training image.

Which ones are shown is in a table that comes with each figure; a picture that is missing is said to be.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib import rc_context
from matplotlib.patches import Rectangle

from caplora.figures.galleries import Picture, place, read_pictures, sample_pictures, show_picture
from caplora.figures.look import STYLE, WIDTH, Figure, footnote, opening_note, shorten, wrapped
from caplora.statistics import Row
from caplora.study import BASELINE, Study, metric_of, signed

LETTERS = 22  # of a line below a pair
EXTREMES = ("kind", "place", "prompt", "seed", "variant", "baseline", "adapter", "difference")
Pair = tuple[Picture | None, Picture | None]
OVER = "#c8442a"
LINE = 0.135  # inches, of small text


@dataclass(frozen=True)
class Shown:
    """Two pictures and what is printed below each and below both."""

    pair: Pair
    below: tuple[str, str]
    words: str
    framed: bool = False


def extremes_table(values: pd.DataFrame, variant: str, count: int = 4) -> pd.DataFrame:
    """The samples of a table of `cells` that gained and that lost most against the baseline: `EXTREMES`.

    At most `count` of each kind, "gain" or "loss", the largest first: only what gained is a gain. Empty if nothing
    changed.
    """
    pair = values[[BASELINE, variant]].set_axis(["baseline", "adapter"], axis=1).reset_index()
    pair = pair.assign(variant=variant, difference=pair["adapter"] - pair["baseline"])
    gains = pair[pair["difference"] > 0].sort_values("difference", ascending=False, kind="stable")[:count]
    losses = pair[pair["difference"] < 0].sort_values("difference", kind="stable")[:count]
    kinds = [
        rows.assign(kind=kind, place=range(1, len(rows) + 1)) for kind, rows in (("gain", gains), ("loss", losses))
    ]
    return pd.concat(kinds, ignore_index=True)[list(EXTREMES)]


def extreme_pictures(study: Study, table: pd.DataFrame) -> list[Pair]:
    """Baseline and adapter for each row of an `extremes_table`."""
    rows = table[["variant", "prompt", "seed"]].itertuples(index=False, name=None)
    return [(_sample(study, BASELINE, p, seed), _sample(study, arm, p, seed)) for arm, p, seed in rows]


def _sample(study: Study, arm: str, prompt: str, seed: int) -> Picture | None:
    return sample_pictures(study.samples(arm), [prompt], seed).get(prompt)


def closest_pictures(study: Study, table: pd.DataFrame) -> list[Pair]:
    """Sample and training portrait for each row of a table of `closest_pairs`."""
    return [(_found(study, row), _picture_in(study.dataset, row["portrait"])) for row in table.to_dict("records")]


def _found(study: Study, row: Row) -> Picture | None:
    """The sample of a row; 03 may have given it another name since 04 found it."""
    picture = _picture_in(study.samples(row["variant"]), row["sample"])
    return (
        _sample(study, row["variant"], row["prompt"], row["seed"]) if picture is None and "prompt" in row else picture
    )


def _picture_in(folder: Path, name: str) -> Picture | None:
    return read_pictures(folder, [name])[0] if (folder / name).is_file() else None


@rc_context(STYLE)
def extremes(pictures: Sequence[Pair], table: pd.DataFrame, effect: pd.Series) -> Figure:
    """The largest gains above the largest losses, baseline beside variant, the score of each below its picture.

    `pictures` are `extreme_pictures` of an `extremes_table`, `effect` is the variant's row of the table of effects.
    """
    name, shown = metric_of(effect["metric"]).name, []
    texts = shorten(list(table["prompt"]), 28, max_lines=5)
    for pair, row, text in zip(pictures, table.to_dict("records"), texts, strict=True):
        words = f"{signed(row['difference'])}, seed {row['seed']}\n{text}"
        shown.append(Shown(pair, (f"{row['baseline']:.3f}", f"{row['adapter']:.3f}"), words))
    blocks = []
    for kind in ("gain", "loss"):
        own = [one for one, k in zip(shown, table["kind"], strict=True) if k == kind]
        title = f"Largest {kind} in {name}: baseline (left) and {effect['variant']} (right)"
        blocks.append((title if own else f"No sample has a {kind} in {name}.", own))
    note = (
        f"Extremes, not typical: of {effect['n_prompts'] * effect['n_seeds']:.0f} samples of {effect['split']} prompts"
        f" {100 * effect['positive']:.0f} % gained; the mean difference is {signed(effect['difference'])}.\n"
        f"The two of a pair start from the same noise. Scored by {effect['model']}."
        f" {opening_note(list(table['prompt']))}"
    )
    return _sheet(blocks, 4, note.strip())


@rc_context(STYLE)
def closest(pictures: Sequence[Pair], table: pd.DataFrame) -> Figure:
    """The samples most like a training image beside it, the cosine below; those above the limit are framed and named.

    `pictures` are `closest_pictures` of a table of `closest_pairs`.
    """
    limit, shown = float(table["limit"].iloc[0]), []
    for pair, row in zip(pictures, table.to_dict("records"), strict=True):
        above = row["similarity"] > limit
        cosine = f"{row['similarity']:.3f}" + (", above the limit" if above else "")
        words = f"{cosine}\n{named(row['variant'])}\nseed {row['seed']}"
        shown.append(Shown(pair, ("", ""), words, above))
    title = f"The {len(shown)} samples most like a training image (left) beside that image (right)"
    note = (
        f"Below: cosine of the two, and who drew it. Limit {limit:.3f}: 95 % of held-out portraits are less like the"
        f" training image\nmost like them. {sum(one.framed for one in shown)} of these {len(shown)} are above it."
    )
    return _sheet([(title, shown)], 5, note)


def named(variant: str) -> str:
    """The name of a variant in lines that are short enough for a pair of pictures, broken before one of its parts."""
    lines = [""]
    for part in re.findall("_?[^_]+", variant):
        lines += [""] * (len(lines[-1]) + len(part) > LETTERS)
        lines[-1] += part
    return "\n".join(filter(None, lines))


def _sheet(blocks: Sequence[tuple[str, Sequence[Shown]]], per_row: int, note: str) -> Figure:
    """Blocks of pairs with a title each, `per_row` in a row, words below every pair."""
    note, step = wrapped(note), (WIDTH - 0.1) / per_row
    side = (step - 0.14) / 2
    lines = max((one.words.count("\n") + 1 + any(one.below) for _, shown in blocks for one in shown), default=0)
    tall, small = side + LINE * lines + 0.18, 0.13 * (note.count("\n") + 1) + 0.12
    figure = Figure((WIDTH, sum(0.34 + tall * -(-len(shown) // per_row) for _, shown in blocks) + small))
    top = height = figure.get_figheight()
    for title, shown in blocks:
        figure.text(0.01, (top - 0.06) / height, title, va="top", fontsize=9.5, fontweight="bold")
        top -= 0.34
        for i, one in enumerate(shown):
            _pair(figure, one, 0.08 + i % per_row * step, top - i // per_row * tall - side, side)
        top -= tall * -(-len(shown) // per_row)
    footnote(figure, note)
    return figure


def _pair(figure: Figure, one: Shown, left: float, bottom: float, side: float) -> None:
    """Two pictures from `left` and `bottom` on, in inches, and what is said of them."""
    width, height = figure.get_size_inches()
    for x, picture, score in zip((left, left + side), one.pair, one.below, strict=True):
        axes = place(figure, x, bottom, side - 0.03)
        show_picture(axes, picture)
        if one.framed:
            axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, ec=OVER, lw=4))
        middle = (x + side / 2 - 0.015) / width
        figure.text(middle, (bottom - 0.04) / height, score, va="top", ha="center", fontsize=8, fontweight="bold")
    under = bottom - 0.05 - LINE * any(one.below)
    figure.text(left / width, under / height, one.words, va="top", fontsize=7.5, linespacing=1.2)
