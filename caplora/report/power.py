"""Whether a study could find the smallest difference of interest → a sentence, beside what it did find."""

from caplora.statistics import POWER, Row, chance_after
from caplora.study import Study, number


def interest_sentence(study: Study, effect: Row, recipe: Row | None = None) -> str:
    """Whether the study had the power to find what it said to be worth finding; empty where it said nothing.

    `effect` is the headline: the spread is that of its test prompts. Where the power was lacking, whether the interval
    rules out a gain of that size all the same. `recipe` is the effect over several trainings, whose interval counts;
    the power stays that of one.
    """
    least = study.claims.smallest(str(effect["metric"]))
    if least is None:
        return ""
    chance = chance_after(effect, least)
    said = (
        f"The smallest difference of interest, {number(least)}, was said in advance; by the spread of the test prompts"
        f" {100 * chance:.0f} of 100 such studies {'of one training ' if recipe else ''}find it"
    )
    if chance >= POWER:
        return f"{said}: the study had the power it needed ({100 * POWER:.0f})."
    lacks = f"{said}, and {100 * POWER:.0f} were needed: the study lacked the power"
    found = recipe or effect
    if found["low"] > 0 or found["high"] < 0:
        return f"{lacks}, and found a difference all the same."
    if found["high"] < least:
        return f"{lacks}, but its interval ends below that: a gain so large is ruled out."
    return f"{lacks}, and a difference that it did not find may be there."
