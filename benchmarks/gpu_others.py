"""The sections of gpu.py that draw, score, caption, resume and forecast."""

import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from bases import MINI, inputs_of, pipeline_of
from captioning import BATCH, sides
from gpu_rows import Named, Row, Scale, milliseconds
from loops import the_accelerator, variants
from PIL import Image
from sampling import SIDES, Bench, batches_of, rounds_of
from scoring import OneByOne, ours, pictures
from shapes import base_configs
from timing import Clock, clocked, ratio, turns

from caplora.lora.adapter import Adapter, fresh_adapter
from caplora.lora.layers import target_layers
from caplora.lora.pack import Pack
from caplora.models.base import parts_of
from caplora.models.devices import device_of
from caplora.models.graphs import TOLERANCE
from caplora.planning.cards import CARDS
from caplora.planning.configs import BaseConfigs
from caplora.planning.needs import CONTEXT, needs_of_pack
from caplora.sampling.samples import Sample
from caplora.scoring.clip import ClipEncoder
from caplora.scoring.embeddings import fingerprint_of
from caplora.study.study import read_study
from caplora.study.training_settings import Training
from caplora.training.checkpoints import Checkpoints
from caplora.training.loop import train


def sampling(scale: Scale) -> Named:
    """(c) Ten arms together beside one after another, by diffusers and by ours."""
    made = cache(partial(_bench, scale))
    for pixels in scale.pixels:
        yield f"ten arms, {pixels} px", partial(_sampling, scale, made, pixels)


def _bench(scale: Scale) -> Bench:
    settings = MINI.sampling.model_copy(update={} if scale.large else {"num_inference_steps": 2})
    with tempfile.TemporaryDirectory() as folder:
        return Bench(scale.base, scale.pixels[0], batches_of(settings, 1, 1), Path(folder), settings)


def _sampling(scale: Scale, made: Callable[[], Bench], pixels: int) -> Row:
    bench = made()
    for pipeline in (bench.ours, bench.theirs):
        pipeline.unet.register_to_config(sample_size=pixels // pipeline.vae_scale_factor)
    s, worst = rounds_of(bench, min(scale.rounds, 3))
    return Row(
        {f"{name} / pack of ten": ratio(s[name], s[SIDES[2]]) for name in SIDES[:2]},
        {f"{name}, a sample": spread for name, spread in milliseconds(s, len(bench.adapters)).items()},
        {
            "denoising steps": bench.settings.num_inference_steps,
            "ours, largest difference": worst[SIDES[1]],
        },
    )


class Shaped(ClipEncoder):
    """Our encoder around a model of random weights, which ours would refuse to load."""

    def __init__(self, alone: OneByOne) -> None:
        self.label, self.device, self.model, self.preprocess = "shaped", device_of(), alone.model, alone.preprocess
        self.tokenize, self.weights, self.versions = alone.tokenize, "random", "none"
        self.fingerprint = fingerprint_of(self.weights, {}, self.versions, self.device)
        self.shown = self.label


def scoring(scale: Scale) -> Named:
    """(d) Pictures scored by each CLIP, beside open_clip's own example; and captioned, beside transformers."""
    shown = cache(partial(_shown, scale))
    for name in scale.clips:
        yield name.rpartition("/")[2], partial(_scoring, scale, name, shown)
    yield f"{'BLIP large' if scale.large else 'a tiny BLIP'}, {scale.tokens} tokens", partial(_captioning, scale)


def _shown(scale: Scale) -> tuple[list[Sample], tempfile.TemporaryDirectory]:
    folder = tempfile.TemporaryDirectory()
    return pictures(Path(folder.name), scale.pictures, 512 if scale.large else 128), folder


def _scoring(scale: Scale, name: str, shown: Callable[[], tuple[list[Sample], tempfile.TemporaryDirectory]]) -> Row:
    alone = OneByOne(name if scale.large else MINI.clip_name(MINI.scoring.clips[0]))
    encoder, clock = Shaped(alone), Clock()
    seconds: dict[str, list[float]] = {"one by one": [], "ours": []}
    (samples, _), worst = shown(), 0.0
    with tempfile.TemporaryDirectory() as at:
        for number in range(min(scale.rounds, 3) + 1):  # the first one warms up

            def theirs() -> list[float]:
                with clock:
                    return alone.cosines(samples)

            def own(folder: Path = Path(at) / str(number)) -> list[float]:
                with clock:
                    return ours([encoder], samples, folder)

            ran = {"one by one": clocked(theirs, clock), "ours": clocked(own, clock)}
            worst = max(worst, float(np.abs(np.subtract(ran["one by one"][1], ran["ours"][1])).max()))
            for side, (took, _) in ran.items():
                seconds[side] += [took] if number else []
    times = milliseconds(seconds, scale.pictures)
    return Row(
        {"one by one / ours": ratio(seconds["one by one"], seconds["ours"])},
        {f"{side}, a picture": spread for side, spread in times.items()},
        {"ours, pictures/s": 1000 / times["ours"].median, "largest difference of a cosine": worst},
    )


def _captioning(scale: Scale) -> Row:
    rng = np.random.default_rng(0)
    shown = [Image.fromarray(rng.integers(0, 256, (512, 512, 3), dtype=np.uint8)) for _ in range(BATCH)]
    made = sides(scale.tokens, "large" if scale.large else "tiny")
    seen = {name: shown[:2] if "one by one" in name else shown for name in made}
    said = {tuple(side(seen[name])[:2]) for name, side in made.items()}
    works = {name: partial(side, seen[name]) for name, side in made.items()}
    s = turns(works, 0.0, min(scale.rounds, 3), warm_ups=1, least=1)
    s, last = {name: [x / len(seen[name]) for x in own] for name, own in s.items()}, "ours in batches"
    times = milliseconds(s)
    return Row(
        {f"{name} / {last}": ratio(s[name], s[last]) for name in made if name != last},
        {f"{name}, an image": spread for name, spread in times.items()},
        {
            "ours, images/s": 1000 / times[last].median,
            "the same words": "yes" if len(said) == 1 else "no",
        },
    )


def resume(scale: Scale) -> Named:
    """(e) A training in one go and one that went on from a checkpoint, in new objects."""
    yield f"{2 * scale.steps} steps, a checkpoint after {scale.steps}", partial(_resume, scale)


def _resume(scale: Scale) -> Row:
    with tempfile.TemporaryDirectory() as at:
        straight, again, gone_on = (Path(at) / name for name in ("straight", "again", "gone on"))
        _trained(scale, gone_on, scale.steps)
        found = {"straight": _trained(scale, straight), "once more": _trained(scale, again)}
        found["resumed"] = _trained(scale, gone_on)
    losses, weights = found.pop("straight")
    figures: dict[str, float | str] = {}
    for name, (own, theirs) in found.items():
        figures[f"{name}: largest relative difference of a loss"] = float(((own - losses).abs() / losses).max())
        figures[f"{name}: relative difference of the weights"] = float((theirs - weights).norm() / weights.norm())
    worst = figures["resumed: largest relative difference of a loss"]
    figures["the same losses"] = f"{'yes' if float(worst) <= TOLERANCE else 'NO'}, within {TOLERANCE:g}"
    return Row({}, {}, figures)


def _trained(scale: Scale, folder: Path, stop: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """The losses and the trained weights of three variants that go on from what is in the folder."""
    the_accelerator()
    pipeline, own = pipeline_of(scale.base, scale.pixels[0]), variants(3)
    settings = Training(steps=2 * scale.steps, checkpointing_steps=scale.steps, validation_steps=0, batch_size=1)
    host = parts_of(pipeline)
    pack = Pack(host, [fresh_adapter(target_layers(host, settings), v, 0) for v in own])
    places = [Checkpoints(folder / v.name) for v in own]
    for step in train(pipeline, pack, inputs_of(scale.base, scale.pixels[0]), settings, places):
        if step.number == stop:
            break
    losses = torch.stack([place.read(place.steps()[-1])["losses"] for place in places])
    return losses, torch.cat([_flat(adapter) for adapter in pack.adapters()])


def _flat(adapter: Adapter) -> torch.Tensor:
    return torch.cat([part.flatten() for pair in adapter.weights.values() for part in pair]).double()


def forecast(scale: Scale) -> Named:
    """What the planner says that each pack of (b) takes of a card; counted on the processor, beside the others."""
    for count, batch in scale.shapes:
        yield f"{count}, batch {batch}", partial(_forecast, scale, count, batch)


def _forecast(scale: Scale, count: int, batch: int) -> Row:
    study = read_study("sd15", training={"batch_size": batch, "gradient_accumulation_steps": 1})
    images = study.images.model_copy(update={"resolution": scale.pixels[0]})
    study = study.model_copy(update={"images": images})
    needs = needs_of_pack(study, variants(count), _configs(scale), CARDS["H200"], count, light=False)
    return Row({}, {}, {"forecast, GB": (needs.training - CONTEXT) / 1e9})


def _configs(scale: Scale) -> BaseConfigs:
    if scale.large:
        return base_configs("sd15")
    own = pipeline_of(scale.base, scale.pixels[0])
    return BaseConfigs.of(dict(own.unet.config), dict(own.vae.config), [own.text_encoder.config.to_dict()])
