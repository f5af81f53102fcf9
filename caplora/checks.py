"""The table of controls → what must come out right in every study, and whether it did, in plain words.

A control that was not run is said not to have been, and one that failed is said loudly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import pandas as pd

from caplora.metrics import number, p_value, signed
from caplora.sentences import Row, counted

CONTROLS = {
    "scale 0": "An adapter used at scale 0 must draw exactly the baseline’s pictures",
    "shuffled prompts": "Samples must score lower with prompts that other samples were drawn for",
}


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
    lost = [v for v in variants if v not in {row["variant"] for row in rows}]
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
