"""Recipes → pictures on disk: what is there is not drawn again, the rest is drawn in batches of one kind."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from caplora.models import Pipeline, even_packs, out_of_memory_names, text_tokens
from caplora.playground.adapters import KnownAdapters
from caplora.playground.recipe import Recipe, name_of
from caplora.sampling import Denoiser, Texts, decode, sampling_key, save_picture, settings_key, wear, written
from caplora.study import Sampling, Study, Variant


@dataclass(frozen=True)
class Batch:
    """Pictures that are drawn at once; `keep` are the places of those that are kept, all of them if it is empty.

    The last bits of a picture depend on how many are drawn at once. So one that is drawn again is drawn in as large a
    batch as the first time, all of it this picture, and kept from its place of then.
    """

    recipes: tuple[Recipe, ...]
    keep: tuple[int, ...] = ()

    @property
    def passes(self) -> int:
        """How many times a picture passes the UNet in it."""
        return len(self.recipes) * self.recipes[0].steps


class Pictures:
    """The base model of a study, its adapters, and the folder of what they draw; `together` is of pictures recalled."""

    def __init__(self, study: Study, variants: Sequence[Variant], pipeline: Pipeline) -> None:
        self.study, self.pipeline, self.adapters = study, pipeline, KnownAdapters(study, variants)
        self.folder = study.run / "playground"
        self.together: dict[Recipe, tuple[int, int]] = {}
        self.seconds: float | None = None  # that a pass of one picture takes, once it is measured

    @cached_property
    def base(self) -> dict[str, Any]:
        """What decides a picture beside its recipe: the base by the hashes of its weights, and the size."""
        key = sampling_key(self.study.sampling, self.pipeline)
        return key | {"noise": "of the seed", "model": Path(self.study.base.path).name}

    def made(self, recipe: Recipe) -> dict[str, Any]:
        """Everything that decides a picture beside prompts and seed, as all pictures of caplora say it."""
        worn = self.adapters.worn(recipe)
        return self.base | {
            "sampling": settings_key(self.settings(recipe)),
            "adapter": worn[0] if worn else None,
            "adapters": worn,
        }

    def settings(self, recipe: Recipe) -> Sampling:
        """The study's settings of sampling with those of a recipe."""
        own = {"num_inference_steps": recipe.steps, "solver": recipe.solver, "guidance_scale": recipe.guidance}
        return self.study.sampling.model_copy(update=own)

    def path(self, recipe: Recipe) -> Path:
        """Where the picture of a recipe lies, or will: its name is a function of all that decides it."""
        said = json.dumps([asdict(recipe), self.made(recipe)], sort_keys=True)
        known = "".join(c if c.isalnum() or c in "-_." else "_" for c in name_of(recipe.variant))[:40]
        return self.folder / f"{known}_{recipe.seed}_{hashlib.sha256(said.encode()).hexdigest()[:12]}.png"

    def lacking(self, recipes: Sequence[Recipe]) -> list[Recipe]:
        """The recipes whose pictures are not there, each once. Raises ValueError for a prompt that does not fit."""
        text_tokens(self.pipeline, [text for r in recipes for text in (r.prompt, r.negative)])
        return [r for r in dict.fromkeys(recipes) if not self.path(r).is_file()]

    def batches(self, recipes: Sequence[Recipe]) -> list[Batch]:
        """What is lacking of the recipes as batches, which differ within in prompt and seed alone."""
        alike: dict[Recipe, list[Recipe]] = {}
        lacking, again = self.lacking(recipes), []
        for recipe in lacking:
            count, place = self.together.get(recipe, (1, 0))
            if count > 1:
                again.append(Batch((recipe,) * count, (place,)))
            else:
                alike.setdefault(Recipe(**asdict(recipe) | {"prompt": "", "seed": 0}), []).append(recipe)
        size = self.study.sampling.batch_size
        return again + [Batch(pack) for own in alike.values() for pack in even_packs(own, size)]

    def draw(self, batch: Batch, stepped: Callable[[int], object] = lambda count: None) -> Iterator[Path]:
        """Draw a batch and yield its pictures as they are on disk; the pipeline is the base model before each.

        A batch that does not fit into the memory is halved. `stepped` is told of every step, see `Denoiser`.
        """
        began = time.monotonic()
        latents = self._latents_that_fit(batch, stepped)
        if latents is None:
            half = 1 if batch.keep else -(-len(batch.recipes) // 2)
            for part in even_packs(batch.recipes[: 1 if batch.keep else None], half):
                yield from self.draw(Batch(part), stepped)
            return
        for place in batch.keep or range(len(batch.recipes)):
            [image], [flag] = decode(self.pipeline, latents[place : place + 1])  # alone: its bits are its own
            yield self._save(image, flag, batch.recipes[place], (len(batch.recipes), place))
        self.seconds = (time.monotonic() - began) / batch.passes

    def measure(self, recipe: Recipe) -> None:
        """Measure how long a pass of a picture takes, unless that is known."""
        if self.seconds is None:
            once = Batch((Recipe(**asdict(recipe) | {"steps": 1, "prompt": "", "negative": ""}),))
            for _ in range(2):  # the first warms up
                began = time.monotonic()
                self._latents(once, lambda count: None)
                self._wait()
                self.seconds = time.monotonic() - began

    def _latents_that_fit(self, batch: Batch, stepped: Callable[[int], object]) -> Tensor | None:
        """What a batch draws, or None where it does not fit; a single picture that does not fit raises."""
        try:
            if len(batch.recipes) > 1:
                return self._latents(batch, stepped)
            with out_of_memory_names("a single picture", "lower images.resolution"):
                return self._latents(batch, stepped)
        except torch.OutOfMemoryError:
            if len(batch.recipes) == 1:
                raise
        torch.cuda.empty_cache()  # only here, for an exception that is being handled keeps what did not fit
        return None

    def _latents(self, batch: Batch, stepped: Callable[[int], object]) -> Float[Tensor, "n c h w"]:
        first = batch.recipes[0]

        def waited(count: int) -> None:
            self._wait()  # or a card would be many steps behind
            stepped(count)

        worn = wear(self.pipeline, [self.adapters.adapter(first)])
        denoiser = Denoiser(self.pipeline, 1, self.settings(first), negative=first.negative, stepped=waited)
        try:
            worn.lay()
            texts = Texts(self.pipeline)(denoiser.asked([r.prompt for r in batch.recipes]))  # each is read alone
            return denoiser.latents(texts[None], [r.seed for r in batch.recipes])[0]
        finally:
            worn.lift()

    def _wait(self) -> None:
        if self.pipeline.device.type == "cuda":
            torch.cuda.current_stream(self.pipeline.device).synchronize()

    def _save(self, image: Image.Image, flag: str, recipe: Recipe, together: tuple[int, int]) -> Path:
        made, path = self.made(recipe), self.path(recipe)
        own = {
            "arm": self.folder.name,
            "prompt": recipe.prompt,
            "seed": recipe.seed,
            "noise": recipe.seed,
            "flag": flag,
        }
        said = own | {"split": self.folder.name, "made": made, "recipe": asdict(recipe), "together": together}
        asked = (recipe.prompt, recipe.negative, recipe.seed)
        words = written(asked, image.size, made, made["adapters"], f"caplora arm: {self.folder.name}")
        save_picture(image, path, words, said)
        return path
