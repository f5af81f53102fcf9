"""Samples → the table of scores, a row per variant, prompt, seed, metric and model.

The formulas are in `sample_metrics`; numbers that only a whole arm has are in `whole_arms`.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from caplora.lora import weights_file
from caplora.sampling import (
    CAPTIONED,
    SCALED,
    TABLE,
    TINIEST,
    Sample,
    flagged_sentence,
    read_made,
    read_samples,
    refuse_flagged_baseline,
    suite_hashes,
)
from caplora.scoring.clip import ClipEmbeddings, load_clip
from caplora.scoring.embeddings import Embeddings, Scorer
from caplora.scoring.judge import JudgeEmbeddings
from caplora.scoring.sample_metrics import clip_scores, cosines, mean_cosines, mean_distances, nearest, ref_clip_scores
from caplora.study import BASELINE, Sampling, Study, Variant, file_hash, write_text

COLUMNS = ("variant", "prompt", "seed", "split", "metric", "model", "value", "weights", "prefix", "versions")
SCORED = (*COLUMNS, "suite")  # suite: a hash of the split's prompts


def scorable_samples(
    study: Study, variants: Sequence[Variant], scaled: Sequence[str] | None = None
) -> tuple[list[Sample], str]:
    """The samples that can be scored, of the baseline and the variants, with captions too, and of those named in
    `scaled` at other scales (if none are named, all that were drawn); what is wrong with the others, in a sentence.

    A variant that was not sampled has none, nor has one whose samples are of other settings than the baseline's or of
    an adapter that is no longer there. Raises FileNotFoundError where the baseline was not sampled, and ValueError
    where one of its samples cannot be scored, for then nothing can be compared with it.
    """
    names = [v.name for v in variants]
    own = names if scaled is None else [name for name in names if name in scaled]
    names += [f"{name}{CAPTIONED}" for name in (BASELINE, *names)]
    names += [f"{name}@{scale:g}" for scale in dict.fromkeys((*study.sampling.scales, TINIEST)) for name in own]
    sampled = [study.samples(arm) for arm in names if (study.samples(arm) / TABLE).is_file()]
    baseline, made = read_samples(study.samples(BASELINE)), read_made(study.samples(BASELINE))
    hashes = {weights_file(study, v).stem: file_hash(weights_file(study, v)) for v in variants if _trained(study, v)}
    stale = [folder for folder in sampled if not _is_of(read_made(folder), made, hashes)]
    there = [folder for folder in sampled if folder not in stale]
    refuse_flagged_baseline(baseline)
    samples = baseline + [sample for folder in there for sample in read_samples(folder)]
    absent = [v.name for v in variants if study.samples(v.name) not in sampled]
    old = "Drawn otherwise than the baseline, or by an adapter that is gone (run 03_inference again)"
    said = [
        flagged_sentence(samples),
        f"Not sampled: {', '.join(absent)}." if absent else "",
        f"{old}: {', '.join(folder.name for folder in stale)}." if stale else "",
    ]
    return [s for s in samples if not s.flag], " ".join(filter(None, said))


def _trained(study: Study, variant: Variant) -> bool:
    return weights_file(study, variant).is_file()


def _is_of(made: Mapping[str, Any], baseline: Mapping[str, Any], hashes: Mapping[str, str]) -> bool:
    """Whether an arm was drawn as the baseline was, by an adapter with one of these hashes by name."""
    adapter, same = made.get("adapter"), {**made, "adapter": None} == {**baseline, "adapter": None}
    return same and (not adapter or hashes.get(adapter["name"]) == adapter["sha256"])


def paths_of(samples: Iterable[Sample]) -> list[Path]:
    """Where the samples lie."""
    return [sample.path for sample in samples]


def score_rows(
    samples: Sequence[Sample], metric: str, values: Sequence[float], by: Scorer, prefix: str = ""
) -> pd.DataFrame:
    """One metric's values of the samples as rows of the score table, and what they were made with."""
    made = (by.label, by.weights, prefix, by.versions)
    rows = [
        (s.variant, s.prompt, s.seed, s.split, metric, made[0], value, *made[1:])
        for s, value in zip(samples, values, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def clip_table(
    clip: ClipEmbeddings, samples: Sequence[Sample], prefix: str, references: Sequence[str] = ()
) -> pd.DataFrame:
    """Raw cosine and CLIPScore of the samples with their prompts; RefCLIPScore too where there are references.

    `prefix` goes before prompts and references alike, as in the published code.
    """
    images, texts = clip.images(paths_of(samples)), clip.texts([prefix + s.prompt for s in samples])
    found = {"clip_cosine": cosines(images, texts), "clip_score": clip_scores(images, texts)}
    if references:
        found["ref_clip_score"] = ref_clip_scores(images, texts, clip.texts([prefix + text for text in references]))
    tables = [score_rows(samples, metric, values.tolist(), clip.encoder, prefix) for metric, values in found.items()]
    return pd.concat(tables, ignore_index=True)


def likeness_table(
    metric: str, views: Embeddings, samples: Sequence[Sample], portraits: Sequence[Path]
) -> pd.DataFrame:
    """Mean cosine of each sample to the held-out portraits, −1 … 1 (Ruiz et al. 2023, section 4.2): CLIP-I, identity.

    Raises ValueError where there are no portraits.
    """
    if not portraits:
        raise ValueError(f"{metric} is measured against held-out portraits and there are none: set images.held_out")
    values = mean_cosines(views.images(paths_of(samples)), views.images(portraits))
    return score_rows(samples, metric, values.tolist(), views.encoder)


def memorisation_table(views: Embeddings, samples: Sequence[Sample], trained: Sequence[Path]) -> pd.DataFrame:
    """Cosine of each sample to the training image most like it, −1 … 1."""
    values, _ = nearest(views.images(paths_of(samples)), views.images(trained))
    return score_rows(samples, "memorisation", values.tolist(), views.encoder)


def diversity_table(views: Embeddings, samples: Sequence[Sample]) -> pd.DataFrame:
    """Mean distance, 1 − cosine, of each sample to its arm's others of the same prompt, 0 … 2.

    The mean over a prompt's seeds is its mean pairwise distance. A prompt with one seed has no rows.
    """
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.variant, sample.prompt), []).append(sample)
    found = [(s, mean_distances(views.images(paths_of(s))).tolist()) for s in groups.values() if len(s) > 1]
    flat = [(sample, value) for group, values in found for sample, value in zip(group, values, strict=True)]
    return score_rows([s for s, _ in flat], "diversity", [value for _, value in flat], views.encoder)


def drift_table(views: Embeddings, samples: Sequence[Sample]) -> pd.DataFrame:
    """Distance, 1 − cosine, of each sample of the unrelated prompts to the baseline's from the same noise, 0 … 2.

    The baseline's own is 0. Raises ValueError naming a sample that the baseline lacks.
    """
    shown = [s for s in samples if s.split == "unrelated"]
    origin = {(s.prompt, s.seed): s.path for s in shown if s.variant == BASELINE}
    if lost := [s for s in shown if (s.prompt, s.seed) not in origin]:
        raise ValueError(
            f"the baseline lacks a sample of {lost[0].prompt!r}, seed {lost[0].seed}, which {lost[0].variant} has:"
            " run 03_inference again"
        )
    values = []
    if shown:
        before, after = views.images([origin[s.prompt, s.seed] for s in shown]), views.images(paths_of(shown))
        values = torch.where((before == after).all(1), 0.0, 1 - cosines(before, after)).tolist()
    return score_rows(shown, "drift", values, views.encoder)


def judge_table(judge: JudgeEmbeddings, samples: Sequence[Sample]) -> pd.DataFrame:
    """Share of the attributes that the prompt names which the picture shows, 0 … 1; and each attribute by itself.

    A prompt that names no attribute the judge knows has no value.
    """
    seen = judge.encoder.seen(judge.images(paths_of(samples)))
    found: dict[str, list[tuple[Sample, float]]] = {}
    for sample, shown in zip(samples, seen, strict=True):
        right = {a: float(shown[a] == value) for a, value in judge.encoder.named(sample.prompt).items()}
        if right:
            found.setdefault("judge", []).append((sample, sum(right.values()) / len(right)))
        for attribute, value in right.items():
            found.setdefault(f"judge_{attribute}", []).append((sample, value))
    tables = [score_rows([s for s, _ in v], metric, [x for _, x in v], judge.encoder) for metric, v in found.items()]
    return pd.concat(tables, ignore_index=True) if tables else score_rows([], "judge", [], judge.encoder)


def caption_agreement(study: Study, captions: Mapping[str, str], device: torch.device) -> dict[str, float]:
    """File name → raw cosine of a caption to its image in the dataset, −1 … 1, by the study's first CLIP."""
    if not captions:
        return {}
    clip = load_clip(study, study.scoring.clips[0], device)
    images = clip.images([study.dataset / name for name in captions])
    values: Tensor = cosines(images, clip.texts([clip.prefix + text for text in captions.values()]))
    return dict(zip(captions, values.tolist(), strict=True))


def write_scores(tables: Sequence[pd.DataFrame], study: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables as one, and the `scale_table` of it; both written where the study has them, whole or not at all.

    So is the drift of adapters at `TINIEST`, where the study drew them.
    """
    scores = pd.concat([table for table in tables if len(table)], ignore_index=True)
    scores = scores.drop_duplicates([*COLUMNS[:3], "metric", "model"], keep="last")  # of a cell that ran twice
    scores["suite"] = scores["split"].map(suite_hashes(study.sampling))
    scales, whole = scale_table(scores, study.sampling), scores[~scores["variant"].str.contains("@")]
    tiniest = scores[scores["variant"].str.endswith(f"@{TINIEST:g}") & (scores["metric"] == "drift")]
    write_text(study.scores, whole.to_csv(index=False))
    write_text(study.scales, scales.to_csv(index=False))
    write_text(study.tiniest, tiniest.to_csv(index=False))
    return whole.reset_index(drop=True), scales


def scale_table(scores: pd.DataFrame, settings: Sampling) -> pd.DataFrame:
    """What adapters score at each scale: `SCORED` and `scale`, of the samples that are drawn at every scale.

    Scale 0 is the baseline, for every variant, and scale 1 is the variant as it stands among the scores. A scale at
    which a variant lacks a sample, as a large one may that draws black, is left out whole.
    """
    drawn = scores[scores["split"].isin(SCALED) & (scores["seed"] == settings.seeds[0])]
    arm = drawn["variant"].str.extract(r"^([^@]+)@?(.*)$")  # its variant and its scale
    own = drawn.assign(variant=arm[0], scale=pd.to_numeric(arm[1].replace("", "1")))
    own = own[(own["scale"] != TINIEST) | (TINIEST in settings.scales)]  # a null of drift, on the unrelated alone
    scaled = own[own["scale"] != 1]
    variants = scaled["variant"].unique()
    none = own[own["variant"] == BASELINE]
    table = pd.concat([own[own["variant"].isin(variants)], *(none.assign(variant=v, scale=0.0) for v in variants)])
    table = table.loc[table["metric"].isin(scaled["metric"]), ["variant", "scale", *SCORED[1:]]]
    counts = table.groupby(["variant", "scale"])["value"].transform("size")
    return table[counts == len(none[none["metric"].isin(scaled["metric"])])].reset_index(drop=True)
