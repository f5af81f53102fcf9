"""Which pictures the playground shows, in rows and columns with their labels."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caplora.playground.grid import Grid
from caplora.playground.pictures import Pictures
from caplora.playground.recipe import Recipe, adapters_in_words, in_words


@dataclass(frozen=True)
class Shown:
    """Files row by row, whether they are there yet or not; `words` is below all."""

    rows: Sequence[Sequence[Path]] = ()
    columns: Sequence[str] = ()
    labels: Sequence[str] = ()  # of the rows
    words: str = ""

    @property
    def files(self) -> list[Path]:
        """All files, row by row."""
        return [path for row in self.rows for path in row]

    def view(self, folder: Path) -> dict[str, Any]:
        """As `playground.js` reads it: names of the files that are there."""
        return {
            "rows": [[shown_name(path, folder) for path in row] for row in self.rows],
            "columns": list(self.columns),
            "labels": list(self.labels),
            "words": self.words,
        }


def shown_name(path: Path, folder: Path) -> str:
    """What a file is asked for by: below the folder its path there, elsewhere a name that no other file has."""
    if not path.is_file():
        return ""
    if path.is_relative_to(folder):
        return path.relative_to(folder).as_posix()
    only = hashlib.sha256(f"{path.resolve()} {path.stat().st_mtime_ns}".encode()).hexdigest()[:12]
    return f"{only}/{path.name}"


def shown_pictures(recipes: Sequence[Recipe], pictures: Pictures) -> Shown:
    """Pictures beside each other, which differ in their adapters."""
    words = in_words(recipes[0], ("variant", "scale", "second", "second_scale"))
    return Shown([[pictures.path(r) for r in recipes]], [adapters_in_words(r) for r in recipes], words=words)


def shown_grid(grid: Grid, pictures: Pictures) -> Shown:
    """The cells of a grid."""
    rows = [[pictures.path(recipe) for recipe in row] for row in grid.cells]
    return Shown(rows, grid.x.labels, grid.y.labels if grid.y else (), grid.fixed)
