"""A picture's file → how it was drawn, whoever drew it, and what of that cannot be taken over here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from caplora.playground.grid import Grid, grid_in
from caplora.playground.pictures import Pictures
from caplora.playground.recipe import Recipe, recipe_of, value_of
from caplora.sampling import UNNAMED, Written, read_written, said_of, solver_called, texts_in

PASSED_OVER = {"Model hash", "Version", "RNG", "Lora hashes", "TI hashes", "Hashes", "Schedule type", "VAE", "VAE hash"}
WEIGHTED = re.compile(r"\([^()]*:\s*[\d.]+\)|\(\(|\[\[")  # (word:1.2), ((word)), [[word]]


@dataclass(frozen=True)
class Recalled:
    """The settings of a picture, and what a person has to know of them."""

    recipe: Recipe
    notes: tuple[str, ...] = ()
    together: tuple[int, int] = (1, 0)  # see `Batch`
    grid: Grid | None = None


def recall(path: Path, pictures: Pictures) -> Recalled:
    """How the picture in a file was drawn, by caplora or by A1111 and its like.

    Raises FileNotFoundError where there is no file, and ValueError where it does not say how it was drawn.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no picture {path}")
    said, words = said_of(path), texts_in(path).get("parameters", "")
    if not words and not {"recipe", "noise"} & {*said}:
        raise ValueError(f"{path.name} does not say how it was drawn: pictures of caplora and A1111 do, as PNG")
    try:
        return _read(said, words, pictures)
    except (AttributeError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"{path.name} says in another way how it was drawn than caplora does ({error!r})") from error
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def _read(said: Mapping[str, Any], words: str, pictures: Pictures) -> Recalled:
    if "recipe" in said:
        return _own(said, pictures)
    if "noise" in said:
        return _sample(said, pictures)
    return _others(read_written(words), pictures)


def _own(said: Mapping[str, Any], pictures: Pictures) -> Recalled:
    """A picture of the playground, or a grid of them."""
    recipe = recipe_of({f.name: said["recipe"][f.name] for f in fields(Recipe) if f.name in said["recipe"]})
    if "x" in said:
        return Recalled(recipe, grid=grid_in(dict(said), recipe))
    count, place = map(int, said.get("together", (1, 0)))
    together = (count, place) if 0 <= place < count <= 64 else (1, 0)
    notes = [*_base_changed(said["made"], pictures), *_adapters_changed(said["made"]["adapters"], recipe, pictures)]
    return Recalled(recipe, tuple(notes), together)


def _base_changed(made: Mapping[str, Any], pictures: Pictures) -> list[str]:
    if made["base"] == pictures.base["base"] and made["pixels"] == pictures.base["pixels"]:
        return []
    return [f"it was drawn on another base model ({made.get('model', '?')}, {made['pixels']} pixels): this one differs"]


def _adapters_changed(then: list[Mapping[str, Any]], recipe: Recipe, pictures: Pictures) -> list[str]:
    """Which adapters of a picture are not what they were."""
    try:
        now = pictures.adapters.worn(recipe)
    except (ValueError, OSError) as error:
        return [f"its adapter is not here: {error}"]
    return [
        f"the adapter {old['name']} has changed since this was drawn: drawn again it is another picture"
        for old, new in zip(then, now, strict=False)
        if old["sha256"] != new["sha256"]
    ]


def _sample(said: Mapping[str, Any], pictures: Pictures) -> Recalled:
    """A sample of a study or of the command `sample`: the seed of its noise is of prompt and seed."""
    made, worn = said["made"], said["made"].get("adapter")
    sampling = made["sampling"]
    recipe = {
        "prompt": said["prompt"], "seed": said["noise"], "solver": sampling.get("solver", UNNAMED),
        "steps": sampling["num_inference_steps"], "guidance": sampling["guidance_scale"],
    }  # fmt: skip
    notes = _base_changed(made, pictures)
    if worn and (variant := pictures.adapters.named(worn["name"])):
        recipe |= {"variant": variant, "scale": worn["scale"]}
        notes += _adapters_changed([worn], recipe_of(recipe), pictures)
    elif worn:
        notes.append(f"it was drawn with the adapter {worn['name']} at {worn['scale']:g}: choose its file")
    return Recalled(recipe_of(recipe), tuple(notes))


def _others(text: Written, pictures: Pictures) -> Recalled:
    """What A1111 wrote; what caplora has no place for is said."""
    values: dict[str, Any] = {"prompt": text.prompt, "negative": text.negative}
    notes, said = [], dict(text.settings)
    for name, key in (("seed", "Seed"), ("steps", "Steps"), ("guidance", "CFG scale")):
        if key in said:
            notes += _taken(values, name, said.pop(key))
    if sampler := said.pop("Sampler", ""):
        solver = solver_called(sampler, said.get("Schedule type", ""))
        values |= {"solver": solver} if solver else {}
        notes += [] if solver else [f"its sampler {sampler} is not among the schedulers here"]
    adapters = [f"{name} at {scale or 1}" for name, scale in text.adapters.items()]
    notes += [f"it was drawn with the adapter {' and '.join(adapters)}: choose the file"] if adapters else []
    notes += ["weights in brackets are read as plain words here"] if WEIGHTED.search(text.prompt) else []
    own = f"{pictures.base['pixels']}x{pictures.base['pixels']}"
    notes += [f"its size was {size}, and {own} is drawn here"] if (size := said.pop("Size", own)) != own else []
    if (source := said.get("RNG", "")) != "CPU":
        whose = f"RNG: {source}" if source else "it names no RNG, and A1111 takes the GPU’s then"
        notes.append(f"its noise may be another than the seed’s here ({whose}): then it is another picture")
    rest = [
        f"{key}: {value}" for key, value in said.items() if key not in PASSED_OVER and not key.startswith("caplora")
    ]
    notes += [f"not taken over: {', '.join(rest)}"] if rest else []
    return Recalled(recipe_of(values), tuple(notes))


def _taken(values: dict[str, Any], name: str, written: str) -> list[str]:
    """Take a number over if it can be; what is said if not."""
    try:
        values[name] = value_of(name, written)
    except ValueError as error:
        return [f"not taken over: {error}"]
    return []
