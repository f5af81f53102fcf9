"""What each metric can be believed for, by the judge; and what the further metrics are that a study asked for."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

from caplora.extra_metrics import ABOUT
from caplora.report.secondary import rows_of
from caplora.report.sentences import metric_sentence
from caplora.statistics import agreement_table
from caplora.study import counted, metric_of

KINDS = {  # what is asked, and of which pairs → over a column of the table
    ("all", "seeds"): "all it names, one arm",
    ("rest", "seeds"): "all but the style, one arm",
    ("all", "arms"): "all it names, two arms",
    ("style", "arms"): "the style, two arms",
    ("rest", "arms"): "all but the style, two arms",
}
SAME = ("clip_cosine", "memorisation_excess")  # orders pictures as another metric does; the latter is of 0.9
CLIPS = ("clip_score", "ref_clip_score")  # of several models
WITH_ARM = 0.9  # share of pairs from which on a truth comes with the arm


class Believed(NamedTuple):
    """A table of AUCs, a row for each metric and model, and what follows from it."""

    columns: list[str]
    rows: list[dict[str, Any]]  # metric, and under each column the AUC, its interval and whether it follows
    follows: list[str]  # sentences


def believed(scores: pd.DataFrame) -> Believed:
    """What each metric can be believed for by the judge of these scores; empty without one."""
    if scores.empty:
        return Believed([], [], [])
    table = agreement_table(scores)
    table = table[~table["metric"].isin(SAME)]
    there = {(e["about"], e["pairs"]) for e in table.to_dict("records")}
    columns = {kind: name for kind, name in KINDS.items() if kind in there}
    rows = [
        {
            "metric": _row_name(str(metric), str(model)),
            **{columns[k]: v for k, v in _cells(own) if k in columns},
        }
        for (metric, model), own in table.groupby(["metric", "model"], sort=False)
    ]
    return Believed(list(columns.values()), rows, believed_sentences(table) if rows else [])


def _row_name(metric: str, model: str) -> str:
    name = metric_of(metric).name
    return name if name == model else f"{name} by {model}"


def _cells(own: pd.DataFrame) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    for e in own.to_dict("records"):
        yield (e["about"], e["pairs"]), {"value": e["value"], "low": e["low"], "high": e["high"], "told": told(e)}


def told(row: Mapping[Any, Any]) -> str:
    """Whether a metric `follows` the truth, goes `against` it, or nothing can be told from chance."""
    return "follows" if row["low"] > 0.5 else "against" if row["high"] < 0.5 else ""


def believed_sentences(table: pd.DataFrame) -> list[str]:
    """What follows from an `agreement_table`: which metric to believe for what, and for what not."""
    kinds = dict(iter(table.groupby(["about", "pairs"], sort=False)))
    said = [_for_the_prompt(kinds.get(("all", "seeds"))), _for_the_style(kinds.get(("style", "arms")))]
    if ("rest", "seeds") in kinds and ("rest", "arms") in kinds:
        said.append(_behind_the_style(kinds["rest", "seeds"], kinds["rest", "arms"]))
    nobody = "Who the person is, the judge does not know: likeness is not tested here."
    return [sentence for sentence in (*said, nobody) if sentence]


def _for_the_prompt(rows: pd.DataFrame | None) -> str:
    if rows is None:
        return ""
    tested = rows[rows["split"] == "test"]
    n = f"{_most(tested, 'n', 'pair')} of {_most(tested, 'n_prompts', 'prompt')}"
    good, bad, unsure = (_named(rows, state) for state in ("follows", "against", ""))
    which = f"which of two samples of one arm and prompt shows more of what the prompt names ({n})"
    said = [f"Believe for the prompt: {good}. They tell {which}." if good else f"No metric tells {which}."]
    said += [f"Not for the prompt: {unsure}. These cannot be told from chance."] if unsure else []
    said += [f"The other way goes {bad}."] if bad else []
    return " ".join(said)


def _for_the_style(rows: pd.DataFrame | None) -> str:
    if rows is None:
        return ""
    good, share = _named(rows, "follows"), float(rows["first"].iloc[0])
    if not good:
        return "No metric tells whether adapter or baseline shows the style that was asked for."
    said = f"For the style: {good}. They tell whether adapter or baseline shows the one that was asked for."
    if share < WITH_ARM:
        return said
    comes = f"it is the adapter’s sample in {share:.0%} of the {_most(rows, 'n', 'pair')} that differ"
    return (
        f"{said} But {comes.replace('%', ' %')}: whatever rises with the adapter, for any reason, seems to follow it."
    )


def _behind_the_style(seeds: pd.DataFrame, arms: pd.DataFrame) -> str:
    """Metrics that see the rest within an arm, and between arms do not."""
    seeing = {(e["metric"], e["model"]) for e in seeds.to_dict("records") if told(e) == "follows"}
    blind = [(e["metric"], e["model"]) in seeing and told(e) != "follows" for e in arms.to_dict("records")]
    lost = arms[blind]
    if lost.empty:
        return ""
    return (
        f"Not for what an adapter costs beside its style: which of baseline and adapter shows more of the rest "
        f"({_most(lost, 'n', 'pair')} of {_most(lost, 'n_prompts', 'prompt')}) is not told by {_all_of(lost)}, which "
        "see it within an arm. There the style outweighs the rest: read single attributes before you believe a gain."
    )


def _most(rows: pd.DataFrame, column: str, thing: str) -> str:
    return counted(int(rows[column].max()), thing) if len(rows) else counted(0, thing)


def _named(rows: pd.DataFrame, state: str) -> str:
    return _all_of(rows[[told(e) == state for e in rows.to_dict("records")]])


def _all_of(rows: pd.DataFrame) -> str:
    """Each metric with its AUCs: `CLIPScore (clip_a 0.76, clip_b 0.87), identity (0.41)`."""
    names = []
    for metric, own in rows.groupby("metric", sort=False):
        models = own["model"].tolist() if own["model"].nunique() > 1 or str(metric).startswith(CLIPS) else [""]
        aucs = ", ".join(f"{by} {v:.2f}".strip() for by, v in zip(models, own["value"], strict=True))
        names.append(f"{metric_of(str(metric)).name} ({aucs})")
    return _listed(names)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1] if names else ""


def extra_rows(effects: pd.DataFrame, best: str) -> list[dict[str, str]]:
    """Of each further metric that was scored: its name, what it found of the variant `best`, and `ABOUT` it."""
    own = effects[effects["variant"] == best] if len(effects) else effects
    found = {metric: rows_of(own, "test", metric) for metric in ABOUT} if len(own) else {}
    return [
        {"name": metric_of(m).name, "found": metric_sentence(rows.to_dict("records")[0]), **ABOUT[m]._asdict()}
        for m, rows in found.items()
        if len(rows)
    ]


def extra_sentences(rows: list[dict[str, str]]) -> list[str]:
    """The same in sentences, for a notebook."""
    return [
        f"{e['found']}\n  {e['name']} ({e['source']}) measures {e['measures']}.\n  {e['cannot']}\n"
        f"  Licence of the code: {e['code']}; of the weights: {e['weights']}."
        for e in rows
    ]
