"""What was computed → sentences: a null reads as a null, a loss as a loss, and no metric is praised for the wrong way.

Every sentence is made from a row of a table; nothing here reads a file.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from caplora.statistics import EQUIVALENT, ONE, Copied, Effect, Enough, Row, overfits_from
from caplora.study import CAPTIONS, METRICS, counted, metric_of, number, p_value, percent, signed

TOLD = {"beats": "higher than", "falls short of": "lower than", EQUIVALENT: "equivalent to"}  # verdict → of a value


def worth(metric: str, verdict: str) -> str:
    """Whether a change of a metric is for the better; empty where there is none, or where nobody knows."""
    if verdict not in ("beats", "falls short of") or metric not in METRICS:
        return ""
    good = (verdict == "beats") == (METRICS[metric].better == "more")
    return f", which is {'better' if good else 'worse'}"


def verdict_sentence(effect: Row) -> str:
    """What the study found of one variant, in one sentence: n, difference, intervals and p; a null reads as one."""
    e = effect
    n = f"{counted(e['n_prompts'], e['split'].removesuffix('s') + ' prompt')} × {counted(e['n_seeds'], 'seed')}"
    said = (
        f"{e['variant']} {e['verdict']} the baseline: {metric_of(e['metric']).said} {e['adapter']:.3f} against "
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
        f"{e['recipe']} {e['verdict']} the baseline: {metric_of(metric).said} differs by {signed(e['difference'])} on"
        f" {draws} (95 % interval over {over}, {signed(e['low'])} to {signed(e['high'])};"
        f" {p_value(e['p'])}, corrected over the recipes {p_value(e['p_corrected'])})."
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
    told = f"is {how}" if how else "cannot be told from"
    return (
        f"{metric_of(e['metric']).said}, by {e['model']}, {told} the baseline’s"
        f"{worth(e['metric'], e['verdict'])}: {values}, a difference of {signed(e['difference'])} "
        f"({signed(e['low'])} to {signed(e['high'])}; {p_value(e['p'])}{corrected})."
    ).replace(",,", ",")


def drift_sentence(effect: Row) -> str:
    """How far a variant drifts: a distance cannot fall below zero, so it is described and not tested."""
    e = effect
    return (
        f"{metric_of('drift').said} by {e['model']}, is {number(e['adapter'])} ({number(e['adapter_low'])} to "
        f"{number(e['adapter_high'])}; {counted(e['n_prompts'], 'prompt')} × {counted(e['n_seeds'], 'seed')}): 0 would "
        "be no drift, and less is better. It is not tested against 0, for a distance is never below it."
    )


def captions_sentence(arm: Row) -> str:
    """What one arm of a caption ablation says beside the reviewed one; a null reads as one."""
    e = arm
    reviewed = number(e["mean"] - e["difference"])
    interval = f"{signed(e['low'])} to {signed(e['high'])}; corrected {p_value(e['p_corrected'])}"
    return (
        f"“{CAPTIONS[e['captions']]}” {e['verdict']} “reviewed”: {metric_of(e['metric']).said} {number(e['mean'])}"
        f" against {reviewed}, a difference of {signed(e['difference'])} (95 % interval, clustered by"
        f" prompt, {interval})."
    )


def images_sentences(enough: Mapping[str, Mapping[str, Enough]]) -> list[str]:
    """From which number of images on more did not help, and what each smaller number costs: metric → variant → that."""
    said = []
    for metric, by in enough.items():
        for variant, found in by.items():
            head = _headed(metric) + (f" of {variant}" if len(by) > 1 else "")
            said += [_enough(head, found), _costs(head, found)]
    count = max(map(len, enough.values()), default=0)
    once = "Each number stands for one draw of images and one training: another may come out otherwise."
    both = f"p is corrected over the smaller numbers of all {count} variants together, metric by metric."
    return [*said, f"{once} {both}" if count > 1 else once] if said else []


TOLD_OF = {  # verdict → of so many images beside all of them
    "beats": "do better than",
    "cannot be told from": "cannot be told from",
    EQUIVALENT: "are equivalent to",
}


def _enough(name: str, found: Enough) -> str:
    """Where more images stopped helping, in one metric, or that it cannot be told."""
    last, short = f"{found.last:g}", found.short
    if not found.differs:
        least = max(e.detectable for e in found.effects.values())
        return (
            f"{name}: it cannot be told whether more than {min(found.effects):g} images helped. None of the smaller"
            f" numbers can be told from {last}, and a true difference of {number(least)} would be found by four of five"
            " such studies."
        )
    if not short:
        told = [f"{at:g} {TOLD_OF[said]} {last}" for at, said in found.verdicts.items()]
        return f"{name}: more than {min(found.effects):g} images did not help: {', '.join(told)}."
    if found.enough is None:
        return f"{name}: more images helped up to all {last}: {max(short):g} fall short of them. Still more may help."
    rest, how = found.effects[found.enough], TOLD_OF[found.verdicts[found.enough]]
    return (
        f"{name}: more images stopped helping at {found.enough:g}, as far as this study can tell. {max(short):g} fall"
        f" short of {last}; {found.enough:g} {how} {last} ({signed(rest.low)} to {signed(rest.high)})."
    )


def _costs(name: str, found: Enough) -> str:
    """What each smaller number of images costs beside all of them."""
    each = [
        f"{at:g} images {signed(e.difference)} ({signed(e.low)} to {signed(e.high)}, {p_value(e.p_corrected)})"
        for at, e in found.effects.items()
    ]
    return f"{name} beside {found.last:g} images: {'; '.join(each)}; p corrected."


def _headed(metric: str) -> str:
    """The name of a metric at the start of a sentence."""
    name = metric_of(metric).name
    return name[:1].upper() + name[1:]


RULES = {  # sampling.step_rule → in words
    "maximum": "the largest mean CLIPScore",
    "one_standard_error": "the earliest within one standard error of the largest mean CLIPScore",
}


def steps_sentences(
    arms: Mapping[float, str],
    chosen: float,
    rule: str,
    likeness: Mapping[float, Mapping[float, Effect]],
    copies: Mapping[float, Copied],
) -> list[str]:
    """Which of the kept steps was chosen and by which rule, what training went on to do, and whether it overfits.

    `likeness` is step → later step → what changes from the one to the other, `copies` is step → what changes from there
    to the last.
    """
    steps, last = ", ".join(f"{step:g}" for step in arms), max(arms)
    said = f"Of the steps {steps}, {chosen:g} was chosen on the development prompts: {RULES[rule]}."
    nearer = {at: later[last] for at, later in likeness.items() if last in later}
    changes = [_change(nearer[chosen].metric, nearer[chosen])] if chosen in nearer else []
    changes += [_change("replication", copies[chosen])] if chosen in copies else []
    return [
        f"{said} It is the last." if chosen == last else said,
        *([f"From step {chosen:g} to {last:g}: {'; '.join(changes)}."] if changes else []),
        *([_overfits(overfits_from(copies, likeness), last, nearer, copies)] if copies and nearer else []),
    ]


def _overfits(start: float | None, last: float, nearer: Mapping[float, Effect], copies: Mapping[float, Copied]) -> str:
    """From which step on training memorises and likeness to held-out portraits does not rise, if that is shown."""
    if start is None:
        return (
            "It is not shown to overfit: from no step on does it copy measurably more while likeness to the held-out"
            " portraits rests."
        )
    more, p = copies[start], copies[start].p * len(copies)
    return (
        f"From step {start:g} on it overfits: by step {last:g} it copies more of its training images (memorisation"
        f" {signed(more.difference)}, {p_value(p)} corrected over {counted(len(copies), 'step')}), while likeness to"
        f" the held-out portraits is not shown to rise ({_change(nearer[start].metric, nearer[start])})."
    )


def copied_sentence(found: Mapping[str, Copied]) -> str:
    """How far arms copy, each told by what is special of it: step 60, or 10 images."""
    first = next(iter(found.values()))
    each = [f"{signed(c.difference)} ({_interval(c)}) for {arm}" for arm, c in found.items()]
    return (
        f"Asked with the captions of {first.n_train} training images and of {first.n_held_out} held-out ones, samples"
        f" come nearer to the former by {'; '.join(each)}: beyond the latter and beyond the baseline, with 95 %"
        " intervals."
    )


def _change(metric: str, found: Effect | Copied) -> str:
    return f"{metric_of(metric).name} {signed(found.difference)} ({_interval(found)}, {p_value(found.p)})"


def _interval(found: Effect | Copied) -> str:
    return f"{signed(found.low)} to {signed(found.high)}"
