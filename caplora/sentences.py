"""What was computed → sentences: a null reads as a null, a loss as a loss, and no metric is praised for the wrong way.

Every sentence is made from a row of a table; nothing here reads a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from caplora.recipes import ONE
from caplora.statistics import EQUIVALENT
from caplora.style import CAPTIONS, percent

Row = Mapping[Any, Any] | pd.Series
TOLD = {"beats": "higher than", "falls short of": "lower than", EQUIVALENT: "equivalent to"}  # verdict → of a value


@dataclass(frozen=True)
class Metric:
    """What a metric is called and which way it should go."""

    short: str  # over a column
    name: str  # at the start of a sentence
    better: Literal["more", "less"]

    @property
    def arrow(self) -> str:
        """↑ where more is better, ↓ where less is."""
        return "↑" if self.better == "more" else "↓"


METRICS = {
    "clip_score": Metric("CLIPScore", "CLIPScore", "more"),
    "clip_cosine": Metric("cosine to the prompt", "The cosine of image and prompt", "more"),
    "ref_clip_score": Metric("RefCLIPScore", "RefCLIPScore, with the captions of held-out portraits,", "more"),
    "clip_i": Metric("CLIP-I", "CLIP-I, the CLIP cosine to the held-out portraits,", "more"),
    "identity": Metric("identity", "The cosine to the held-out portraits", "more"),
    "judge": Metric("attributes shown", "The share of the named attributes that samples show", "more"),
    "memorisation": Metric("nearest trained", "The cosine to the nearest training image", "less"),
    "memorised": Metric(
        "memorised", "The share of samples nearer to a training image than 95 % of held-out portraits", "less"
    ),
    "diversity": Metric("diversity", "Diversity, the mean distance between the samples of a prompt,", "more"),
    "drift": Metric("drift", "Drift, the distance to the baseline’s samples of unrelated prompts,", "less"),
    "kid": Metric("KID", "KID, the distance to the held-out portraits,", "less"),
    "cmmd": Metric("CMMD", "CMMD, the CLIP distance to the held-out portraits,", "less"),
}


def signed(value: float) -> str:
    """A difference as print has it: `+0.065`, `−0.012`."""
    return f"{value:+.3f}".replace("-", "−")


def number(value: float) -> str:
    """A value as print has it: `0.512`, `−0.012`; a dash for what is not known."""
    return f"{value:.3f}".replace("-", "−") if np.isfinite(value) else "–"


def p_value(p: float) -> str:
    """`p = 0.013`, or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def bare_p(p: float) -> str:
    """`0.013`, or `< 0.001`, for a table."""
    return p_value(p).removeprefix("p = ").removeprefix("p ")


def counted(number: int, thing: str) -> str:
    """`1 prompt`, `16 prompts`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def named(metric: str) -> str:
    """A metric at the start of a sentence; one that is not known by its word in the table."""
    return METRICS[metric].name if metric in METRICS else metric.replace("_", " ")


def worth(metric: str, verdict: str) -> str:
    """Whether a change of a metric is for the better; empty where there is none, or where nobody knows."""
    if verdict not in ("beats", "falls short of") or metric not in METRICS:
        return ""
    good = (verdict == "beats") == (METRICS[metric].better == "more")
    return f", which is {'better' if good else 'worse'}"


def verdict_sentence(effect: Row) -> str:
    """What the study found of one variant, in one sentence: n, difference, intervals and p; a null reads as one."""
    e = effect
    n = f"{counted(e['n_prompts'], e['split'] + ' prompt')} × {counted(e['n_seeds'], 'seed')}"
    said = (
        f"{e['variant']} {e['verdict']} the baseline: {named(e['metric'])} {e['adapter']:.3f} against "
        f"{e['baseline']:.3f} on {n}, a difference of {signed(e['difference'])} (95 % interval, clustered by prompt, "
        f"{signed(e['low'])} to {signed(e['high'])}; sign-flip {p_value(e['p'])})"
    )
    if np.isfinite(e["relative"]):
        said += f", which is {percent(e['relative'])} ({percent(e['relative_low'])} to {percent(e['relative_high'])})"
    return said + "."


def recipe_sentence(recipe: Row, metric: str = "clip_score") -> str:
    """What the study found of one recipe over its trainings: a null reads as one."""
    e = recipe
    draws = " × ".join(
        [
            counted(e["n_trainings"], "training"),
            counted(e["n_prompts"], f"{e['split']} prompt"),
            counted(e["n_seeds"], "seed"),
        ]
    )
    over = "trainings and prompts" if e["n_trainings"] > 1 else f"prompts, about {ONE}"
    return (
        f"{e['recipe']} {e['verdict']} the baseline: {named(metric)} differs by {signed(e['difference'])} on {draws} "
        f"(95 % interval over {over}, {signed(e['low'])} to {signed(e['high'])}; {p_value(e['p'])}, corrected over "
        f"the recipes {p_value(e['p_corrected'])})."
    )


def power_sentence(effect: Row) -> str:
    """How often D was positive, what the bootstrap says, and what difference the study could have found."""
    e = effect
    return (
        f"Of the {e['n_prompts'] * e['n_seeds']} pairs, {100 * e['positive']:.0f} % favour {e['variant']}. A bootstrap "
        f"over prompts and then seeds gives {signed(e['bootstrap_low'])} to {signed(e['bootstrap_high'])}. A "
        f"true difference of {e['detectable']:.3f} would be found by four of five such studies."
    )


def errors_sentence(errors: pd.DataFrame) -> str:
    """How often each test finds something where nothing is, on the study's own spread."""
    rate = {row["test"]: f"{100 * row['rate']:.0f} %" for row in errors.to_dict("records")}
    return (
        "Where nothing is to be found, with this study’s own spread, the test by prompts finds something in"
        f" {rate['verdict']} of simulated studies, where 5 % are allowed; one that takes samples for independent"
        f" evidence does in {rate['samples as if independent']}."
    )


def metric_sentence(effect: Row) -> str:
    """What another metric, or another model, says of a variant, and whether that is for the better."""
    e = effect
    how = TOLD.get(e["verdict"])
    values = f"{number(e['adapter'])} against {number(e['baseline'])}"
    corrected = "" if e["n_variants"] == 1 else f", corrected {p_value(e['p_corrected'])}"
    return (
        f"{named(e['metric'])}, by {e['model']}, {f'is {how}' if how else 'cannot be told from'} the baseline’s"
        f"{worth(e['metric'], e['verdict'])}: {values}, a difference of {signed(e['difference'])} "
        f"({signed(e['low'])} to {signed(e['high'])}; {p_value(e['p'])}{corrected})."
    ).replace(",,", ",")


def drift_sentence(effect: Row) -> str:
    """How far a variant drifts: a distance cannot fall below zero, so it is described and not tested."""
    e = effect
    return (
        f"{named('drift')} by {e['model']}, is {number(e['adapter'])} ({number(e['adapter_low'])} to "
        f"{number(e['adapter_high'])}; {counted(e['n_prompts'], 'prompt')} × {counted(e['n_seeds'], 'seed')}): 0 would "
        "be no drift, and less is better. It is not tested, for a distance is never below zero."
    )


def captions_sentence(arm: Row) -> str:
    """What one arm of a caption ablation says beside the reviewed one; a null reads as one."""
    e = arm
    reviewed = number(e["mean"] - e["difference"])
    interval = f"{signed(e['low'])} to {signed(e['high'])}; corrected {p_value(e['p_corrected'])}"
    return (
        f"“{CAPTIONS[e['captions']]}” {e['verdict']} “reviewed”: {named(e['metric'])} {number(e['mean'])} against "
        f"{reviewed}, a difference of {signed(e['difference'])} (95 % interval, clustered by prompt, {interval})."
    )
