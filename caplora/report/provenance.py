"""A study → what it was made with: hashes of weights, prompts and tables, who scored, how to cite and to repeat it.

Hashes of files are SHA-256 of their bytes, as `sha256sum` prints them, so that anybody can check them.
"""

import hashlib
import json
import platform
import re
import tomllib
from collections.abc import Hashable, Iterable
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

import caplora
from caplora.lora import DIFFUSERS
from caplora.sampling import suite_hashes
from caplora.study import BASELINE, PROJECT, Study, file_hash, read_text

LIBRARIES = ("torch", "diffusers", "transformers", "peft", "open_clip_torch", "numpy", "pandas", "scipy")
BASE = ("unet", "vae", "text_encoder", "text_encoder_2")  # models whose weights have a hash
PYPROJECT = PROJECT / "pyproject.toml"  # its `[tool.caplora] repository` says where the project is


def address() -> str:
    """Where the project can be cloned from; empty where that is not known."""
    content = tomllib.loads(PYPROJECT.read_text(encoding="utf-8")) if PYPROJECT.is_file() else {}
    repository = content.get("tool", {}).get("caplora", {}).get("repository", "")
    return f"https://github.com/{repository}" if repository else ""


def study_hash(study: Study) -> str:
    """SHA-256 of every setting of a study, defaults and all."""
    settings = json.dumps(study.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(settings.encode()).hexdigest()


def hashes(study: Study, variants: Iterable[str]) -> list[tuple[str, str]]:
    """What → its hash: the settings, base, each adapter's files, each suite of prompts, ledger and tables, if there."""
    drawn = read_json(study.samples(BASELINE) / "settings.json").get("base", {})
    parts = [(f"base model, {part}", drawn[part]) for part in BASE if part in drawn]
    suites = [(f"{split} prompts", digest) for split, digest in suite_hashes(study.sampling).items()]
    folders = {name: study.run / "adapters" / name for name in variants}
    files = [folders[name] / file for name in folders for file in (f"{study.name}_{name}.safetensors", DIFFUSERS)]
    files += [study.dataset / "metadata.csv", study.scores, study.arms, study.closest, study.scales, study.controls]
    files += [study.replication]
    whole = [(named_file(study, path), file_hash(path)) for path in files if path.is_file()]
    return [("settings of the study", study_hash(study)), *parts, *suites, *whole]


def named_file(study: Study, path: Path) -> str:
    """A file as the report names it: below the run, or the ledger."""
    if path.is_relative_to(study.run):
        return path.relative_to(study.run).as_posix()
    return f"{path.parent.name}/{path.name}"


def scorers(scores: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """The models that scored, a row each: model, weights (hash), prefix, versions, metrics; where the table says so."""
    columns = [c for c in ("model", "weights", "prefix", "versions") if c in scores]
    if "weights" not in columns:
        return []
    shown = scores[~scores["metric"].str.startswith("judge_")]
    table = shown.groupby(columns, sort=False)["metric"].agg(lambda m: ", ".join(dict.fromkeys(m))).reset_index()
    return table.to_dict("records")


def read_json(path: Path) -> dict[str, Any]:
    """What a JSON file holds; one that is not there holds nothing."""
    return json.loads(read_text(path)) if path.is_file() else {}


def versions() -> dict[str, str]:
    """Library → version, as they were when the report was written; Python first."""
    found = {"Python": platform.python_version(), "caplora": caplora.__version__}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def citation(study: Study) -> str:
    """A BibTeX entry of caplora as it made this report, with the study's own hash."""
    url = f"  url     = {{{address()}}},\n" if address() else ""
    key, escaped = re.sub(r"\W|_", "", study.name), study.name.replace("_", "\\_")
    return (
        f"@software{{caplora_{key},\n"
        "  author  = {{The caplora authors}},\n"
        "  title   = {caplora: portraits to captions, LoRA adapters, samples, scores and a report},\n"
        f"  version = {{{caplora.__version__}}},\n"
        f"  year    = {{{date.today().year}}},\n"
        f"{url}"
        f"  note    = {{Study {escaped}; SHA-256 of its settings:\n"
        f"             {study_hash(study)}}}\n"
        "}"
    )


def commands(study: Study, asked: str) -> list[str]:
    """What repeats the study in a terminal, `asked` being what the notebooks were given as `variants`."""
    clone = [f"git clone {address()} caplora && cd caplora"] if address() else []
    return [
        *clone,
        "pip install -r requirements.lock -e .",
        f"snakemake --cores all --config study={study.name} variants={asked or 'NAME'}",
        f"python -m caplora report {study.name} --pdf",
    ]
