"""A control: an adapter at scale 0 must draw what the base model draws, to the bit."""

import pandas as pd
import torch

from caplora.lora import NOTHING, Adapter, Pack, rescaled
from caplora.models import Pipeline, even_packs, parts_of
from caplora.sampling.drawing import draw_batch
from caplora.sampling.samples import Wanted
from caplora.study import Sampling


def scale_zero_table(
    pipeline: Pipeline, adapters: dict[str, Adapter], wanted: Wanted, settings: Sampling
) -> pd.DataFrame:
    """Whether each adapter at scale 0 draws the same latents as the base model: a row per variant.

    The columns are control, variant, n, value (the largest difference of any number of the latents), reference (0) and
    passed. Both draw in batches of one shape, because the last bits of a matrix product depend on its shape.
    """
    rows = []
    for names in even_packs(list(adapters), max(1, settings.batch_size // 2)):
        drawn = []
        for arms in ([NOTHING] * len(names), [rescaled(adapters[name], 0) for name in names]):
            pack = Pack(parts_of(pipeline), arms)
            pack.lay()
            drawn.append(draw_batch(pipeline, len(names), [wanted.prompt], [wanted.noise], settings))
            pack.lift()
        for name, before, after in zip(names, *drawn, strict=True):
            same, most = torch.equal(before, after), float((after - before).abs().max())
            rows.append(("scale 0", name, 1, most, 0.0, same))
    return pd.DataFrame(rows, columns=["control", "variant", "n", "value", "reference", "passed"])
