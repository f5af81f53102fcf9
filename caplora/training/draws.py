"""What one training step sees: which images, which noise and which timesteps, as a function of seed and step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from caplora.models import generator_of
from caplora.study import Training
from caplora.training.inputs import Inputs

IMAGES, PRIOR = 1, 2  # the streams of samples that a training draws from


@dataclass(frozen=True)
class Draw:
    """What some rows of a pass see; a row is a sample of one variant."""

    images: Int[Tensor, " n"]  # indices of training images
    texts: Int[Tensor, " n"]  # indices of texts
    flipped: Bool[Tensor, " n"]
    dropped: Bool[Tensor, " n"]  # whose caption is the empty one
    t: Int[Tensor, " n"]
    posterior: Float[Tensor, "n c h w"]  # noise that resamples the latents from their moments
    noise: Float[Tensor, "n c h w"]
    weights: Float[Tensor, " n"]  # of the row's loss in its variant's

    def tensors(self) -> list[Tensor]:
        """All of it, in the order of the fields."""
        return [getattr(self, name) for name in Draw.__annotations__]

    @staticmethod
    def concatenated(draws: Sequence["Draw"]) -> "Draw":
        """The rows of several draws."""
        return Draw(*(torch.cat([getattr(d, field) for d in draws]) for field in Draw.__annotations__))

    def in_parts(self, variants: int, rows: int | None) -> Iterator["Draw"]:
        """The same rows in parts that hold at most `rows` of each variant; None: all at once."""
        own = torch.arange(len(self.t)).view(variants, -1)
        for part in own.split(rows or own.shape[1], dim=1):
            yield Draw(*(getattr(self, field)[part.flatten()] for field in Draw.__annotations__))

    def captioned(self, first: int) -> "Draw":
        """The same rows, seen with the texts of their images that begin at `first`."""
        return replace(self, texts=self.images + first)


def image_at(seed: int, stream: int, position: int, count: int) -> int:
    """Which image stands at `position` of the endless row of epochs, each a fresh permutation."""
    epoch, place = divmod(position, count)
    return int(torch.randperm(count, generator=generator_of(seed, "epoch", stream, epoch))[place])


def draw_samples(
    settings: Training,
    inputs: Inputs,
    samples: Sequence[int],
    timesteps: int,
    chosen: Sequence[int] | None = None,
    stream: int = IMAGES,
) -> Draw:
    """The rows of `samples`, numbered from the first step on: each a function of the seed and its number alone.

    `chosen` are the places of the images that they are drawn from; None: all of one's own.
    """
    chosen = range(len(inputs)) if chosen is None else chosen
    shape = (inputs.moments.shape[2] // 2, *inputs.moments.shape[3:])
    generators = [generator_of(settings.seed, "sample", stream, sample) for sample in samples]
    chances = torch.stack([torch.rand(2, generator=g) for g in generators])
    t = torch.cat([torch.randint(timesteps, (1,), generator=g) for g in generators])
    posterior = torch.stack([torch.randn(shape, generator=g) for g in generators])
    noise = torch.stack([torch.randn(shape, generator=g) for g in generators])
    if settings.noise_offset:
        noise += settings.noise_offset * torch.stack([torch.randn(shape[0], 1, 1, generator=g) for g in generators])
    images = torch.tensor([chosen[image_at(settings.seed, stream, s, len(chosen))] for s in samples])
    return Draw(
        images=images,
        texts=images,
        flipped=chances[:, 0] < (0.5 if inputs.moments.shape[1] == 2 else 0.0),
        dropped=chances[:, 1] < settings.caption_dropout,
        t=t,
        posterior=posterior,
        noise=noise,
        weights=torch.full((len(samples),), settings.prior.weight if settings.prior and stream == PRIOR else 1.0),
    )


def draw_micro_batch(
    settings: Training,
    inputs: Inputs,
    number: int,
    process: int,
    processes: int,
    timesteps: int,
    chosen: Sequence[int] | None = None,
) -> Draw:
    """What one process sees of micro-batch `number` of a variant trained as `settings` say, the prior's images last.

    `chosen` are the places of the images that the variant is trained on; None: all.
    """
    first = number * settings.batch_size
    samples = range(first + process, first + settings.batch_size, processes)
    own = draw_samples(settings, inputs, samples, timesteps, chosen)
    if not settings.prior:
        return own
    prior = range(len(inputs), len(inputs) + inputs.class_images)
    return Draw.concatenated([own, draw_samples(settings, inputs, samples, timesteps, prior, PRIOR)])


def draw_validation(settings: Training, inputs: Inputs, each: int, timesteps: int) -> Draw:
    """Fixed rows for held-out images: every image `each` times, its timesteps spread over the whole schedule."""
    shape = (inputs.moments.shape[2] // 2, *inputs.moments.shape[3:])
    count = len(inputs) * each
    g = generator_of(settings.seed, "validation")
    places = (torch.arange(each).repeat(len(inputs)) + torch.rand(count, generator=g)) / each
    images = torch.arange(len(inputs)).repeat_interleave(each)
    return Draw(
        images=images,
        texts=images,
        flipped=torch.zeros(count, dtype=torch.bool),
        dropped=torch.zeros(count, dtype=torch.bool),
        t=(places * timesteps).long(),
        posterior=torch.randn(count, *shape, generator=g),
        noise=torch.randn(count, *shape, generator=g),
        weights=torch.ones(count),
    )
