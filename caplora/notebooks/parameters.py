"""The names and kinds of what papermill gave a notebook, checked against its parameters cell.

papermill only warns of a name that the notebook lacks, and the notebook would then run with its defaults.
"""

import ast
import builtins
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

from IPython import get_ipython

INJECTED = "# Parameters\n"  # how the cell begins that papermill writes below the parameters cell


class ParameterError(ValueError):
    """A parameter that the notebook does not have, or of the wrong kind; the message names it and the way out."""


def check_parameters() -> None:
    """Raise ParameterError where papermill gave this notebook a name that it lacks, or a value of the wrong kind."""
    check_injected(get_ipython().user_ns["In"])


def check_injected(cells: Sequence[str]) -> None:
    """The same for the sources of the cells that ran, in their order; the parameters cell comes before papermill's."""
    for own, injected in pairwise(cells):
        if injected.startswith(INJECTED):
            _check(_kinds(own), _values(injected))


def _check(kinds: Mapping[str, str], given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name not in kinds:
            nearest = get_close_matches(name, kinds, 1)
            meant = f"did you mean {nearest[0]}? " if nearest else ""
            raise ParameterError(f"this notebook has no parameter {name}: {meant}It has {', '.join(kinds)}")
        if not _fits(value, kinds[name]):
            text = ": give it as text with papermill's -r" if kinds[name] == "str" else ""
            raise ParameterError(f"the parameter {name} must be {kinds[name]}, got {value!r}{text}")


def _kinds(parameters: str) -> dict[str, str]:
    """Name → kind of each line `name: kind = value` of the parameters cell."""
    lines = [line for line in ast.parse(parameters).body if isinstance(line, ast.AnnAssign)]
    return {ast.unparse(line.target): ast.unparse(line.annotation) for line in lines}


def _values(injected: str) -> dict[str, Any]:
    """Name → value of each line of papermill's cell, which holds literals."""
    lines = [line for line in ast.parse(injected).body if isinstance(line, ast.Assign)]
    return {ast.unparse(line.targets[0]): _literal(line.value) for line in lines}


def _literal(value: ast.expr) -> Any:
    """The value of a literal; papermill writes an infinite or undefined number as `float('inf')`."""
    return float(ast.unparse(value)[7:-2]) if isinstance(value, ast.Call) else ast.literal_eval(value)


def _fits(value: Any, kind: str) -> bool:
    """Whether a value is of a kind; a whole number will do for a float.

    A list is of variants, which papermill's `-f` takes from a file, and whoever reads it checks it.
    """
    return isinstance(value, list) or type(value) is getattr(builtins, kind) or (type(value) is int and kind == "float")
