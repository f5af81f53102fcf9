"""Whether the disk has room for what a training will write: a full disk is told before the first step."""

from collections.abc import Sequence

from caplora.lora import target_layers
from caplora.models import parts_of
from caplora.study import Variant, counted, refuse_full_disk
from caplora.training.grid import Grid, kept_steps
from caplora.training.states import VECTORS

BYTES = 4  # of a weight in fp32
FORMS = 2  # of an adapter's files: that of diffusers and that of kohya
PASSING = 3  # checkpoints beside those of `training.keep`: the last, the best, and the one that is being written


def bytes_of(grid: Grid, variant: Variant) -> int:
    """The bytes of a variant's checkpoints and adapters, when there are most of them."""
    settings = grid.settings(variant)
    layers = target_layers(parts_of(grid.pipeline), settings).values()
    weights = variant.rank * sum(layer.in_features + layer.out_features for layer in layers)
    checkpoints, adapters = PASSING + len(settings.kept_steps), 1 + len(kept_steps(grid, variant))
    return BYTES * weights * (len(VECTORS) * checkpoints + FORMS * adapters)


def bytes_to_come(grid: Grid, variant: Variant) -> int:
    """What a variant will take of the disk beside what lies in its folder; 0 once it is trained."""
    if grid.settings(variant).steps in grid.checkpoints(variant).steps():
        return 0
    there = sum(path.stat().st_size for path in grid.study.adapter(variant).rglob("*") if path.is_file())
    return max(0, bytes_of(grid, variant) - there)


def refuse_no_room(grid: Grid, variants: Sequence[Variant]) -> None:
    """Raise DiskError (ENOSPC) where the variants' checkpoints and adapters will not fit on the disk."""
    refuse_full_disk(
        grid.study.adapter(variants[0]).parent,
        sum(bytes_to_come(grid, variant) for variant in variants),
        f"training {counted(len(variants), 'variant')}",
        "train fewer variants or lower ranks, or keep fewer steps (training.keep, training.keep_every)",
    )
