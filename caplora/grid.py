"""A study's variants → adapters: packs that fit the memory, every variant in a folder that knows its training."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from accelerate import Accelerator
from diffusers import StableDiffusionPipeline
from PIL import Image

from caplora.adapters import DIFFUSERS, kohya_metadata, tag_frequency, weights_file, write_weights
from caplora.base import noise_of, parts_of, precision_of
from caplora.checkpoints import ChangedError, Checkpoints, differences, file_hash, last_common, set_aside
from caplora.dataset import Inputs, weights_hash
from caplora.files import only_writer, replacing, write_text
from caplora.lora import Adapter, Pack, fresh_adapter, target_layers
from caplora.memory import bytes_needed, free_bytes, packs_within
from caplora.samples import wanted_samples
from caplora.sampling import decode, draw_batch
from caplora.settings import Variant
from caplora.study import Study
from caplora.training import History, Run, Step, train

CADENCE = {"checkpointing_steps", "validation_steps", "preview_steps"}  # settings that change nothing that is learned
SHOWN = 20  # differences, before the rest is counted
PREVIEWS = 2  # development prompts that are drawn during training
TRAINING = "training.json"  # what a variant's folder is the training of


@dataclass(frozen=True)
class Grid:
    """What all variants of a study train on, and from."""

    study: Study
    pipeline: StableDiffusionPipeline
    inputs: Inputs
    held_out: Inputs | None = None  # to validate on

    @cached_property
    def base(self) -> dict[str, Any]:
        """Hashes of the base model's weights, and what they mean."""
        parts = {part: weights_hash(getattr(self.pipeline, part)) for part in ("unet", "text_encoder", "vae")}
        return parts | noise_of(self.pipeline)

    def identity(self, variant: Variant) -> dict[str, Any]:
        """Everything that decides what training `variant` gives."""
        settings = self.study.training.of(variant)
        return {
            "variant": variant.model_dump(include={"rank", "alpha", "use_rslora"}),
            "training": settings.model_dump(exclude=CADENCE, mode="json"),
            "precision": precision_of(self.pipeline.device, settings.mixed_precision),
            "base": self.base,
            "images": self.inputs.sources_of(variant.captions),
            "held_out": self.held_out.sources if self.held_out else {},
        }

    def checkpoints(self, variant: Variant) -> Checkpoints:
        """The checkpoints of a variant."""
        return Checkpoints(self.study.adapter(variant) / "checkpoints")

    def fresh_pack(self, variants: Sequence[Variant]) -> Pack:
        """The variants as a pack that has learned nothing yet."""
        host = parts_of(self.pipeline)
        own = [self.study.training.of(variant) for variant in variants]
        return Pack(
            host, [fresh_adapter(target_layers(host, o), v, o.seed) for v, o in zip(variants, own, strict=True)]
        )


def claim(grid: Grid, variants: Sequence[Variant], fork: bool = False) -> list[str]:
    """Make the variants' folders the places of the training that `grid` describes; what is said of earlier ones.

    A training that was finished there differently is set aside. One that stopped half way is too if `fork`; else
    ChangedError says what differs, and nothing is touched.
    """
    with ExitStack() as held:
        for variant in variants:
            held.enter_context(only_writer(grid.study.adapter(variant)))
        changed = [variant for variant in variants if changes(grid, variant)]
        if not fork:
            for variant in changed:
                refuse_half_way(grid, variant)
        said = []
        for variant in changed:
            listed, aside = changes(grid, variant), set_aside(grid.study.adapter(variant))
            said.append(f"{variant.name} was trained differently before; that is in {aside.name}:\n{listed}")
        for variant in variants:
            text = json.dumps(grid.identity(variant), indent=1, ensure_ascii=False) + "\n"
            write_text(grid.study.adapter(variant) / TRAINING, text)
        return said


def changes(grid: Grid, variant: Variant) -> str:
    """What is asked for differently from the training in the variant's folder, a line each; empty if nothing is."""
    path = grid.study.adapter(variant) / TRAINING
    if not path.is_file() or not grid.checkpoints(variant).steps():
        return ""
    lines = differences(json.loads(path.read_text(encoding="utf-8")), grid.identity(variant))
    rest = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "\n".join(f"  {line}" for line in [*lines[:SHOWN], *rest])


def refuse_half_way(grid: Grid, variant: Variant) -> None:
    """Raise ChangedError where a training of the variant stopped half way."""
    folder, place = grid.study.adapter(variant), grid.checkpoints(variant)
    last = place.manifest(place.steps()[-1])
    total = json.loads((folder / TRAINING).read_text(encoding="utf-8"))["training"]["steps"]
    if last["step"] < total and last["stopped"] is None:
        raise ChangedError(
            f"{folder} holds {variant.name} at step {last['step']} of {total}, and now it is asked for differently:"
            f"\n{changes(grid, variant)}\nPut that back and the training goes on, or train with fork = True (python -m"
            f" caplora train {grid.study.name} --fork): what is there is set aside whole, and a new training begins"
        )


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


def plan(grid: Grid, variants: Sequence[Variant], free: int | None = None) -> Plan:
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


def train_grid(grid: Grid, packs: Sequence[Sequence[Variant]]) -> Iterator[Step]:
    """Train the packs one after another and write each one's adapters when it is done, yielding every step.

    Training that was interrupted goes on; what is finished is only written again. Every process of several runs
    this; the first one writes. Raises ChangedError where a folder was claimed for another training meanwhile, and
    FloatingPointError when every variant has stopped.
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
                yield replace(step, previews=previews(grid, pack, step.number) if first else {})
            if first:
                for adapter, place in zip(pack.adapters(), places, strict=True):
                    write_adapter(grid, adapter, place)
    records = read_records(grid.study, [variant for variants in packs for variant in variants]) if first else []
    if records and all(record["stopped"] for record in records):
        raise FloatingPointError("; ".join(record["stopped"] for record in records))


def previews(grid: Grid, pack: Pack, number: int) -> dict[str, list[Image.Image]]:
    """What each variant of a pack draws for the development prompts at a step that asks for it, kept as files.

    The same noise, the first seed's, at every step; it equals what sampling the saved adapters gives.
    """
    every, settings = grid.study.training.preview_steps, grid.study.sampling
    if not every or number % every:
        return {}
    pack.lay()
    wanted = [w for w in wanted_samples(settings) if w.seed == settings.seeds[0]][:PREVIEWS]  # of the development
    prompts, noises = [w.prompt for w in wanted], [w.noise for w in wanted]
    latents = draw_batch(grid.pipeline, len(pack.arms), prompts, noises, settings)
    drawn = {arm.variant.name: decode(grid.pipeline, x)[0] for arm, x in zip(pack.arms, latents, strict=True)}
    for arm in pack.arms:
        for i, image in enumerate(drawn[arm.variant.name]):
            with replacing(grid.study.adapter(arm.variant) / "previews" / f"step_{number:06d}_{i}.png") as part:
                image.save(part, format="PNG")
    return drawn


def write_adapter(grid: Grid, adapter: Adapter, place: Checkpoints) -> dict[str, Any]:
    """Write both forms, `losses.csv`, `validation.csv` and, last, `settings.json`; what settings.json says.

    Both files are read again and compared: `largest_error` is the largest |ΔW_file − ΔW| of any weight.
    """
    study, variant, now = grid.study, adapter.variant, grid.identity(adapter.variant)
    folder, kohya, last = study.adapter(variant), weights_file(study, variant), place.steps()[-1]
    history = History.of(place.read(last)["losses"], place.manifest(last))
    captions = [source["caption"] for source in list(now["images"].values())[: len(grid.inputs)]]
    metadata = kohya_metadata(adapter, kohya.stem, study.images.resolution, study.base.path) | {
        "ss_num_train_images": str(len(grid.inputs)),
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
    where = str(place.path(best).relative_to(folder))
    return {"step": best, "validation_loss": history.validation[best], "checkpoint": where}


def _write_curve(path: Path, points: Iterable[tuple[int, float]]) -> None:
    write_text(path, "step,loss\n" + "".join(f"{step},{loss:.8g}\n" for step, loss in points))


def read_records(study: Study, variants: Sequence[Variant]) -> list[dict[str, Any]]:
    """The `settings.json` of each variant."""
    return [json.loads((study.adapter(v) / "settings.json").read_text(encoding="utf-8")) for v in variants]


def read_curve(study: Study, variants: Sequence[Variant], name: str) -> pd.DataFrame:
    """The curves of all variants (variant, step, loss): `losses` or `validation`."""
    tables = [pd.read_csv(study.adapter(v) / f"{name}.csv").assign(variant=v.name) for v in variants]
    return pd.concat(tables, ignore_index=True)
