"""What peft states of an adapter beside its weights, in `adapter_config.json` or in a file's metadata, layer by layer.

Each setting counts or is refused by name, so that no adapter is read at another strength than it was trained with.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

CONFIG = "adapter_config.json"
METADATA = "lora_adapter_metadata"  # diffusers' key in a safetensors file (0.34 and later)
SMALLEST, LARGEST = 1.2e-38, 3.4e38  # numbers of fp32, in which adapters are read
DEFAULT = 8  # peft's own r and lora_alpha
COUNTS = {"peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "bias", "init_lora_weights"}
SAYS_NOTHING = {  # of what the weights do: where the file came from, how it was trained, what it was trained on
    "auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying", "eva_config",
    "exclude_modules", "inference_mode", "layers_pattern", "layers_to_transform", "loftq_config", "lora_dropout",
    "lora_ga_config", "megatron_core", "peft_version", "qalora_group_size", "revision", "runtime_config",
    "target_modules", "task_type",
    "fan_in_fan_out",  # of layers that Stable Diffusion has none of: peft itself turns it off for linear layers
}  # fmt: skip
STARTS = (True, False, None, "gaussian", "eva", "orthogonal")  # that leave the base model's weights as they are


@dataclass(frozen=True)
class Stated:
    """What peft's settings of an adapter say; `where` they stand, for errors."""

    where: str
    settings: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Refuse what is more than LoRA, or LoRA of a strength that these settings do not tell."""
        self._refuse_more()
        if (rs := self.settings.get("use_rslora")) not in (True, False, None):
            raise ValueError(f"{self.where}: use_rslora is {rs!r}, and it can be true or false")
        for name, patterns in (("r", "rank_pattern"), ("lora_alpha", "alpha_pattern")):
            own = self.settings.get(patterns) or {}
            if not isinstance(own, dict):
                raise ValueError(f"{self.where}: {patterns} is {own!r}, and an object is needed: layers and numbers")
            for pattern in own:
                self._refuse_expression(patterns, pattern)
            said = {f"{patterns} of {pattern!r}": value for pattern, value in own.items()}
            for place, value in {name: self.settings.get(name, DEFAULT), **said}.items():
                self._refuse_number(place, value)

    def _refuse_more(self) -> None:
        """Refuse what is more than LoRA, or LoRA on a base model whose weights peft had changed first."""
        kind = self.settings.get("peft_type") or "LORA"
        if kind != "LORA":
            raise ValueError(f"{self.where}: this is peft's {kind}, and caplora reads LoRA only")
        more = {k: v for k, v in self.settings.items() if v and k not in COUNTS | SAYS_NOTHING}
        if self.settings.get("bias") not in (None, "none"):
            more["bias"] = self.settings["bias"]
        for name, value in more.items():
            raise ValueError(f"{self.where}: {name} = {value!r} is more than LoRA, and caplora reads LoRA only")
        if (start := self.settings.get("init_lora_weights")) not in STARTS:
            raise ValueError(
                f"{self.where}: init_lora_weights = {start!r} changed the base model's weights too, and the adapter"
                " fits no other: save it from peft with path_initial_model_for_weight_conversion"
            )

    def _refuse_expression(self, place: str, pattern: str) -> None:
        if len(re.findall(r"[*+?{|]", pattern)) > 2 or re.search(r"\)[*+?{]", pattern):
            raise ValueError(
                f"{self.where}: {place} has {pattern!r}, an expression that may take for ever to match: write the names"
                " of layers, with at most two of * + ? { |, and none of them behind a bracket"
            )
        try:
            re.compile(_ending(pattern))
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"{self.where}: {place} has {pattern!r}, no regular expression: {error}") from error

    def _refuse_number(self, place: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not SMALLEST <= abs(value) <= LARGEST:
            raise ValueError(
                f"{self.where}: {place} is {value!r}, and a number of fp32 is needed that is finite and not 0: without"
                " it nobody knows how strong the adapter is. Take the settings that were saved with it"
            )

    def scale(self, names: tuple[str, ...], rank: int) -> float:
        """What multiplies B·A of a layer, known by any of `names`; ValueError where it is stated with another rank."""
        stated, alpha = self._of(names, "r", "rank_pattern"), self._of(names, "lora_alpha", "alpha_pattern")
        if stated != rank:
            raise ValueError(
                f"{self.where}: {names[0]} is stated to have rank {stated:g}, and its weights have rank {rank}: the"
                " two do not belong together"
            )
        return alpha / (math.sqrt(rank) if self.settings.get("use_rslora") else rank)

    @cached_property
    def _compiled(self) -> dict[str, list[tuple[re.Pattern[str], Any]]]:
        """The patterns of ranks and alphas, ready to match: there may be one for every layer."""
        own = {place: self.settings.get(place) or {} for place in ("rank_pattern", "alpha_pattern")}
        return {place: [(re.compile(_ending(p)), v) for p, v in said.items()] for place, said in own.items()}

    def _of(self, names: tuple[str, ...], name: str, patterns: str) -> float:
        """A layer's own value where a pattern matches, as peft matches them: the first that ends the layer's name."""
        for pattern, value in self._compiled[patterns]:
            if any(pattern.match(layer) for layer in dict.fromkeys(names)):
                return value
        return self.settings.get(name, DEFAULT)


def stated_beside(path: Path) -> Stated:
    """What the `adapter_config.json` in a file's folder states; ValueError without one, since alpha is nowhere else."""
    config = path.with_name(CONFIG)
    if not config.is_file():
        raise ValueError(
            f"{path}: peft keeps alpha in {CONFIG}, and there is none beside it: without it nobody knows how strong"
            " the adapter is. Put the one that peft wrote with it there"
        )
    return Stated(str(config), _object(config.read_bytes(), str(config)))


def stated_within(path: Path, metadata: Mapping[str, str]) -> dict[str, Stated]:
    """Part of the pipeline → what diffusers states of it in the metadata of a file; empty where it states nothing."""
    where = f"{path}, {METADATA}"
    said = _object(metadata.get(METADATA) or "{}", where)
    parts = {name: _part(said, f"{name}.") for name in ("unet", "text_encoder", "text_encoder_2")}
    parts["unet"] = parts["unet"] or {k: v for k, v in said.items() if "." not in k}  # of a UNet saved by itself
    return {part: Stated(where, settings) for part, settings in parts.items() if settings}


def _ending(pattern: str) -> str:
    """The expression of the layers that a pattern of peft's means: those whose names end so."""
    return rf"(.*\.)?({pattern})$"


def _part(said: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): value for key, value in said.items() if key.startswith(prefix)}


def _object(written: str | bytes, where: str) -> dict[str, Any]:
    """The object that JSON in UTF-8 or UTF-16 holds, as Windows' shells write it too; ValueError for anything else."""
    try:
        said = json.loads(written)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is no JSON: {error}") from error
    if not isinstance(said, dict):
        raise ValueError(f"{where} is no JSON object: {str(said)[:60]}")
    return said
