"""A small study that has trained, drawn and scored, with hostile text wherever a person or a file has text."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from caplora.lora.adapter_files import weights_file, write_weights
from caplora.lora.formats import DIFFUSERS, kohya_metadata, tag_frequency
from caplora.models.base import parts_of
from caplora.publishing.facts import Facts, Measured
from caplora.report.findings import Findings
from caplora.sampling.samples import save_sample, wanted_samples
from caplora.statistics.effects import effect_table
from caplora.statistics.training_seeds import recipes
from caplora.study.files import file_hash
from caplora.study.study import Study, read_study
from caplora.study.training_settings import Training
from caplora.study.variants import BASELINE, Variant
from tests.report.test_report import scores
from tests.tiny import tiny_pipeline, trained_like

HOSTILE = (
    '<img src=x onerror=alert(1)>\n---\nlicense: mit\n---\n# [x](javascript:alert(1)) `code` | *b* "q": {{ 7 * 7 }}'
    " hf_abcdefghijklmnop someone@example.com /home/someone/portraits C:\\Users\\someone \u202eevil"
)
PRIVATE = ("hf_abcdefghijklmnop", "someone@example.com", "/home/someone", "C:\\Users", "\u202e")
VARIANT, OTHER = Variant(rank=4, alpha=8), Variant(rank=8, alpha=8)
SUBJECT = "a photo of sks person"
CAPTIONS = [f"{SUBJECT}, smiling", f"{SUBJECT}, {HOSTILE}", f"{SUBJECT}"]
MADE = {"sampling": {"num_inference_steps": 2, "guidance_scale": 3.0, "solver": "dpmsolver++"}, "adapter": None}


def small_study(folder: Path, **says: Any) -> Study:
    """The study with its ledger, its adapter in both forms and what its training left; no samples yet."""
    settings: dict[str, Any] = {
        "name": "small",
        "question": HOSTILE,
        "images": {"folder": "faces", "provenance": {"origin": HOSTILE, "licence": HOSTILE, "consent": HOSTILE}},
        "captioning": {"subject": SUBJECT},
        "sampling": {"development": [f"one {HOSTILE}", "dev two"], "test": [f"test 0 {HOSTILE}", "test 1", "test 2"]},
        "publishing": {"licence": "creativeml-openrail-m", "about": HOSTILE},
    }
    (folder / "small.yaml").write_text(yaml.safe_dump(settings | says, allow_unicode=True), encoding="utf-8")
    study = read_study(folder / "small.yaml")
    study.dataset.mkdir(parents=True)
    rows = [(f"anna_{i}.png", text, status, "train", HOSTILE) for i, (text, status) in enumerate(
        zip(CAPTIONS, ("kept", "edited", "pending"), strict=True))]  # fmt: skip
    columns = ["file_name", "text", "status", "split", "captioner"]
    pd.DataFrame(rows, columns=columns).to_csv(study.dataset / "metadata.csv", index=False)
    train(study, VARIANT)
    return study


def train(study: Study, variant: Variant, base: str | None = None, captions: Sequence[str] = CAPTIONS) -> None:
    """What the training of a variant leaves: both files, `settings.json`, `training.json`."""
    adapter = trained_like(parts_of(tiny_pipeline()), variant.rank, variant.alpha)
    kohya = weights_file(study, variant)
    named, revision = base or study.base.path, None if base else study.base.revision
    write_weights(adapter, kohya.with_name(DIFFUSERS), "diffusers", {})
    metadata = kohya_metadata(adapter, kohya.stem, 64, named) | {"ss_tag_frequency": tag_frequency(captions, "small")}
    write_weights(adapter, kohya, "kohya", metadata)
    record = {
        "variant": variant.model_dump(exclude_none=True), "trained_parameters": adapter.parameters(), "stopped": None,
        "training": {"steps": 7}, "base": {"path": named, "revision": revision},
        "sha256": {path.name: file_hash(path) for path in (kohya.with_name(DIFFUSERS), kohya)},
    }  # fmt: skip
    kohya.with_name("settings.json").write_text(json.dumps(record), encoding="utf-8")
    trained = {"base": {"unet": "0" * 64}, "images": {f"anna_{i}.png": {"caption": c} for i, c in enumerate(captions)}}
    kohya.with_name("training.json").write_text(json.dumps(trained), encoding="utf-8")


def draw(study: Study, *arms: str, splits: tuple[str, ...] = ("development", "test")) -> None:
    """Noise for every prompt and seed of these suites, as 03 saves its samples."""
    rng = np.random.default_rng(0)
    for arm in arms:
        for wanted in (w for w in wanted_samples(study.sampling) if w.split in splits):
            picture = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
            save_sample(picture, "", study.samples(arm), wanted, MADE | {"model": "m"})


def findings(gains: Mapping[str, float], best: str = VARIANT.name, **more: Any) -> Findings:
    """What 05 finds where each variant gains so much in every metric."""
    table = scores(gains, kinds=(("clip_score", "clip_a"), ("clip_score", "clip_b"), ("identity", "eyes")))
    known = recipes([v for v in (VARIANT, OTHER) if v.name in gains], Training())
    return Findings(effect_table(table), best, "clip_a", known, scores=table, **more)


def small_facts(study: Study, found: Findings | None = None, variant: Variant = VARIANT, **more: Any) -> Facts:
    """The facts of a variant of the study, measured or not."""
    return Facts(study, variant, Measured((VARIANT, OTHER), found, **more))


def finished(folder: Path, gain: float = 0.05) -> Facts:
    """The facts of a study that has drawn and scored."""
    study = small_study(folder)
    draw(study, BASELINE, VARIANT.name)
    return small_facts(study, findings({VARIANT.name: gain, OTHER.name: 0.0}))
