"""A study and its variants → whether finalists are trained again from other seeds, and all whom 03 to 05 speak of.

The best training of a grid is partly the luckiest. So the recipes that lead on the development prompts are trained
again, and these trainings, which had no say in that, stand for them from then on: the development prompts choose
between them, and the test prompts judge the trainings of the recipe chosen.
"""

from collections.abc import Sequence

import pandas as pd

from caplora.study import Study, Variant, candidates

FINALISTS = 2  # recipes that are trained again, or more where more draw the test prompts
COLUMNS = ("variant", "clip_score", "difference", "tested", "chosen")


def read_choice(study: Study) -> pd.DataFrame:
    """The table that 03 left of its choice, `COLUMNS`; one that is not there has no rows."""
    if not study.choice.is_file():
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.read_csv(study.choice, keep_default_na=False)


def why_once(study: Study, variants: Sequence[Variant]) -> str:
    """Why no finalist is trained again, whatever it would take; empty where the study and the variants allow it."""
    if study.sampling.finalists is None:
        return "all variants draw the test prompts (sampling.finalists)"
    if not study.training.finalist_seeds:
        return "the study asks for no other seeds (training.finalist_seeds)"
    if any(v.seed is not None for v in variants):
        return "the variants name their training seeds themselves"
    return ""


def may_be_retrained(study: Study, variants: Sequence[Variant]) -> list[Variant]:
    """The variants that may be trained again, each once, not at every step."""
    own = [] if why_once(study, variants) else candidates(variants)
    return [v for v in own if v.step is None]


def read_asked(study: Study, variants: Sequence[Variant]) -> tuple[Variant, ...]:
    """The variants at every step that is kept, and after them the trainings of the finalists that 03 has added."""
    return study.training.with_steps([*variants, *read_retrained(study, variants)])


def read_retrained(study: Study, variants: Sequence[Variant]) -> tuple[Variant, ...]:
    """The further trainings that the choice of 03 knows, each recipe with all its seeds."""
    known = set(read_choice(study)["variant"])
    again = {v: study.training.retrained([v]) for v in may_be_retrained(study, variants)}
    return tuple(w for own in again.values() if known & {w.name for w in study.training.with_steps(own)} for w in own)


def drawn_before(study: Study, trained: Sequence[Variant]) -> tuple[list[str], str]:
    """As 03 chose the last time, of these variants: who draws every prompt, and the best.

    Where it has not chosen yet it is said as if the first of them won.
    """
    names, limit = [v.name for v in trained], study.sampling.finalists
    last = [v.name for v in trained if not v.step and not v.retrained]
    drawn = read_choice(study)[lambda table: table["variant"].isin(names)]
    if not drawn["chosen"].any():
        return last[:limit], next(iter(last), "")
    tested = drawn.loc[drawn["tested"], "variant"].tolist() if limit or study.training.kept_steps else last
    return tested, drawn.loc[drawn["chosen"], "variant"].iloc[0]
