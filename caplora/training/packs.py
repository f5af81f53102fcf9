"""Variants → packs that fit the memory, trained one after another, each adapter written when it is done."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from accelerate import Accelerator
from PIL import Image

from caplora.lora import Pack
from caplora.models import bytes_needed, free_bytes, packs_within, parts_of
from caplora.study import Variant, only_writer
from caplora.training.checkpoints import ChangedError, last_common
from caplora.training.grid import Grid, changes
from caplora.training.loop import Run, Step, train
from caplora.training.records import read_records, write_adapter


@dataclass(frozen=True)
class Plan:
    """Which variants train together."""

    packs: tuple[tuple[Variant, ...], ...]
    steps: int  # left to do, over all packs
    each: int  # bytes that one variant's activations need
    free: int  # bytes

    def said(self) -> str:
        """The plan in words."""
        shape = " + ".join(str(len(pack)) for pack in self.packs)
        size = f"a variant needs about {self.each / 2**20:,.0f} MB and {self.free / 2**20:,.0f} MB are free"
        return f"{len(self.packs)} packs ({shape}): {size}" if len(self.packs) > 1 else f"one pack: {size}"


def plan_packs(grid: Grid, variants: Sequence[Variant], free: int | None = None) -> Plan:
    """Packs of the variants that fit into `free` bytes (None: what the device has).

    Variants that were trained together go on together. On a CPU what a step keeps is counted without gradient
    checkpointing, which hides what a block needs while it is computed again: rather too much than too little.
    """
    free = free_bytes(grid.pipeline.device) if free is None else free
    pack = grid.fresh_pack([max(variants, key=lambda v: v.rank)])
    measured = grid.pipeline.device.type == "cuda"
    checkpointing = grid.study.training.gradient_checkpointing and measured
    settings = grid.study.training.model_copy(update={"compile": False, "gradient_checkpointing": checkpointing})
    run = Run(grid.pipeline, pack, grid.inputs, settings, [])
    each = bytes_needed(lambda: run.variant_losses(run.draw(0)).sum(), parts_of(grid.pipeline), grid.pipeline.device)
    pack.lift()
    packs = tuple(pack for group in together(grid, variants) for pack in packs_within(group, each, free))
    done = [last_common([grid.checkpoints(variant) for variant in pack]) or 0 for pack in packs]
    return Plan(packs, len(packs) * grid.study.training.steps - sum(done), each, free)


def together(grid: Grid, variants: Sequence[Variant]) -> list[list[Variant]]:
    """The variants by the pack that they were trained in so far; those that have not begun are one group."""
    steps = {v.name: grid.checkpoints(v).steps() for v in variants}
    begun = {v.name: grid.checkpoints(v).manifest(max(steps[v.name])) for v in variants if steps[v.name]}
    mates = {name: tuple(m["pack"]) for m in begun.values() if not m["step"] for name in m["pack"]}
    mates |= {name: tuple(m["pack"]) for name, m in begun.items()}
    groups: dict[tuple[str, ...], list[Variant]] = {}
    for v in variants:
        pack = mates.get(v.name, ())
        common = set.intersection(*(set(steps[name]) for name in pack if name in begun)) if v.name in begun else {0}
        groups.setdefault(pack if common else (v.name,), []).append(v)
    return list(groups.values())


Preview = Callable[[Grid, Pack, int], dict[str, list[Image.Image]]]  # at a step: variant → pictures


def train_grid(
    grid: Grid, packs: Sequence[Sequence[Variant]], preview: Preview = lambda grid, pack, number: {}
) -> Iterator[Step]:
    """Train the packs one after another and write each one's adapters when it is done, yielding every step.

    Training that was interrupted goes on; what is finished is only written again. Every process of several runs
    this; the first one writes. `preview` draws what a step shows beside its losses. Raises ChangedError where a folder
    was claimed for another training meanwhile, and FloatingPointError when every variant has stopped.
    """
    first = Accelerator(cpu=grid.pipeline.device.type == "cpu").is_main_process
    for variants in packs:
        with ExitStack() as held:
            for variant in variants if first else ():
                held.enter_context(only_writer(grid.study.adapter(variant)))
                if listed := changes(grid, variant):
                    raise ChangedError(f"{grid.study.adapter(variant)} was claimed for another training:\n{listed}")
            pack, places = grid.fresh_pack(variants), [grid.checkpoints(variant) for variant in variants]
            held.callback(pack.lift)
            for step in train(grid.pipeline, pack, grid.inputs, grid.study.training, places, grid.held_out):
                yield replace(step, previews=preview(grid, pack, step.number) if first else {})
            if first:
                for adapter, place in zip(pack.adapters(), places, strict=True):
                    write_adapter(grid, adapter, place)
    records = read_records(grid.study, [variant for variants in packs for variant in variants]) if first else []
    if records and all(record["stopped"] for record in records):
        raise FloatingPointError("; ".join(record["stopped"] for record in records))
