"""The losses of a training → curves: smoothed over raw, the variants beside each other, held-out images below."""

import re
from collections.abc import Sequence

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from caplora.figures.look import GREY, STYLE, WIDTH, Figure, appearance, footnote
from caplora.study import Study, Variant, disk_errors_name


def read_curves(study: Study, variants: Sequence[Variant], name: str) -> pd.DataFrame:
    """The curves that the variants' trainings left (variant, step, loss): `losses` or `validation`."""
    tables = []
    for variant in variants:
        path = study.adapter(variant) / f"{name}.csv"
        with disk_errors_name(path, "read"):
            tables.append(pd.read_csv(path).assign(variant=variant.name))
    return pd.concat(tables, ignore_index=True)


def curve_table(losses: pd.DataFrame, validation: pd.DataFrame | None = None) -> pd.DataFrame:
    """What `loss_curves` draws: variant, step, split (train, held_out), loss, smoothed, minus_mean.

    `smoothed` is the running mean of the loss, `minus_mean` the same without the mean of the variants that have
    the training seed too; both of train.
    """
    table = _by_variant(losses)
    curves = {"loss": table, "smoothed": _smoothed(table), "minus_mean": _smoothed(_minus_mean(table))}
    train = pd.concat({name: curve.unstack() for name, curve in curves.items()}, axis=1).reset_index()
    parts = [train.assign(split="train")]
    if validation is not None and len(validation):
        parts.append(validation.assign(split="held_out"))
    return pd.concat(parts, ignore_index=True)[["variant", "step", "split", *curves]]


@rc_context(STYLE)
def loss_curves(losses: pd.DataFrame, validation: pd.DataFrame | None = None, note: str = "") -> Figure:
    """The training loss of each variant (variant, step, loss): smoothed over raw, and, for several, their differences.

    Variants of a study see the same images, noise and timesteps, so the noise cancels in the differences. A third
    panel has the loss on held-out images, the lowest of each variant marked. `note` is small print.
    """
    table = _by_variant(losses)
    beside = _minus_mean(table)  # without a variant that has its seed alone
    panels = 1 + (beside.shape[1] > 1) + (validation is not None and len(validation) > 0)
    figure = Figure((WIDTH, 3.3), layout="constrained")
    axes = iter(figure.subplots(1, panels, squeeze=False)[0])
    first = next(axes)
    _curves(first, _smoothed(table), table)
    first.set(title="Loss", ylabel="error of the predicted noise (MSE)", ylim=(0, None))
    if beside.shape[1] > 1:
        second = next(axes)
        _curves(second, _smoothed(beside))
        second.axhline(0, color=GREY, lw=0.8)
        second.set(title="Minus the variants' mean")
    if validation is not None and len(validation):
        _validation(next(axes), _by_variant(validation))
    handles = [Line2D([], [], **{**appearance(v), "marker": ""}, label=v, lw=1.8) for v in table.columns]
    figure.legend(handles=handles, loc="outside right center", handlelength=2.8)
    steps = f"n = {len(table)} steps per variant"
    footnote(figure, f"Lines: running mean of {_window(table)} steps; faint: each step. {steps}. {note}".strip())
    return figure


def _by_variant(losses: pd.DataFrame) -> pd.DataFrame:
    return losses.pivot(index="step", columns="variant", values="loss")[list(dict.fromkeys(losses["variant"]))]


def _validation(axes: Axes, table: pd.DataFrame) -> None:
    for variant in table.columns:
        look, curve = appearance(variant), table[variant].dropna()
        axes.plot(curve.index, curve, color=look["color"], linestyle=look["linestyle"], lw=1.6)
        lowest = curve[curve == curve.min()]
        axes.plot(lowest.index, lowest, color=look["color"], marker="o", ms=4)
    axes.set(title="Held-out loss (dot: lowest)", xlabel="training step")


def _window(table: pd.DataFrame) -> int:
    """Steps of the running mean."""
    return max(1, len(table) // 15)


def _smoothed(table: pd.DataFrame) -> pd.DataFrame:
    return table.rolling(_window(table), center=True, min_periods=1).mean()


def _minus_mean(table: pd.DataFrame) -> pd.DataFrame:
    """What is left of each variant's loss without the noise, which variants of one training seed share."""
    of_seed: dict[str, list[str]] = {}
    for variant in table.columns:
        of_seed.setdefault("".join(re.findall(r"_s-?\d+(?=_|$)", variant)), []).append(variant)
    parts = [table[own].sub(table[own].mean(axis=1), axis=0) for own in of_seed.values() if len(own) > 1]
    return pd.concat([table.iloc[:, :0], *parts], axis=1)


def _curves(axes: Axes, smooth: pd.DataFrame, raw: pd.DataFrame | None = None) -> None:
    for variant in smooth.columns:
        look = appearance(variant)
        if raw is not None:
            axes.plot(raw.index, raw[variant], color=GREY, lw=0.4, alpha=0.6 / raw.shape[1])
        axes.plot(smooth.index, smooth[variant], color=look["color"], linestyle=look["linestyle"], lw=1.6)
    axes.margins(x=0)
    axes.set(xlabel="training step")
