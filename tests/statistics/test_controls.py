"""A control is passed, failed or not run, and each is said; a failure is never quiet."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from caplora.statistics.controls import CONTROLS, alarm, checks, passed

NAN = float("nan")


def control(name: str, variant: str, value: float, right: Any, **more: float) -> dict[str, Any]:
    numbers = dict.fromkeys(("reference", "difference", "low", "high", "p"), NAN) | more
    return {"control": name, "variant": variant, "n": 8, "value": value, "passed": right} | numbers


def test_no_table_is_not_run_for_every_control() -> None:
    found = checks(pd.DataFrame(), ["r4_a8"])
    assert [(check.name, check.state) for check in found] == [(name, "not run") for name in CONTROLS]
    assert alarm(found) == ""


def test_one_failure_among_many_fails_the_control_and_names_the_variant() -> None:
    rows = [control("scale 0", "r4_a8", 0.0, True), control("scale 0", "r8_a8", 2.0, False)]
    zero, shuffled = checks(pd.DataFrame(rows), ["r4_a8", "r8_a8"])
    assert zero.state == "FAILED" and "It FAILED for r8_a8: 2.000." in zero.said
    assert shuffled.state == "not run"
    assert "A control FAILED: scale 0." in alarm([zero, shuffled])


def test_passed_says_the_worst_of_what_passed() -> None:
    numbers = {"low": -0.4, "high": -0.1, "p": 0.0004}
    rows = [
        control("shuffled prompts", "r4_a8", 1.5, True, reference=1.8, difference=-0.3, **numbers),
        control("shuffled prompts", "r8_a8", 1.6, True, reference=1.8, difference=-0.2, **numbers),
    ]
    [_, shuffled] = checks(pd.DataFrame(rows), ["r4_a8", "r8_a8"])
    assert shuffled.state == "passed" and "in 2 arms and 16 samples" in shuffled.said
    assert "least so in r8_a8: 1.600 against 1.800, a difference of −0.200 (−0.400 to −0.100; p < 0.001)" in (
        shuffled.said
    )


def test_variant_without_its_control_is_named() -> None:
    zero = checks(pd.DataFrame([control("scale 0", "r4_a8", 0.0, True)]), ["r4_a8", "r8_a8"])[0]
    assert zero.state == "passed" and "It was not run for r8_a8." in zero.said


def test_control_of_another_name_counts_too() -> None:
    found = checks(pd.DataFrame([control("same hash", "r4_a8", 1.0, False)]), [])
    assert found[-1].state == "FAILED" and "same hash" in alarm(found)


@pytest.mark.parametrize(("value", "right"), [(True, True), (np.True_, True), ("True", True), ("False", False)])
def test_passed_is_a_clear_yes(value: Any, right: bool) -> None:
    assert passed({"passed": value}) is right


@pytest.mark.parametrize("value", [NAN, "", None, "maybe", 0])
def test_anything_but_a_clear_yes_is_a_no(value: Any) -> None:
    assert not passed({"passed": value})
