"""Adapters + prompts + noise → latents → pictures: the denoising loop with classifier-free guidance.

Several adapters draw together as a pack. One that draws alone is merged into the base's weights meanwhile. What is the
same at every step is made once a batch. On a card the UNet is a CUDA graph; the cores of a CPU share a batch out.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from caplora.lora import Adapter, Merged, Pack, all_linear
from caplora.models import Pipeline, Recorded, base_hashes, conditions, noise_of, parts_of, sent
from caplora.sampling.prompts import Kept, answering, text_layers, texts_of_arms
from caplora.sampling.samples import DARKEST
from caplora.sampling.sharing import on_all_cores, shares_of
from caplora.sampling.solvers import SOLVERS, named, scheduler_of
from caplora.study import Sampling


def initial_noise(noises: Sequence[int], shape: tuple[int, int, int]) -> Float[Tensor, "n c h w"]:
    """Unit noise, a function of the number alone, drawn on the CPU as diffusers does with `generator=`."""
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(n)) for n in noises])


def later_noise(noises: Sequence[int], shape: tuple[int, int, int]) -> list[torch.Generator]:
    """The generators that have just drawn `initial_noise`: diffusers draws the noise of later steps from them."""
    own = [torch.Generator().manual_seed(n) for n in noises]
    for generator in own:
        torch.randn(shape, generator=generator)
    return own


class Denoiser:
    """The UNet as `arms` denoise with it, guidance batched (Ho and Salimans 2022).

    The UNet must carry a pack of `arms` while it draws, or nothing if there is one arm. With `records` it is a CUDA
    graph on a card, which pays from the second batch on. Pictures are drawn away from the `negative` text. `stepped` is
    told after each step how many pictures took it, by any thread; what it raises ends the drawing.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        arms: int,
        settings: Sampling,
        records: bool = False,
        negative: str = "",
        stepped: Callable[[int], object] = lambda count: None,
    ) -> None:
        self.pipeline, self.arms, self.settings = pipeline, arms, settings
        self.negative, self.stepped = negative, stepped
        self.guided = settings.guidance_scale != 1
        self._layers, self._kept = text_layers(pipeline.unet), Kept()
        self._eps: Callable[..., Tensor] = self._guided_eps
        self._records = records and pipeline.device.type == "cuda"
        self._places: list[int] = []

    def asked(self, prompts: Sequence[str]) -> list[str]:
        """The texts that are to be read to draw prompts: with guidance the negative one too."""
        return [self.negative] * self.guided + [*prompts]

    @torch.no_grad()
    def latents(
        self, texts: Float[Tensor, "a k rows d"], noises: Sequence[int], steps: int | None = None
    ) -> Float[Tensor, "arms n c h w"]:
        """What each arm draws of the texts of `asked`, of all arms or its own.

        `noises` are what diffusers takes as `generator=torch.Generator().manual_seed(…)`.
        """
        shares = shares_of(range(len(noises)), self.pipeline.device)
        read = [self._read(texts, share) for share in shares]
        self._record()
        with answering(self._layers, self._kept):
            each = [(own, [noises[i] for i in share], steps) for own, share in zip(read, shares, strict=True)]
            return torch.cat(on_all_cores(lambda given: self._denoised(*given), each), 1)

    def _read(self, texts: Tensor, share: Sequence[int]) -> list[Tensor]:
        """What the UNet reads of the texts of a share: what it is told of them, and their keys and values."""
        rows = [0] * len(share) * self.guided + [self.guided + i for i in share]
        texts = texts.expand(self.arms, -1, -1, -1)[:, rows].flatten(0, 1)  # (arms · 2n, rows, d)
        said = conditions(self.pipeline, texts.to(self.pipeline.unet.dtype))
        told, self._told = tree_flatten(said)
        return [*told, *(layer(said["encoder_hidden_states"]) for layer in self._layers)]

    @torch.no_grad()
    def _denoised(self, read: Sequence[Tensor], noises: Sequence[int], steps: int | None) -> Tensor:
        unet, solver = self.pipeline.unet, SOLVERS[self.settings.solver]
        scheduler = scheduler_of(self.pipeline, self.settings.solver)
        scheduler.set_timesteps(steps or self.settings.num_inference_steps, device=unet.device)
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(0)  # or it would ask the card which step is the first
        shape = (unet.config.in_channels, unet.config.sample_size, unet.config.sample_size)
        [noise] = sent([initial_noise(noises, shape)], unet.device)
        latents = noise.repeat(self.arms, 1, 1, 1, 1) * scheduler.init_noise_sigma
        told: dict[str, Any] = {"generator": later_noise([*noises] * self.arms, shape)} if solver.ancestral else {}
        for t in scheduler.timesteps:
            eps = self._eps(scheduler.scale_model_input(latents, t), t, *read)
            flat = scheduler.step(eps.flatten(0, 1), t, latents.flatten(0, 1), **told).prev_sample
            latents = flat.view_as(latents)
            self.stepped(len(noises))
        return latents

    def _guided_eps(self, latents: Tensor, t: Tensor, *read: Tensor) -> Tensor:
        """What the UNet predicts with guidance, a function of tensors alone; `read` is of the texts."""
        told, self._kept.answers = list(read[: -len(self._layers)]), read[-len(self._layers) :]
        rows = torch.stack([latents] * (1 + self.guided), 1)  # (arms, 2, n, c, h, w)
        flat = rows.flatten(0, 2).to(self.pipeline.unet.dtype)
        eps = self.pipeline.unet(flat, t, **tree_unflatten(told, self._told)).sample.float().view(rows.shape)
        if not self.guided:
            return eps[:, 0]
        return eps[:, 0] + self.settings.guidance_scale * (eps[:, 1] - eps[:, 0])

    def _record(self) -> None:
        """Begin a graph, anew where weights lie elsewhere than when it was recorded: it knows them by their place."""
        if self._records and (places := places_of(parts_of(self.pipeline))) != self._places:
            self._eps, self._places = Recorded(self._guided_eps, (), self.pipeline.device), places


def places_of(model: nn.Module) -> list[int]:
    """Where the tensors of a model lie in memory, those among its plain attributes too."""
    held = [(*m._parameters.values(), *m._buffers.values(), *vars(m).values()) for m in model.modules()]
    return [x.data_ptr() for tensors in held for x in tensors if isinstance(x, Tensor)]


def draw_batch(
    pipeline: Pipeline, arms: int, prompts: Sequence[str], noises: Sequence[int], settings: Sampling
) -> Float[Tensor, "a n c h w"]:
    """The latents that each of `arms` draws for the prompts, once: see `Denoiser`."""
    denoiser = Denoiser(pipeline, arms, settings)
    return denoiser.latents(texts_of_arms(pipeline, arms, denoiser.asked(prompts)), noises)


@torch.no_grad()
def decode(pipeline: Pipeline, latents: Float[Tensor, "n c h w"]) -> tuple[list[Image.Image], list[str]]:
    """The pictures of the latents, and of each why it cannot be scored: "not finite", "black", or nothing.

    What is not finite is drawn black.
    """
    vae = pipeline.vae
    images = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor).sample
    finite = torch.isfinite(images).flatten(1).all(1) & torch.isfinite(latents).flatten(1).all(1)
    images = torch.where(finite[:, None, None, None], images, -1.0)
    pixels = ((images / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    black = ["black" if picture.max() <= DARKEST else "" for picture in pixels]
    flags = [dark if own else "not finite" for own, dark in zip(finite.tolist(), black, strict=True)]
    return [Image.fromarray(picture) for picture in pixels], flags


def wear(pipeline: Pipeline, adapters: Sequence[Adapter]) -> Pack | Merged:
    """Adapters to lay onto the pipeline and to lift again: one is merged into its weights, several are a pack.

    Weights of 16 bits would round a small change away, so there one is a pack too, unless it has convolutions.
    """
    host = parts_of(pipeline)
    linear = all(all_linear(host, adapter.weights) for adapter in adapters)
    if len(adapters) == 1 and (pipeline.unet.dtype == torch.float32 or not linear):
        return Merged(pipeline, adapters[0])
    return Pack(host, adapters)


def sampling_key(settings: Sampling, pipeline: Pipeline) -> dict[str, Any]:
    """What decides a picture, beside adapter, prompt and seed: settings, the base's weights by their hashes, size."""
    return {
        "sampling": settings_key(settings),
        "base": base_hashes(pipeline) | noise_of(pipeline),
        "pixels": pipeline.unet.config.sample_size * pipeline.vae_scale_factor,
        "noise": "of prompt and seed",
    }


def settings_key(settings: Sampling) -> dict[str, Any]:
    """The settings of a study that decide a picture."""
    own = settings.model_dump(include={"num_inference_steps", "guidance_scale"}, mode="json")
    return own | named(settings.solver)
