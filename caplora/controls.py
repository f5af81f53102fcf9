"""What must come out right in every study: scale 0 draws the baseline, and other samples' prompts score lower.

A control that fails is a fault of the study or of caplora, and no result of it should be believed before it is found.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from diffusers import StableDiffusionPipeline

from caplora.base import parts_of
from caplora.clip import ClipEmbeddings
from caplora.files import write_text
from caplora.intervals import flip_test, interval, sign_flips
from caplora.lora import NOTHING, Adapter, Pack, rescaled
from caplora.memory import even_packs
from caplora.samples import Sample, Wanted
from caplora.sampling import draw_batch
from caplora.settings import Sampling
from caplora.similarities import WEIGHT, all_cosines

SCALE, SHUFFLED = "scale 0", "shuffled prompts"
FEW = 6  # prompts
COLUMNS = (
    "control", "variant", "metric", "model", "n", "value", "reference", "difference", "low", "high", "p", "passed",
)  # fmt: skip


def scale_zero(
    pipeline: StableDiffusionPipeline, adapters: dict[str, Adapter], wanted: Wanted, settings: Sampling
) -> pd.DataFrame:
    """Whether each adapter at scale 0 draws what the base model draws, to the bit: a row per variant.

    `value` is the largest difference of any number of the latents. Both are drawn in batches of one shape, for the last
    bits of a product of matrices depend on its shape.
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
            rows.append({"control": SCALE, "variant": name, "n": 1, "value": most, "reference": 0.0, "passed": same})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def shuffled_prompts(clip: ClipEmbeddings, samples: Sequence[Sample], prefix: str) -> pd.DataFrame:
    """Whether the test samples of each arm score lower with the prompts of the other samples: a row per arm.

    `value` is the mean CLIPScore over all other test prompts, `reference` that with a sample's own; the difference has
    a 95 % t interval clustered by prompt and the p of flipping signs. It passes where the interval lies below 0, and
    with fewer than six prompts, whose interval is wide, where the difference does.
    """
    rows = []
    for arm in dict.fromkeys(s.variant for s in samples):
        own = [s for s in samples if s.variant == arm and s.split == "test"]
        prompts = list(dict.fromkeys(s.prompt for s in own))
        if len(prompts) < 2:
            continue
        texts = clip.texts([prefix + prompt for prompt in prompts])
        scores = (WEIGHT * all_cosines(clip.images([s.path for s in own]), texts).clamp(min=0)).double().numpy()
        places = np.array([prompts.index(s.prompt) for s in own])
        right = scores[np.arange(len(own)), places]
        wrong = (scores.sum(1) - right) / (len(prompts) - 1)
        means = np.array([(wrong - right)[places == i].mean() for i in range(len(prompts))])
        mean, low, high = interval(means)
        p, _ = flip_test(means[None], sign_flips(len(means)))
        rows.append({
            "control": SHUFFLED, "variant": arm, "metric": "clip_score", "model": clip.encoder.label, "n": len(own),
            "value": _by_prompt(wrong, places), "reference": _by_prompt(right, places), "difference": mean, "low": low,
            "high": high, "p": float(p[0]), "passed": bool(mean < 0 and (high < 0 or len(means) < FEW)),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _by_prompt(values: np.ndarray, places: np.ndarray) -> float:
    return float(np.mean([values[places == i].mean() for i in np.unique(places)]))


def write_controls(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Put the rows of a control into the table at `path`, in the place of what it said of that control before."""
    known = read_controls(path)
    kept = known[~known["control"].isin(rows["control"])]
    table = pd.concat([part for part in (kept, rows) if len(part)], ignore_index=True) if len(rows) else kept
    write_text(path, table.to_csv(index=False))
    return table


def read_controls(path: Path) -> pd.DataFrame:
    """The table of controls; one that is not there has no rows."""
    if not path.is_file():
        return pd.DataFrame(columns=list(COLUMNS))
    numbers = ("value", "reference", "difference", "low", "high", "p")
    return pd.read_csv(path, keep_default_na=False, na_values={name: [""] for name in numbers})
