"""A trained variant → its files: the adapter in both forms, its loss curves, `settings.json`, and these read again."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from caplora.lora import DIFFUSERS, Adapter, kohya_metadata, tag_frequency, weights_file, write_weights
from caplora.models import family_of
from caplora.study import Study, Variant, file_hash, read_text, write_text
from caplora.training.checkpoints import Checkpoints
from caplora.training.grid import TRAINING, Grid, kept_steps
from caplora.training.history import History
from caplora.training.inputs import CLASS
from caplora.training.states import adapter_in


def write_kept(grid: Grid, variant: Variant, place: Checkpoints) -> None:
    """Write the adapters of the steps that `training.keep` names; a variant that stopped before one has none of it."""
    for step in {*kept_steps(grid, variant)} & {*place.steps()}:
        if not place.manifest(step)["stopped"]:
            own = variant.model_copy(update={"step": step})
            write_adapter(grid, adapter_in(place.read(step), own), place)


def write_adapter(grid: Grid, adapter: Adapter, place: Checkpoints) -> dict[str, Any]:
    """Write both forms, `losses.csv`, `validation.csv` and, last, `settings.json`; what settings.json says.

    It is of the last step in `place`, or of the variant's own. Both files are read again and compared: `largest_error`
    is the largest |ΔW_file − ΔW| of any weight.
    """
    study, variant, now = grid.study, adapter.variant, grid.identity(adapter.variant)
    folder, kohya, last = study.adapter(variant), weights_file(study, variant), variant.step or place.steps()[-1]
    history = History.of(place.read(last)["losses"], place.manifest(last))
    if not variant.step:  # a killed process may not have come to it
        place.keep_only([last, *grid.settings(variant).kept_steps, *filter(None, [history.best()])])
    count = variant.images or len(grid.inputs)
    captions = [source["caption"] for source in list(now["images"].values())[:count]]
    family = family_of(grid.pipeline)
    metadata = kohya_metadata(adapter, kohya.stem, study.images.resolution, study.base.path, family) | {
        "ss_num_train_images": str(count),
        "ss_learning_rate": f"{now['training']['learning_rate']:g}",
        "ss_seed": str(now["training"]["seed"]),
        "ss_tag_frequency": tag_frequency(captions, study.name),
    }
    errors = [
        write_weights(adapter, folder / DIFFUSERS, "diffusers", {}),
        write_weights(adapter, kohya, "kohya", metadata),
    ]
    _write_curve(folder / "losses.csv", enumerate(history.losses, 1))
    _write_curve(folder / "validation.csv", history.validation.items())
    record = {
        "variant": variant.model_dump(exclude_none=True),
        "trained_parameters": adapter.parameters(),
        "layers": len(adapter.weights),
        "steps": len(history.losses),
        "stopped": history.stopped,
        "best": _best(history, place, folder),
        "seconds": round(history.seconds, 1),
        "training": now["training"],
        "precision": now["precision"],
        "base": study.base.model_dump(),
        "largest_error": max(errors),
        "sha256": {path.name: file_hash(path) for path in (folder / DIFFUSERS, kohya)},
    }
    write_text(folder / "settings.json", json.dumps(record, indent=2) + "\n")
    return record


def _best(history: History, place: Checkpoints, folder: Path) -> dict[str, Any] | None:
    best = history.best()
    if best is None:
        return None
    where = Path(os.path.relpath(place.path(best), folder)).as_posix()
    checkpoint = where if best in place.steps() else None  # a later step was better, and this one's was removed
    return {"step": best, "validation_loss": history.validation[best], "checkpoint": checkpoint}


def _write_curve(path: Path, points: Iterable[tuple[int, float]]) -> None:
    write_text(path, "step,loss\n" + "".join(f"{step},{loss:.8g}\n" for step, loss in points))


def trained_captions(study: Study, variant: Variant) -> dict[str, str]:
    """File name → caption of the images that a variant was trained on, as its folder says; none where it does not."""
    path = study.adapter(variant.model_copy(update={"step": None})) / TRAINING
    images = json.loads(read_text(path))["images"] if path.is_file() else {}
    return {name: source["caption"] for name, source in images.items() if not name.startswith(CLASS)}


def trained_on(study: Study, variant: Variant) -> list[str]:
    """The file names of the images that a variant was trained on, as its folder says; none where it does not."""
    return list(trained_captions(study, variant))


def same_recipe(study: Study, one: Variant, other: Variant) -> bool:
    """Whether two trainings were made alike, their seeds aside, as their folders say, or where one says nothing."""
    said = []
    for path in (study.adapter(v) / TRAINING for v in (one, other)):
        if not path.is_file():
            return True
        made = json.loads(read_text(path))
        said.append(made | {"training": made["training"] | {"seed": None}})
    return said[0] == said[1]


def read_records(study: Study, variants: Sequence[Variant]) -> list[dict[str, Any]]:
    """The `settings.json` of each variant."""
    return [json.loads(read_text(study.adapter(v) / "settings.json")) for v in variants]
