"""A grid of pictures: one setting along the top, another down the side, each any setting of a `Recipe`."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from caplora.playground.recipe import Recipe, changed, in_words, names_of, value_of
from caplora.sampling import SOLVERS
from caplora.study import BASELINE

AXES = {  # setting → what a person calls it
    "scale": "scale", "seed": "seed", "variant": "variant", "prompt": "prompt", "negative": "negative prompt",
    "steps": "steps", "guidance": "guidance", "solver": "scheduler", "second": "second adapter",
    "second_scale": "second scale",
}  # fmt: skip
TEXTS = ("prompt", "negative")  # one a line; of the others commas part them too
MOST = 400  # pictures
RANGE = re.compile(r"(\d+)\s*(?:-|–|\.\.|…)\s*(\d+)")


@dataclass(frozen=True)
class Axis:
    """A setting and the values that it takes."""

    setting: str
    values: tuple[Any, ...]

    @property
    def labels(self) -> list[str]:
        """What stands at each row or column."""
        if self.setting in ("variant", "second"):
            return names_of(self.values)
        return [_label(self.setting, value) for value in self.values]

    @property
    def written(self) -> str:
        """The values as a person would write them."""
        values = [str(value) or BASELINE for value in self.values]
        return ("\n" if self.setting in TEXTS else ", ").join(values)


def axis_of(setting: str, text: str) -> Axis:
    """The axis that a person writes: values one a line, or with commas between, seeds and steps also as 1-4.

    Raises ValueError naming the value that cannot be, or that there are none.
    """
    parts = text.split("\n") if setting in TEXTS else re.split(r"[,\n]", text)
    values: list[Any] = []
    for part in (p.strip() for p in parts if p.strip()):
        found = RANGE.fullmatch(part) if setting in ("seed", "steps") else None
        numbers = range(int(found[1]), min(int(found[2]), int(found[1]) + MOST) + 1) if found else [part]
        values += [value_of(setting, number) for number in numbers]
    if not values:
        raise ValueError(
            f"{AXES[setting]}: write the values of the grid, {'one a line' if setting in TEXTS else '1, 2, 3'}"
        )
    return Axis(setting, tuple(dict.fromkeys(values)))


def _label(setting: str, value: Any) -> str:
    if setting in TEXTS:
        return str(value)
    return SOLVERS[value].title if setting == "solver" else f"{AXES[setting]} {value:.10g}"


@dataclass(frozen=True)
class Grid:
    """What is drawn: `recipe` with each value of `x` along the top and of `y` down the side; `y` may lack."""

    recipe: Recipe
    x: Axis
    y: Axis | None = None

    @property
    def cells(self) -> list[list[Recipe]]:
        """The recipes, row by row."""
        rows = self.y.values if self.y else (None,)
        return [[self._cell(value, row) for value in self.x.values] for row in rows]

    def _cell(self, value: Any, row: Any) -> Recipe:
        own = {self.x.setting: value} | ({self.y.setting: row} if self.y else {})
        alone = {"second": ""} if own.get("variant") == "" else {}  # the baseline has no other beside it
        return changed(self.recipe, **alone | own)

    @property
    def fixed(self) -> str:
        """What all cells have alike, in words."""
        axes = tuple(axis.setting for axis in (self.x, self.y) if axis)
        prompt = [] if "prompt" in axes else [f"“{self.recipe.prompt}”"]
        negative = [f"without “{self.recipe.negative}”"] if self.recipe.negative and "negative" not in axes else []
        return ", ".join([*prompt, *negative, in_words(self.recipe, axes)])

    @property
    def controls(self) -> dict[str, list[str]]:
        """The axes as a person would write them."""
        y = [self.y.setting, self.y.written] if self.y else ["", ""]
        return {"x": [self.x.setting, self.x.written], "y": y}

    def said(self) -> dict[str, Any]:
        """The grid as its picture's file says it."""
        axes = {name: asdict(axis) for name, axis in (("x", self.x), ("y", self.y)) if axis}
        return {"recipe": asdict(self.recipe), **axes}


def grid_of(recipe: Recipe, x: Sequence[str], y: Sequence[str]) -> Grid:
    """The grid that a person describes by two pairs of setting and text; an empty setting is no axis.

    Raises ValueError where no axis is chosen, or both are the same, or it has more than `MOST` pictures, or where the
    scale is to vary of no adapter.
    """
    axes = [axis_of(setting, text) for setting, text in (x, y) if setting]
    settings = [axis.setting for axis in axes]
    if not axes or len(set(settings)) < len(axes):
        raise ValueError("choose one or two different settings for the grid")
    for scale, adapter in (("scale", "variant"), ("second_scale", "second")):
        if scale in settings and adapter not in settings and not getattr(recipe, adapter):
            raise ValueError(f"{AXES[scale]}: choose the {AXES[adapter]} first, the baseline has none")
    grid = Grid(recipe, axes[0], axes[1] if len(axes) > 1 else None)
    count = len(axes[0].values) * len(axes[-1].values if len(axes) > 1 else (1,))
    if count > MOST:
        raise ValueError(f"this is a grid of {count} pictures, and {MOST} are the most: write fewer values")
    return grid


def grid_in(said: dict[str, Any], recipe: Recipe) -> Grid:
    """The grid that a picture's file says."""
    axes = [(said[name]["setting"], said[name]["values"]) for name in ("x", "y") if name in said]
    return Grid(recipe, *(Axis(setting, tuple(value_of(setting, v) for v in values)) for setting, values in axes))


def grid_name(grid: Grid, files: Sequence[Path]) -> str:
    """The name of the picture of a grid: a function of the grid and of the files in it."""
    said = f"{grid.said()} {[file.name for file in files]}"
    axes = "_by_".join(axis.setting for axis in (grid.x, grid.y) if axis)
    return f"{axes}_{hashlib.sha256(said.encode()).hexdigest()[:12]}.png"
