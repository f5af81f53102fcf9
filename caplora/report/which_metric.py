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
SAME = ("clip_cosine",)  # what orders pictures as another metric does
WITH_ARM = 0.9  # share of pairs from which on a truth comes with the arm


class Believed(NamedTuple):
    """A table of AUCs, a row for each metric and model, and what follows from it."""

    columns: list[str]
    rows: list[dict[str, Any]]  # metric, and under each column the AUC, its interval and whether it follows
    follows: list[str]  # sentences


def believed(scores: pd.DataFrame) -> Believed:
    """What each metric can be believed for by the judge of these scores; empty without one."""
    table = agreement_table(scores) if len(scores) else pd.DataFrame(columns=["metric", "about", "pairs"])
    table = table[~table["metric"].isin(SAME)]
    there = {(e["about"], e["pairs"]) for e in table.to_dict("records")}
    columns = {kind: name for kind, name in KINDS.items() if kind in there}
    rows = [
        {
            "metric": f"{metric_of(str(metric)).name} by {model}",
            **{columns[k]: v for k, v in _cells(own) if k in columns},
        }
        for (metric, model), own in table.groupby(["metric", "model"], sort=False)
    ]
    return Believed(list(columns.values()), rows, believed_sentences(table) if rows else [])


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
    nobody = (
        "Who the person is, the judge does not know: no likeness is tested here, neither of the face nor of the whole."
    )
    return [sentence for sentence in (*said, nobody) if sentence]


def _for_the_prompt(rows: pd.DataFrame | None) -> str:
    if rows is None:
        return ""
    n = f"{counted(int(rows['n'].max()), 'pair')} of {counted(int(rows['n_prompts'].max()), 'prompt')}"
    good, bad, unsure = (_named(rows, state) for state in ("follows", "against", ""))
    said = f"Which of two samples of one arm and prompt shows more of what the prompt names ({n}) is told by {good}: "
    said = (
        f"{said}believe these for the prompt."
        if good
        else f"Of two samples of one arm and prompt ({n}), no metric tells which shows more of what the prompt names."
    )
    said += f" It cannot be told from chance by {unsure}." if unsure else ""
    return said + (f" {_capital(bad)} go the other way." if bad else "")


def _for_the_style(rows: pd.DataFrame | None) -> str:
    if rows is None:
        return ""
    good, share = _named(rows, "follows"), float(rows["first"].iloc[0])
    if not good:
        return "No metric tells whether adapter or baseline shows the style that was asked for."
    said = f"Whether adapter or baseline shows the style that was asked for is told by {good}."
    if share < WITH_ARM:
        return said
    comes = f"the adapter’s sample shows it in {share:.0%} of the pairs that differ".replace("%", " %")
    return f"{said} But {comes}: whatever rises with the adapter, for any reason, seems to follow the style."


def _behind_the_style(seeds: pd.DataFrame, arms: pd.DataFrame) -> str:
    """Metrics that see the rest within an arm, and between arms do not."""
    seeing = {(e["metric"], e["model"]) for e in seeds.to_dict("records") if told(e) == "follows"}
    lost = [e for e in arms.to_dict("records") if (e["metric"], e["model"]) in seeing and told(e) != "follows"]
    if not lost:
        return ""
    n = counted(int(arms["n"].max()), "pair")
    names = _listed([_one(e) for e in lost])
    return (
        f"Between baseline and adapter that sight is lost: which of the two shows more of the rest ({n}) is not told "
        f"by {names}. There the style outweighs the rest: a gain in them is no gain in everything that was asked for."
    )


def _named(rows: pd.DataFrame, state: str) -> str:
    return _listed([_one(e) for e in rows.to_dict("records") if told(e) == state])


def _one(e: Mapping[Any, Any]) -> str:
    return f"{metric_of(e['metric']).name} by {e['model']} (AUC {e['value']:.2f}, {e['low']:.2f} to {e['high']:.2f})"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1] if names else ""


def _capital(said: str) -> str:
    return said[:1].upper() + said[1:]


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
