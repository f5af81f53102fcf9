"""What was measured of a variant → the rows of its card's table, and what each metric means."""

from collections.abc import Callable, Hashable
from typing import Any

import pandas as pd

from caplora.report import SECONDARY_METRICS, Findings
from caplora.study import Metric, metric_of, number, p_number, signed

UNBROKEN = "\u00a0"  # a space at which no line ends
OF_PROMPTS = [m for m in SECONDARY_METRICS if m not in ("clip_cosine", "drift")]  # clip_cosine says what CLIPScore says


def metric_rows(found: Findings, arms: pd.DataFrame) -> list[dict[str, str]]:
    """The table of what was measured of `found.best`, in words: of samples with intervals, then of whole arms."""
    own = found.effects[found.effects["variant"] == found.best]
    whole = set(arms["metric"]) if len(arms) else set()
    kinds = [("test", metric) for metric in OF_PROMPTS if metric not in whole] + [("unrelated", "drift")]
    samples = [e for split, m in kinds for e in own[(own["split"] == split) & (own["metric"] == m)].to_dict("records")]
    wholes = arms[arms["variant"] == found.best].to_dict("records") if len(arms) else []
    return [*map(_sample_row, samples), *map(_arm_row, wholes)]


def interval(low: float, high: float, shown: Callable[[float], str] = signed) -> str:
    """`+0.131 to +0.314`, in one piece, for the narrow column of a table."""
    return f"{shown(low)} to {shown(high)}".replace(" ", UNBROKEN)


def _sample_row(e: dict[Hashable, Any]) -> dict[str, str]:
    n = f"{e['n_prompts']} × {e['n_seeds']}".replace(" ", UNBROKEN)
    if e["metric"] == "drift":  # a distance from the baseline, which is not tested
        own = {"difference": "–", "interval": interval(e["adapter_low"], e["adapter_high"], number), "p": "–"}
        return _row(e, "0", number(e["adapter"]), n) | own
    own = {"difference": signed(e["difference"]), "interval": interval(e["low"], e["high"]), "p": _p(e)}
    return _row(e, number(e["baseline"]), number(e["adapter"]), n) | own


def _arm_row(e: dict[Hashable, Any]) -> dict[str, str]:
    own = {"difference": signed(e["difference"]), "interval": "–", "p": _p(e)}
    return _row(e, number(e["baseline"]), number(e["value"]), str(e["n"])) | own


def _p(e: dict[Hashable, Any]) -> str:
    return p_number(e["p_corrected"]).replace(" ", UNBROKEN)


def _row(e: dict[Hashable, Any], baseline: str, adapter: str, n: str) -> dict[str, str]:
    name = str(e["metric"])
    metric = metric_of("diversity_ratio" if name == "diversity" and "n" in e else name)
    what = f"{metric.name} {metric.arrow}".strip()
    row = {"metric": what, "by": e["model"], "baseline": baseline, "adapter": adapter, "n": n}
    return row | {"means": "" if metric.said == metric.name else f"{metric.name}: {meaning(metric)}"}


def meaning(metric: Metric) -> str:
    """What a metric is, in a few words: `the cosine to the nearest training image`."""
    said = metric.said.removeprefix(f"{metric.name}, ").removeprefix(f"{metric.name.capitalize()}, ").rstrip(",")
    return said[:1].lower() + said[1:]
