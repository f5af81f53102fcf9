"""Variants → packs that fit the memory, trained one after another, each adapter written when it is done."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import torch
from accelerate import Accelerator
from PIL import Image

from caplora.lora import Pack
from caplora.models import bytes_needed, fits, free_bytes, out_of_memory_names, packs_within, parts_of
from caplora.study import Training, Variant, counted, only_writer
from caplora.training.checkpoints import ChangedError, last_common
from caplora.training.grid import Grid, changes
from caplora.training.loop import SMALLER, Run, Step, train
from caplora.training.records import read_records, write_adapter, write_kept
from caplora.training.room import refuse_no_room


@dataclass(frozen=True)
class Plan:
    """Which variants train together."""

    packs: tuple[tuple[Variant, ...], ...]
    steps: int  # left to do, over all packs
    each: int  # bytes that one variant's activations need
    free: int  # bytes
    checkpointing: bool = False  # of gradients
    at_once: int | None = None  # images of a variant; None: all of a micro-batch

    def settings(self, asked: Training) -> Training:
        """A study's settings with what the plan chose so that they fit."""
        chosen = {"gradient_checkpointing": self.checkpointing, "images_at_once": self.at_once}
        return asked.model_copy(update=chosen)

    def said(self) -> str:
        """The plan in words."""
        shape = " + ".join(str(len(pack)) for pack in self.packs)
        size = f"a variant needs about {self.each / 2**20:,.0f} MB and {self.free / 2**20:,.0f} MB are free"
        size += ", with gradient checkpointing" if self.checkpointing else ""
        size += f", {counted(self.at_once, 'image')} of a variant at once" if self.at_once else ""
        return f"{len(self.packs)} packs ({shape}): {size}" if len(self.packs) > 1 else f"one pack: {size}"


def plan_packs(grid: Grid, variants: Sequence[Variant], free: int | None = None) -> Plan:
    """Packs of the variants that fit into `free` bytes (None: what the device has).

    Variants that were trained together go on together. Gradient checkpointing, unless the study says, is on only where
    a variant alone does not fit without: it computes every forward pass twice, and another pass costs no arithmetic.
    Where that is not enough its images are passed in parts, unless the study says in which.
    """
    free = free_bytes(grid.pipeline.device) if free is None else free
    asked, at_once = grid.study.training.gradient_checkpointing, grid.study.training.images_at_once
    each = bytes_of_variant(grid, variants, bool(asked), at_once)
    light = bool(asked) or (asked is None and not fits(each, free))
    if light and not asked:
        each = bytes_of_variant(grid, variants, True, at_once)
    rows = grid.study.training.batch_size * (2 if grid.study.training.prior else 1)
    while grid.study.training.images_at_once is None and not fits(each, free) and rows > 1:
        rows = at_once = -(-rows // 2)
        each = bytes_of_variant(grid, variants, light, at_once)
    packs = tuple(pack for group in together(grid, variants) for pack in packs_within(group, each, free))
    done = [last_common([grid.checkpoints(variant) for variant in pack]) or 0 for pack in packs]
    asked_for = [grid.settings(pack[0]).steps for pack in packs]
    return Plan(packs, sum(asked_for) - sum(done), each, free, light, at_once)


def bytes_of_variant(grid: Grid, variants: Sequence[Variant], checkpointing: bool, at_once: int | None) -> int:
    """The memory that a step of the variant of the largest rank needs; what the card has if that is not enough.

    On a CPU what a step keeps is counted without gradient checkpointing, which hides what a block needs while it is
    computed again: rather too much than too little.
    """
    pipeline, pack = grid.pipeline, grid.fresh_pack([max(variants, key=lambda v: v.rank)])
    measured = checkpointing and pipeline.device.type == "cuda"
    settings = grid.study.training.model_copy(update={"compile": False, "gradient_checkpointing": measured})
    try:
        run = Run(pipeline, pack, grid.inputs, settings, [])
        part = next(run.draw(0).in_parts(1, at_once))
        return bytes_needed(lambda: run.variant_losses(part).sum(), parts_of(pipeline), pipeline.device)
    except torch.OutOfMemoryError:
        return torch.cuda.get_device_properties(pipeline.device).total_memory
    finally:
        pack.lift()


def step_seconds(grid: Grid, variants: Sequence[Variant], settings: Training) -> float:
    """How long a step of a pack takes: the last of a few, of adapters that are not kept."""
    pipeline, pack, began = grid.pipeline, grid.fresh_pack(variants), 0.0
    settings = settings.model_copy(update={"compile": False, "steps": 2})
    with out_of_memory_names(f"a step of {len(variants)} variants at once", SMALLER):
        run = Run(pipeline, pack, grid.inputs, settings, [])
        for step in range(2):
            began = time.monotonic()
            run.optimise(step)
            if pipeline.device.type == "cuda":
                torch.cuda.synchronize()
    pack.lift()
    return time.monotonic() - began


def together(grid: Grid, variants: Sequence[Variant]) -> list[list[Variant]]:
    """The variants by the pack that they were trained in so far; those that have not begun are one group.

    Variants of a pack take the same number of steps.
    """
    steps = {v.name: grid.checkpoints(v).steps() for v in variants}
    begun = {v.name: grid.checkpoints(v).manifest(max(steps[v.name])) for v in variants if steps[v.name]}
    mates = {name: tuple(m["pack"]) for m in begun.values() if not m["step"] for name in m["pack"]}
    mates |= {name: tuple(m["pack"]) for name, m in begun.items()}
    groups: dict[tuple[object, ...], list[Variant]] = {}
    for v in variants:
        pack = mates.get(v.name, ())
        common = set.intersection(*(set(steps[name]) for name in pack if name in begun)) if v.name in begun else {0}
        groups.setdefault((grid.settings(v).steps, *(pack if common else (v.name,))), []).append(v)
    return list(groups.values())


Preview = Callable[[Grid, Pack, int], dict[str, list[Image.Image]]]  # at a step: variant → pictures


def train_grid(
    grid: Grid,
    packs: Sequence[Sequence[Variant]],
    preview: Preview = lambda grid, pack, number: {},
    settings: Training | None = None,
) -> Iterator[Step]:
    """Train the packs one after another and write each one's adapters when it is done, yielding every step.

    Training that was interrupted goes on; what is finished is only written again. Every process of several runs
    this; the first one writes. `preview` draws what a step shows beside its losses. `settings` are those of the plan;
    None: the study's. Raises OSError where the disk has no room for all of it, ChangedError where a folder was claimed
    for another training meanwhile, and FloatingPointError when every variant has stopped.
    """
    settings = settings or grid.study.training
    first = Accelerator(cpu=grid.pipeline.device.type == "cpu").is_main_process
    if first and packs:
        refuse_no_room(grid, [variant for variants in packs for variant in variants])
    for variants in packs:
        with ExitStack() as held:
            for variant in variants if first else ():
                held.enter_context(only_writer(grid.study.adapter(variant)))
                if listed := changes(grid, variant):
                    raise ChangedError(f"{grid.study.adapter(variant)} was claimed for another training:\n{listed}")
            pack, places = grid.fresh_pack(variants), [grid.checkpoints(variant) for variant in variants]
            own = settings.model_copy(update={"steps": grid.settings(variants[0]).steps})
            held.callback(pack.lift)
            for step in train(grid.pipeline, pack, grid.inputs, own, places, grid.held_out):
                yield replace(step, previews=preview(grid, pack, step.number) if first else {})
            if first:
                for adapter, place in zip(pack.adapters(), places, strict=True):
                    write_adapter(grid, adapter, place)
                    write_kept(grid, adapter.variant, place)
    records = read_records(grid.study, [variant for variants in packs for variant in variants]) if first else []
    if records and all(record["stopped"] for record in records):
        raise FloatingPointError("; ".join(record["stopped"] for record in records))
