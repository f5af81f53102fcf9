"""What people said → sentences, in which a null reads as a null."""

import numpy as np
import pandas as pd

from caplora.rating.answers import answers_said
from caplora.rating.design import QUESTIONS
from caplora.rating.opinions import Opinions
from caplora.statistics import LEVEL, Row
from caplora.study import BASELINE, Study, counted, metric_of, p_value, signed

FEW = {  # raters → what cannot be said
    1: "This is what one rater prefers: the interval is for other prompts, and nothing is said of other people.",
    2: "Two raters hardly tell how much raters differ, and the interval is as wide as that asks. Ask a third.",
}
ABOUT = {"words": "what fits the words better", "person": "what is more this person"}


def people_sentences(opinions: Opinions) -> list[str]:
    """What people prefer, how far they agree, who was left out, and what cannot be said."""
    said = [preference_sentence(row) for row in opinions.preferences.to_dict("records")]
    said += [strength_sentence(str(question), own) for question, own in _by_question(opinions.strengths)]
    if (few := FEW.get(int(opinions.preferences["n_raters"].max()))) is not None:
        said.append(few)
    said += [alpha_sentence(row) for row in opinions.alpha.to_dict("records")]
    return said + rater_sentences(opinions)


def people_said(study: Study, opinions: Opinions) -> str:
    """All of it for a notebook, or who was left out, or that nobody has compared pictures."""
    said = [*people_sentences(opinions), *metric_sentences(opinions)] if opinions else rater_sentences(opinions)
    return "\n".join(said) or f"{answers_said(study)}: notebook 04 asks, with interactive = True"


def share(value: float) -> str:
    """A share as print has it: `74 %`."""
    return f"{100 * value:.0f} %"


def preference_sentence(row: Row) -> str:
    """Whose pictures were preferred when one question was asked."""
    found = row["p"] <= 1 - LEVEL and not row["low"] <= 0.5 <= row["high"]
    who = "people" if row["n_raters"] > 1 else "one rater"
    told = f"{who} preferred {row['arm']} to" if row["preference"] > 0.5 else f"{who} thought {row['arm']} worse than"
    told = told if found else f"{who} cannot tell {row['arm']} from"
    return (
        f"Asked {ABOUT[row['question']]}, {told} {_named(row['reference'])}:"
        f" {share(row['preference'])} of {counted(row['n'], 'answer')} are for it ({share(row['low'])} to"
        f" {share(row['high'])}; {p_value(row['p'])}), by {counted(row['n_raters'], 'rater')} on"
        f" {counted(row['n_prompts'], 'prompt')}; {share(row['equal'])} saw no difference."
    )


def _named(arm: str) -> str:
    return "the baseline" if arm == BASELINE else arm


def strength_sentence(question: str, table: pd.DataFrame) -> str:
    """The order of more than two arms."""
    rows = table.sort_values("strength", ascending=False).to_dict("records")
    first = next(row["arm"] for row in rows if row["strength"] == row["low"] == row["high"] == 0)
    order = ", ".join(f"{row['arm']} {_strength(row)}" for row in rows if row["arm"] != first)
    return f"Asked {ABOUT[question]}, the arms’ strengths over {_named(first)} (Bradley–Terry, logits) are: {order}."


def _strength(row: Row) -> str:
    return f"{signed(row['strength'], 2)} ({signed(row['low'], 2)} to {signed(row['high'], 2)})"


def alpha_sentence(row: Row) -> str:
    """How far raters agree."""
    if not np.isfinite(row["alpha"]):
        return f"Asked {ABOUT[row['question']]}, all raters gave one answer, so Krippendorff’s α is not defined."
    chance = ", which chance gives too" if row["low"] <= 0 else ""
    return (
        f"Raters agree on {ABOUT[row['question']]} with Krippendorff’s α = {row['alpha']:.2f} ({row['low']:.2f} to"
        f" {row['high']:.2f}{chance}; 1 is agreement, 0 is chance; {counted(row['n'], 'pair')} by two or more)."
    ).replace("-", "−")


def rater_sentences(opinions: Opinions) -> list[str]:
    """Who was left out, as the rule said beforehand, and which answers are about pictures that are no more."""
    left_out = opinions.raters[~opinions.raters["counts"].astype(bool)] if len(opinions.raters) else opinions.raters
    said = [
        f"{row['rater']} was left out: of {row['shuffled']} pictures drawn for other words, {row['found']} were found,"
        " and two thirds were asked for beforehand."
        for row in left_out.to_dict("records")
    ]
    if opinions.stale:
        said.append(f"{counted(opinions.stale, 'answer')} were about pictures that have been drawn anew: not counted.")
    return said


def metric_sentences(opinions: Opinions) -> list[str]:
    """Which metrics say what people say, question by question."""
    return [_metrics(str(question), own) for question, own in _by_question(opinions.metrics)]


def _metrics(question: str, table: pd.DataFrame) -> str:
    rows = table.sort_values("auc", ascending=False).to_dict("records")
    follow, against = [r for r in rows if r["low"] > 0.5], [_area(r) for r in rows if r["high"] < 0.5]
    within = [_name(row) for row in rows if row["within_low"] > 0.5]
    shown = f"{len(follow)} of {counted(len(rows), 'metric')} are shown to go with people"
    most = (
        f"{shown}, most of all {_area(follow[0])}" if follow else f"no metric of {len(rows)} is shown to go with people"
    )
    parts = [
        most,
        f"against them {'goes' if len(against) == 1 else 'go'} {', '.join(against)}" if against else "",
        f"where people prefer the arm and where not is known to {', '.join(within) or 'none'}",
    ]
    return f"Asked {ABOUT[question]}, {'; '.join(part for part in parts if part)}."


def metric_rows(opinions: Opinions) -> list[dict[str, str]]:
    """The table of every metric: its name, and for each question its AUC and that among pairs of the same arms."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for row in opinions.metrics.to_dict("records"):
        own = rows.setdefault((row["metric"], row["model"]), {"metric": _name(row)})
        own[str(row["question"])] = f"{row['auc']:.2f} ({row['low']:.2f} … {row['high']:.2f})"
        within = f"{row['within']:.2f} ({row['within_low']:.2f} … {row['within_high']:.2f})"
        own[f"{row['question']} within"] = within if np.isfinite(row["within"]) else "–"
    return list(rows.values())


def _name(row: Row) -> str:
    return f"{metric_of(row['metric']).name} by {row['model']}"


def _area(row: Row) -> str:
    return f"{_name(row)} (AUC {row['auc']:.2f}, {row['low']:.2f} to {row['high']:.2f})"


def _by_question(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(q, table[table["question"] == q]) for q in QUESTIONS if len(table) and (table["question"] == q).any()]
