"""The two controls of every study: their table (`controls.csv`), their test, and what they say.

If a control fails, something is wrong with the study or with caplora, and no result should be believed before it is
found. A control that was not run is said not to have been.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
import pandas as pd

from caplora.statistics.effects import Row
from caplora.statistics.intervals import flip_test, interval, sign_flips
from caplora.study import counted, disk_errors_name, number, p_value, signed, write_text

CONTROLS = {
    "scale 0": "An adapter used at scale 0 must draw exactly the baseline’s pictures",
    "shuffled prompts": "Samples must score lower with prompts that other samples were drawn for",
}

COLUMNS = (
    "control", "variant", "metric", "model", "n", "value", "reference", "difference", "low", "high", "p", "passed",
)  # fmt: skip
FEW = 6  # prompts: with fewer, the interval is wide


@dataclass(frozen=True)
class Check:
    """One control over all its arms."""

    name: str
    state: str  # passed, FAILED or not run
    said: str  # a sentence or two


def checks(controls: pd.DataFrame, variants: Sequence[str]) -> list[Check]:
    """Every control, run or not, for these variants; the baseline's rows and other arms' count too."""
    rows = controls.to_dict("records") if len(controls) else []
    names = dict.fromkeys([*CONTROLS, *(row["control"] for row in rows)])
    return [_check(name, [row for row in rows if row["control"] == name], variants) for name in names]


def _check(name: str, rows: Sequence[Row], variants: Sequence[str]) -> Check:
    must = f"{CONTROLS[name]}. " if name in CONTROLS else ""
    if not rows:
        return Check(name, "not run", f"{must}Whether it holds here is not known." if must else "")
    failed = [row for row in rows if not passed(row)]
    there = {row["variant"] for row in rows}
    lost = [v for v in variants if v not in there]
    said = [_failed(row) for row in failed] or [_passed(name, rows)]
    said += [f"It was not run for {', '.join(lost)}."] if lost else []
    return Check(name, "FAILED" if failed else "passed", must + " ".join(said))


def passed(row: Row) -> bool:
    """Whether a control came out right; anything but a clear yes is a no."""
    return str(row["passed"]).strip().lower() in ("true", "1", "1.0")


def _passed(name: str, rows: Sequence[Row]) -> str:
    arms, n = counted(len(rows), "arm"), counted(int(sum(row["n"] for row in rows)), "sample")
    if name == "scale 0":
        return f"They do, to the bit, in {arms} and {n}."
    if name == "shuffled prompts":
        least = max(rows, key=lambda row: row["difference"])
        return f"They do, in {arms} and {n}; least so in {least['variant']}: {_numbers(least)}."
    return f"It came out right in {arms} and {n}."


def _failed(row: Row) -> str:
    return f"It FAILED for {row['variant']}: {_numbers(row)}."


def _numbers(row: Row) -> str:
    """What stands in a row, without what is empty."""
    said = number(row["value"])
    if isfinite(row["reference"]):
        said += f" against {number(row['reference'])}"
    if isfinite(row["low"]) and isfinite(row["high"]):
        p = f"; {p_value(row['p'])}" if isfinite(row["p"]) else ""
        said += f", a difference of {signed(row['difference'])} ({signed(row['low'])} to {signed(row['high'])}{p})"
    return said


def alarm(found: Sequence[Check]) -> str:
    """What stands above the result where a control failed; else empty."""
    failed = [check.name for check in found if check.state == "FAILED"]
    if not failed:
        return ""
    return (
        f"A control FAILED: {', '.join(failed)}. Until it is known why, nothing below can be relied on (see Controls)."
    )


def shuffled_control(scores: pd.DataFrame) -> pd.DataFrame:
    """Whether samples score lower with other samples' prompts: `COLUMNS`, a row per arm of `shuffled_prompts_table`.

    `value` is the mean over prompts with the wrong prompts, `reference` that with the right ones; the difference has a
    95 % t interval clustered by prompt and the p of flipping signs. It passes where the interval lies below 0, and with
    fewer than six prompts where the difference does.
    """
    rows = []
    for arm, own in scores.groupby("variant", sort=False):
        places, n = pd.factorize(own["prompt"])[0], own["prompt"].nunique()
        wrong, right = own["value"].to_numpy(float), own["reference"].to_numpy(float)
        means = _by_prompt(wrong - right, places)
        mean, low, high = interval(means)
        p, _ = flip_test(means[None], sign_flips(n))
        rows.append({
            "control": "shuffled prompts", "variant": arm, "metric": "clip_score", "model": own["model"].iloc[0],
            "n": len(own), "value": float(_by_prompt(wrong, places).mean()),
            "reference": float(_by_prompt(right, places).mean()), "difference": mean, "low": low, "high": high,
            "p": float(p[0]), "passed": bool(mean < 0 and (high < 0 or n < FEW)),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _by_prompt(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    return np.array([values[places == i].mean() for i in np.unique(places)])


def write_controls(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Put the rows of a control into the table at `path`, in the place of what it said of that control before.

    Returns these rows with all `COLUMNS`.
    """
    rows, known = rows.reindex(columns=list(COLUMNS)), read_controls(path)
    kept = known[~known["control"].isin(rows["control"])]
    table = pd.concat([part for part in (kept, rows) if len(part)], ignore_index=True) if len(rows) else kept
    write_text(path, table.to_csv(index=False))
    return rows


def read_controls(path: Path) -> pd.DataFrame:
    """The table of controls; one that is not there has no rows."""
    if not path.is_file():
        return pd.DataFrame(columns=list(COLUMNS))
    numbers = ("value", "reference", "difference", "low", "high", "p")
    with disk_errors_name(path, "read"):
        return pd.read_csv(path, keep_default_na=False, na_values={name: [""] for name in numbers})
