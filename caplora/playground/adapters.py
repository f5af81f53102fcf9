"""The adapters that a picture may be drawn with: the study's own by their variants' names, other people's by path."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from caplora.lora import NOTHING, Adapter, adapter_file, blend, read_adapter, rescaled, weights_file
from caplora.playground.recipe import AS_ALL, Recipe
from caplora.study import Study, Variant, file_hash


class KnownAdapters:
    """Adapters by name; each file is read once, and again when it has changed."""

    def __init__(self, study: Study, variants: Sequence[Variant]) -> None:
        self.study = study
        self.trained = {v.name: f for v in variants if (f := weights_file(study, v)).is_file()}
        self._read: dict[tuple[Path, int], tuple[Adapter, str]] = {}

    def file(self, name: str) -> Path:
        """The file of a trained variant or at a path; raises ValueError where there is none."""
        if name in self.trained:
            return self.trained[name]
        path = self.study.path(name)
        if not path.exists():
            own = f"choose {', '.join(self.trained)} or" if self.trained else "nothing is trained yet:"
            raise ValueError(f"there is no adapter {name!r}: {own} give the path of a .safetensors file")
        return adapter_file(path)

    def named(self, stem: str) -> str:
        """The variant whose file has this name without its end; empty if it is none of the study's."""
        return next((name for name, file in self.trained.items() if file.stem == stem), "")

    def worn(self, recipe: Recipe) -> list[dict[str, Any]]:
        """What a picture's file says of the adapters of a recipe: name, scale and hash of each."""
        return [
            {"name": _name(file), "scale": scale, "sha256": self._of(file)[1]} for file, scale in self._files(recipe)
        ]

    def adapter(self, recipe: Recipe) -> Adapter:
        """What a recipe is drawn with: nothing, one adapter at its scale, or two blended."""
        own = [(self._of(file)[0], scale) for file, scale in self._files(recipe)]
        if len(own) < 2:
            return rescaled(*own[0]) if own else NOTHING
        return blend([adapter for adapter, _ in own], [scale for _, scale in own])

    def _files(self, recipe: Recipe) -> list[tuple[Path, float]]:
        chosen = ((recipe.variant, recipe.scale), (recipe.second, recipe.second_scale))
        return [(self.file(name), scale) for name, scale in chosen if name]

    def _of(self, file: Path) -> tuple[Adapter, str]:
        """The adapter in a file and the file's hash."""
        key = (file, file.stat().st_mtime_ns)
        if key not in self._read:
            self._read[key] = (read_adapter(file), file_hash(file))
        return self._read[key]


def _name(file: Path) -> str:
    """What an adapter is called: its file, or the folder of a file that is called as all are."""
    return file.resolve().parent.name if file.stem in AS_ALL else file.stem
