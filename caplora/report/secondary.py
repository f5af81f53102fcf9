"""Effects and whole arms → what all metrics but CLIPScore say: fidelity, memorisation, diversity, drift, the judge.

They are secondary: p is corrected over the variants, not over the metrics.
"""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from caplora.report.sentences import drift_sentence, metric_sentence, verdict_sentence, worth
from caplora.statistics import EXACT, LEVEL, Row, verdict
from caplora.study import BASELINE, Study, counted, disk_errors_name, metric_of, number, p_value, signed

SECONDARY_METRICS = (
    "clip_score", "ref_clip_score", "clip_cosine", "clip_i", "identity", "face_similarity", "face_nearest",
    "face_found", "judge", "memorisation", "diversity", "drift", "pick_score", "vqa", "quality",
)  # fmt: skip
GROUPS = {
    "Alignment with the prompt": ("clip_score", "ref_clip_score", "judge", "vqa"),
    "Fidelity to the person": ("clip_i", "identity", "face_similarity", "face_nearest", "face_found", "kid", "cmmd"),
    "Preference and quality": ("pick_score", "quality"),
    "Memorisation": ("memorisation", "memorised"),
    "Diversity": ("diversity",),
    "Drift": ("drift",),
}
COLUMNS = (
    "clip_i", "identity", "face_similarity", "face_found", "judge", "memorisation", "memorised", "diversity", "drift",
    "kid", "cmmd", "pick_score", "vqa", "quality",
)  # fmt: skip
SCALED = ("clip_score", "judge", "identity", "face_similarity", "drift")  # of the table of scales
CLOSEST = 10  # samples beside the training images that they are most like
SUITES = {
    "edits": ("clip_score", "judge", "clip_i", "identity", "face_similarity", "face_found"),
    "unrelated": ("clip_score", "judge"),
}


def read_table(path: Path, variants: Sequence[str] = ()) -> pd.DataFrame:
    """A table that a step may have left, of `variants` only if any are given; one that is not there has no rows."""
    if not path.is_file():
        return pd.DataFrame()
    numbers = ("value", "reference", "difference", "low", "high", "p", "similarity", "limit")
    with disk_errors_name(path, "read"):
        table = pd.read_csv(path, keep_default_na=False, na_values={column: ["", "nan"] for column in numbers})
    return table[table["variant"].isin(variants)] if variants else table


def read_closest(study: Study, variants: Sequence[str]) -> pd.DataFrame:
    """The samples of these variants most like a training image, as 04 found them: `CLOSEST`, the most alike first."""
    table = read_table(study.closest, variants)
    return table.nlargest(CLOSEST, "similarity") if len(table) else table


def rows_of(effects: pd.DataFrame, split: str, metric: str, model: str = "") -> pd.DataFrame:
    """The effects on one metric and split, by one model: the first of the table if none is named."""
    rows = effects[(effects["split"] == split) & (effects["metric"] == metric)]
    return rows[rows["model"] == (model or rows["model"].iloc[0])] if len(rows) else rows


def of_arm(arms: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows of one metric of whole arms; none where there is no such table."""
    return arms[arms["metric"] == metric] if len(arms) else arms


def secondary_values(effects: pd.DataFrame, arms: pd.DataFrame, metric: str) -> pd.DataFrame:
    """What the table shows of one metric by variant: variant, value, baseline, p_corrected (nan: not tested)."""
    rows = of_arm(arms, metric)
    if rows.empty:
        rows = rows_of(effects, "unrelated" if metric == "drift" else "test", metric)
        rows = rows.rename(columns={"adapter": "value"})
    return rows.assign(p_corrected=np.nan) if metric == "drift" else rows


def secondary_columns(effects: pd.DataFrame, arms: pd.DataFrame) -> list[str]:
    """The metrics that the table can show, in its order."""
    return [metric for metric in COLUMNS if len(secondary_values(effects, arms, metric))]


def secondary_rows(effects: pd.DataFrame, arms: pd.DataFrame, variants: Sequence[str]) -> list[dict[str, Any]]:
    """The table of these metrics, the baseline first: metric → (value, corrected p, or nan where nothing is tested)."""
    found: dict[str, dict[str, Any]] = {arm: {"arm": arm} for arm in (BASELINE, *variants)}
    for metric in secondary_columns(effects, arms):
        rows = secondary_values(effects, arms, metric)
        for row in rows[rows["variant"].isin(variants)].to_dict("records"):
            found[row["variant"]][metric] = (row["value"], row["p_corrected"])
            found[BASELINE][metric] = (row["baseline"], np.nan)
    return list(found.values())


def secondary_sentences(effects: pd.DataFrame, arms: pd.DataFrame, best: str, model: str) -> dict[str, list[str]]:
    """What each other metric and model says of the variant `best`, by what it is about: `GROUPS` that are known."""
    own = effects[effects["variant"] == best]
    own = own[~((own["metric"] == "clip_score") & (own["model"] == model))]  # the headline
    found = {about: [said for m in metrics for said in _said(own, arms, best, m)] for about, metrics in GROUPS.items()}
    return {about: said for about, said in found.items() if said}


def _said(own: pd.DataFrame, arms: pd.DataFrame, best: str, metric: str) -> list[str]:
    """A sentence for each model of one metric: of whole arms where there is that, else of single samples."""
    rows = of_arm(arms, metric)
    if len(rows):
        return [arm_sentence(row) for row in rows[rows["variant"] == best].to_dict("records")]
    split, say = ("unrelated", drift_sentence) if metric == "drift" else ("test", metric_sentence)
    return [say(e) for e in own[(own["metric"] == metric) & (own["split"] == split)].to_dict("records")]


def arm_sentence(row: Row) -> str:
    """What is known of a whole arm: KID, CMMD, the share that is memorised, diversity; by the permutation test."""
    d, p = row["difference"], row["p"]
    told = verdict(d, d, p) if d else ""  # an arm has no interval: the test alone decides
    how = {"beats": "is higher than", "falls short of": "is lower than"}.get(told, "cannot be told from")
    ratio = "; as a ratio to the baseline’s" if row["metric"] == "diversity" else ""
    against = f", {row['n_real']} held-out portraits" if row["n_real"] else ""
    return (
        f"{metric_of(row['metric']).said}, by {row['model']}, {how} the baseline’s{worth(row['metric'], told)}: "
        f"{number(row['value'])} against {number(row['baseline'])}, a difference of {signed(d)} (permutation "
        f"{p_value(p)}, corrected {p_value(row['p_corrected'])}; {counted(row['n'], 'sample')}{against}{ratio})."
    ).replace(",,", ",")


def memorised_sentence(closest: pd.DataFrame) -> str:
    """How near the nearest sample of a table of `read_closest` comes to a training image; empty without its limit."""
    if not len(closest) or closest["limit"].isna().any():
        return ""
    nearest = closest.sort_values("similarity").iloc[-1]
    above = int((closest["similarity"] > closest["limit"]).sum())
    limit = f"{number(nearest['limit'])}, which 95 % of the held-out portraits stay below"
    return (
        f"The sample most like a training image is one of {nearest['variant']}, with a cosine of "
        f"{number(nearest['similarity'])} to {nearest['portrait']}; {above or 'none'} of the {len(closest)} closest "
        f"pairs {'is' if above < 2 else 'are'} above {limit}."
    )


def cost_sentence(effects: pd.DataFrame, best: str, model: str) -> str:
    """What the variant `best` costs where nobody asked for it: on unrelated prompts; empty where nothing was found."""
    rows = rows_of(effects[effects["variant"] == best], "unrelated", "clip_score", model)
    lost = rows[rows["verdict"] == "falls short of"].to_dict("records")
    return f"Where nobody asked for the subject, {verdict_sentence(lost[0])}" if lost else ""


def suite_sentences(effects: pd.DataFrame, best: str, model: str, split: str) -> list[str]:
    """What the variant `best` does on a secondary suite; none where it has no such prompts."""
    own = effects[effects["variant"] == best]
    kinds = [(m, model if m == "clip_score" else "") for m in SUITES[split]]
    found = [rows_of(own, split, metric, by).to_dict("records") for metric, by in kinds]
    said = [verdict_sentence(e) if e["metric"] == "clip_score" else metric_sentence(e) for rows in found for e in rows]
    return said + few_prompts([e["n_prompts"] for rows in found for e in rows])


def few_prompts(counts: Sequence[int]) -> list[str]:
    """What cannot be shown with so few prompts, if anything: the smallest p of a sign-flip test is 2 / 2^P."""
    least = 2 ** (1 - min(counts, default=EXACT))
    if least <= 1 - LEVEL:
        return []
    said = f"With {min(counts)} prompts the sign-flip test cannot fall below p = {least:.3g}"
    return [f"{said}, so it can show no difference, however large: read the interval, or add prompts."]


def agreement_sentence(effects: pd.DataFrame, model: str) -> str:
    """Whether CLIPScore and the judge go the same way wherever CLIPScore shows a difference; names who disagrees."""
    shown = rows_of(effects, "test", "clip_score", model)
    shown = shown[(shown["p_corrected"] <= 1 - LEVEL) & (shown["low"] * shown["high"] > 0)]
    judged = rows_of(effects, "test", "judge").set_index("variant").to_dict("index")
    if not judged:
        return "There is no judge, so whether a higher CLIPScore means a better picture is not known here."
    if shown.empty:
        return "CLIPScore shows no difference of any variant, so there is nothing for the judge to agree with."
    against = [e for e in shown.to_dict("records") if e["difference"] * judged[e["variant"]]["difference"] <= 0]
    if not against:
        which = "the one variant that differs" if len(shown) == 1 else f"all {len(shown)} variants that differ"
        return f"CLIPScore and the judge go the same way for {which} in CLIPScore."
    said = "; ".join(_opposed(e, judged[e["variant"]]) for e in against)
    of = f"{len(against)} of {counted(len(shown), 'variant')} that differ in CLIPScore"
    return f"CLIPScore and the judge DISAGREE on {of}: {said}."


def _opposed(score: Row, judge: Row) -> str:
    differences = f"CLIPScore {signed(score['difference'])}, judge {signed(judge['difference'])}"
    return f"{score['variant']} ({differences}, {signed(judge['low'])} to {signed(judge['high'])})"


def tracking_sentence(row: Row) -> str:
    """How well a metric tracks the judge, over samples and over variants."""
    pairs = row["n_variants"] * row["n_prompts"] * row["n_seeds"]
    said = _correlation(row, "samples", f"over {pairs} pairs of samples")
    if np.isfinite(row["variants"]):
        said += ", " + _correlation(row, "variants", f"over {row['n_variants']} variants")
    return f"{metric_of(row['metric']).name} by {row['model']}: {said}."


def _correlation(row: Row, of: str, over: str) -> str:
    if not np.isfinite(row[of]):
        return f"no rank correlation {over}, for one side does not vary"
    unsure = " (cannot be told from none)" if row[f"{of}_low"] <= 0 <= row[f"{of}_high"] else ""
    interval = f"{signed(row[f'{of}_low'])} to {signed(row[f'{of}_high'])}"
    return f"rank correlation {signed(row[of])} ({interval}) {over}{unsure}"


def scale_rows(scales: pd.DataFrame, best: str, model: str) -> list[dict[Hashable, Any]]:
    """Means by the scale at which `best` was used, a row each: of the development prompts, and drift of unrelated."""
    if not len(scales):
        return []
    own = scales[(scales["variant"] == best) & scales["metric"].isin(SCALED)]
    own = own[(own["metric"] != "clip_score") | (own["model"] == model)]
    own = own[own["split"] == own["metric"].eq("drift").map({True: "unrelated", False: "development"})]
    table = own.pivot_table(index="scale", columns="metric", values="value", aggfunc="mean")
    return table[[metric for metric in SCALED if metric in table]].reset_index().to_dict("records")
