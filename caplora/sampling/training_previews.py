"""What the variants of a pack draw of the development prompts while they are trained."""

from typing import TYPE_CHECKING, Any

from PIL import Image

from caplora.lora import Pack
from caplora.sampling.drawing import decode, draw_batch
from caplora.sampling.samples import wanted_samples
from caplora.study import replacing

if TYPE_CHECKING:
    from caplora.training import Grid
else:
    Grid = Any  # who has one has imported the room, and who only draws need not

PREVIEWS = 2  # development prompts that are drawn during training


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
