"""How numbers are printed, in figures and sentences alike: signs, shares, p-values, counts."""

import math


def number(value: float) -> str:
    """A value as print has it: `0.512`, `−0.012`; a dash for what is not known."""
    return f"{value:.3f}".replace("-", "−") if math.isfinite(value) else "–"


def signed(value: float, digits: int = 3) -> str:
    """A difference as print has it: `+0.065`, `−0.012`; a dash for what is not known."""
    return f"{value:+.{digits}f}".replace("-", "−") if math.isfinite(value) else "–"


def percent(share: float) -> str:
    """A signed share as print has it, `+7.8 %`; a dash for what is not defined."""
    return f"{round(100 * share, 1) + 0.0:+.1f} %".replace("-", "−") if math.isfinite(share) else "–"


def p_number(p: float) -> str:
    """A p for a table: `0.013`, `< 0.001`; a dash for what is not known."""
    return "–" if not math.isfinite(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_value(p: float) -> str:
    """A p in a sentence: `p = 0.013`, `p < 0.001`."""
    return f"p {'' if p < 0.001 else '= '}{p_number(p)}"


def counted(number: int, thing: str) -> str:
    """`1 prompt`, `16 prompts`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
