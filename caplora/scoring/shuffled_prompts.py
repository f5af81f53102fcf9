"""A control: samples scored with the prompts of other samples. A score that reads the prompt must fall."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from caplora.sampling import Sample
from caplora.scoring.clip import ClipEmbeddings
from caplora.scoring.sample_metrics import WEIGHT, all_cosines


def shuffled_prompts_table(clip: ClipEmbeddings, samples: Sequence[Sample], prefix: str) -> pd.DataFrame:
    """CLIPScore of each test sample with its own prompt (`reference`) and with all others (`value`, their mean).

    A row per sample: variant, prompt, model, value, reference. An arm with one test prompt has no rows.
    """
    tables = []
    for arm in dict.fromkeys(s.variant for s in samples):
        own = [s for s in samples if s.variant == arm and s.split == "test"]
        prompts = list(dict.fromkeys(s.prompt for s in own))
        if len(prompts) < 2:
            continue
        texts = clip.texts([prefix + prompt for prompt in prompts])
        scores = (WEIGHT * all_cosines(clip.images([s.path for s in own]), texts).clamp(min=0)).double().numpy()
        right = scores[np.arange(len(own)), [prompts.index(s.prompt) for s in own]]
        wrong = (scores.sum(1) - right) / (len(prompts) - 1)
        about = {"variant": arm, "prompt": [s.prompt for s in own], "model": clip.encoder.label}
        tables.append(pd.DataFrame(about | {"value": wrong, "reference": right}))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))


COLUMNS = ("variant", "prompt", "model", "value", "reference")
