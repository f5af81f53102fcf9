"""The choice that 03 left → whom it has trained again, all whom 04 and 05 speak of, and what an earlier run drew."""

from collections.abc import Sequence

import pandas as pd

from caplora.study import Study, Variant, disk_errors_name, may_be_retrained
from caplora.training import same_recipe

COLUMNS = ("variant", "clip_score", "difference", "tested", "chosen")


def read_choice(study: Study) -> pd.DataFrame:
    """The table that 03 left of its choice, `COLUMNS`; one that is not there has no rows."""
    if not study.choice.is_file():
        return pd.DataFrame(columns=list(COLUMNS))
    with disk_errors_name(study.choice, "read"):
        return pd.read_csv(study.choice, keep_default_na=False)


def read_asked(study: Study, variants: Sequence[Variant]) -> tuple[Variant, ...]:
    """The variants at every step that is kept, and after them the trainings of the finalists that 03 has added."""
    return study.training.with_steps([*variants, *read_retrained(study, variants)])


def read_retrained(study: Study, variants: Sequence[Variant]) -> tuple[Variant, ...]:
    """The further trainings that the choice of 03 knows, each recipe with all its seeds.

    Those that were made otherwise than the training that led are of another recipe by now, and left out.
    """
    known, found = set(read_choice(study)["variant"]), list[Variant]()
    for variant in may_be_retrained(study, variants):
        own = study.training.retrained([variant])
        if known & {w.name for w in study.training.with_steps(own)}:
            found += [w for w in own if same_recipe(study, variant, w)]
    return tuple(found)


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
