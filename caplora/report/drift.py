"""The drift of an adapter beside what chance does → sentences: more than another noise, less, or not to be told."""

from collections.abc import Mapping, Sequence

import pandas as pd

from caplora.report.secondary import few_prompts, read_table
from caplora.statistics import NOISE, Row, drift_nulls
from caplora.study import Study, counted, number, p_value, signed

ROUGH = 0.01  # a smallest possible p above it is said
SEEN = 0.001  # a number below it would read as zero


def with_nulls(
    others: Mapping[str, Sequence[str]], study: Study, scores: pd.DataFrame, best: str
) -> dict[str, list[str]]:
    """`secondary_sentences` with what the drift of the variant `best` is to be held against, where that is known."""
    nulls = drift_nulls(scores, read_table(study.tiniest), best) if len(scores) else scores
    said = [null_sentence(row) for row in nulls.to_dict("records")]
    said += few_prompts(list(nulls["n_prompts"])) if len(nulls) else []
    return {about: [*own, *(said if about == "Drift" else [])] for about, own in others.items()}


def null_sentence(row: Row) -> str:
    """How the drift of a variant compares with one null: a drift within chance reads as one."""
    e, more, less = row, row["verdict"] == "beats", row["verdict"] == "falls short of"
    if e["against"] == NOISE:
        opening = f"Another noise changes the baseline’s picture of an unrelated prompt by {number(e['baseline'])}"
        told = "more than that" if more else "less than that" if less else "not to be told from that"
        said = f"{opening}; {e['variant']} changes it by {number(e['adapter'])} from the same noise, which is {told}"
    else:
        least = number(e["baseline"]) if e["baseline"] >= SEEN else f"less than {number(SEEN)}"
        opening = f"A hundredth of {e['variant']} changes such a picture by {least}, which is chance"
        told = "more than chance does" if more else "no more than chance can do"
        said = f"{opening}; the whole of it changes the same ones by {number(e['adapter'])}, {told}"
    return (
        f"{said}: a difference of {signed(e['difference'])} (95 % interval, clustered by prompt, {signed(e['low'])} to"
        f" {signed(e['high'])}; sign-flip {p_value(e['p'])}{_at_best(e['n_prompts'])};"
        f" {counted(e['n_prompts'], 'prompt')} × {counted(e['n_seeds'], 'seed')})."
    )


def _at_best(prompts: int) -> str:
    """What p can be at the least, where that is much: 2 / 2^P."""
    least = 2.0 ** (1 - prompts)
    return f", which is {least:.2g} at best with {prompts} prompts" if least > ROUGH else ""
