"""Adapters ↔ files that load everywhere: the diffusers form and the kohya form, alpha right in both.

diffusers: `unet.<layer>.lora_A.weight`, the scale folded into B, so every reader's "alpha = rank" is true.
kohya: `lora_unet_<layer>.lora_down.weight`, `.lora_up.weight` and `.alpha`, which ComfyUI, A1111 and Forge read; for
rank-stabilised LoRA its alpha is alpha·√rank, because every reader divides by the rank.
"""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from caplora.files import replacing
from caplora.lora import Adapter
from caplora.settings import Variant
from caplora.study import Study

DIFFUSERS = "pytorch_lora_weights.safetensors"
PREFIXES = {"unet": "lora_unet", "text_encoder": "lora_te"}
WORDS = (  # of layers' names that hold an underscore; between words kohya writes one for each dot
    r"(?:down|up|mid|transformer)_blocks?|text_model|self_attn|(?:proj|conv)_(?:in|out)|conv_shortcut|time_emb_proj"
    r"|time_embedding|linear_[12]|to_(?:q|k|v|out)|(?:q|k|v|out)_proj"
)
KEYS = (  # of a tensor, in the forms that people's files have
    r"lora_(?P<part>unet|te1?)_(?P<layer>\w+)\.(?P<role>lora_down\.weight|lora_up\.weight|alpha)",
    r"(?P<part>unet|text_encoder)\.(?P<layer>.+?)\.(?P<role>lora_A|lora_B|lora\.down|lora\.up)(\.default)?\.weight",
    r"(?P<part>unet|text_encoder)\.(?P<layer>.+?)\.processor\.(?P<last>to_\w+?)_lora\.(?P<role>down|up)\.weight",
    r"(?P<part>unet|text_encoder)\.(?P<layer>.+?)\.(?P<role>alpha)",
    r"(?P<part>base_model\.model)\.(?P<layer>.+?)\.(?P<role>lora_A|lora_B)\.weight",  # peft's own, of a UNet
)
ROLES = {"lora_down.weight": "down", "lora_A": "down", "lora.down": "down", "down": "down", "alpha": "alpha"}


def diffusers_state(adapter: Adapter) -> dict[str, Tensor]:
    """The adapter under diffusers' names, the scale folded into B."""
    state = {}
    for layer, (down, up) in adapter.weights.items():
        state[f"{published(layer)}.lora_A.weight"] = down.float().contiguous()
        state[f"{published(layer)}.lora_B.weight"] = (up.float() * adapter.variant.scale).contiguous()
    return state


def kohya_state(adapter: Adapter) -> dict[str, Tensor]:
    """The adapter under kohya's names, with one alpha per layer: what divided by the layer's rank is the scale."""
    state = {}
    for layer, (down, up) in adapter.weights.items():
        part, _, name = published(layer).partition(".")
        key = f"{PREFIXES[part]}_{name.replace('.', '_')}"
        state[f"{key}.lora_down.weight"] = down.float().contiguous()
        state[f"{key}.lora_up.weight"] = up.float().contiguous()
        state[f"{key}.alpha"] = torch.tensor(adapter.variant.scale * down.shape[0], dtype=torch.float32)
    return state


FORMS = {"diffusers": diffusers_state, "kohya": kohya_state}


def published(layer: str) -> str:
    """A layer's name in files: the text encoder's start with `text_model`, whatever transformers calls them now."""
    part, _, name = layer.partition(".")
    return f"{part}.text_model.{name}" if part == "text_encoder" and not name.startswith("text_model.") else layer


def in_memory(part: str, name: str) -> str:
    """A layer's name in a pipeline, from its name in a file, written with dots or with underscores.

    Raises ValueError for a name of SDXL's UNet as its authors have it.
    """
    if re.match(r"(input|middle|output)_block", name):
        raise ValueError(f"{name} is a layer of SDXL, which is not read")
    if "." not in name:
        name = ".".join(re.findall(rf"(?:{WORDS})(?=_|$)|[a-zA-Z0-9]+", name))
    name = re.sub(r"\bto_out$", "to_out.0", name)
    return f"{part}.{name.removeprefix('text_model.') if part == 'text_encoder' else name}"


def kohya_metadata(adapter: Adapter, title: str, resolution: int, base: str) -> dict[str, str]:
    """What kohya's tools and model browsers show of a file; all strings."""
    alpha = adapter.variant.scale * adapter.variant.rank
    return {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(adapter.variant.rank),
        "ss_network_alpha": f"{alpha:g}",
        "ss_output_name": title,
        "ss_sd_model_name": base,
        "ss_base_model_version": "sd_v1",
        "ss_resolution": f"({resolution}, {resolution})",
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "stable-diffusion-v1/lora",
        "modelspec.implementation": "https://github.com/huggingface/diffusers",
        "modelspec.title": title,
        "modelspec.resolution": f"{resolution}x{resolution}",
    }


def weights_file(study: Study, variant: Variant) -> Path:
    """The kohya-form file of a variant, named so that it can lie among other people's."""
    return study.adapter(variant) / f"{study.name}_{variant.name}.safetensors"


def tag_frequency(captions: Iterable[str], folder: str) -> str:
    """How often each comma-separated part of the captions stands, as kohya's metadata has it."""
    counts = Counter(tag.strip() for caption in captions for tag in caption.split(",") if tag.strip())
    return json.dumps({folder: dict(counts.most_common())}, ensure_ascii=False)


def safetensors_bytes(state: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    """A safetensors file whose bytes are a function of its content: safetensors writes metadata in any order."""
    written = save(state, metadata=metadata)
    size = int.from_bytes(written[:8], "little")
    header = json.loads(written[8 : 8 + size])
    ordered = {"__metadata__": dict(sorted(header.pop("__metadata__").items())), **dict(sorted(header.items()))}
    text = json.dumps(ordered, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + written[8 + size :]


def with_hashes(state: dict[str, Tensor], metadata: dict[str, str]) -> dict[str, str]:
    """The metadata and the two hashes by which model browsers know a kohya file, as kohya's scripts compute them."""
    written = safetensors_bytes(state, {key: value for key, value in metadata.items() if key.startswith("ss_")})
    size = int.from_bytes(written[:8], "little")
    return metadata | {
        "sshs_model_hash": hashlib.sha256(written[8 + size :]).hexdigest(),
        "sshs_legacy_hash": hashlib.sha256(written[0x100000:0x110000]).hexdigest()[:8],
    }


def write_weights(adapter: Adapter, path: Path, form: str, metadata: dict[str, str]) -> float:
    """Write the adapter in one of `FORMS` and read it again; the largest |ΔW_file − ΔW| of any weight."""
    state = FORMS[form](adapter)
    metadata = {"format": "pt"} | (with_hashes(state, metadata) if form == "kohya" else {})
    with replacing(path) as part:
        part.write_bytes(safetensors_bytes(state, metadata))
    return largest_error(adapter, path)


def largest_error(adapter: Adapter, path: Path) -> float:
    """The largest difference between what a file, read independently, adds to any weight and what the adapter adds."""
    kept = {layer.replace(".", "_"): delta for layer, delta in deltas_of(path).items()}
    return max(
        float((kept[published(layer).replace(".", "_")] - adapter.delta(layer)).abs().max())
        for layer in adapter.weights
    )


def deltas_of(path: Path) -> dict[str, Tensor]:
    """Layer → ΔW = (alpha / rank)·B·A in float64, from a file that caplora wrote, by the rules of its form.

    It shares nothing with `read_adapter`, so that each proves the other. A file of another kind raises ValueError.
    """
    state = load_file(path)
    deltas = {}
    for key, down in state.items():
        if key.endswith(".lora_A.weight"):
            up = state[key.replace("lora_A", "lora_B")]
            deltas[key.removesuffix(".lora_A.weight")] = up.double().flatten(1) @ down.double().flatten(1)
        elif key.endswith(".lora_down.weight"):
            stem = key.removesuffix(".lora_down.weight")
            scale, up = float(state[f"{stem}.alpha"]) / down.shape[0], state[f"{stem}.lora_up.weight"]
            layer = stem.replace("lora_unet_", "unet_").replace("lora_te_", "text_encoder_")
            deltas[layer] = scale * (up.double().flatten(1) @ down.double().flatten(1))
    if not deltas:
        raise ValueError(f"{path} holds no LoRA in diffusers or kohya form (first key: {next(iter(state), None)!r})")
    return deltas


def read_adapter(path: Path) -> Adapter:
    """The adapter in a file, ours or other people's, in any form of diffusers, kohya or peft.

    Where all layers have one rank and one alpha, the variant has them; else alpha is the largest rank and what a
    layer's own alpha says is folded into its B. Raises ValueError naming the file and the key that is not LoRA.
    """
    layers: dict[str, dict[str, Tensor]] = {}
    for key, value in load_file(path).items():
        layer, role = layer_and_role(key, path)
        layers.setdefault(layer, {})[role] = value
    stated = stated_scales(path)
    weights, scales = {}, {}
    for layer, kept in layers.items():
        if missing := {"down", "up"} - kept.keys():
            raise ValueError(f"{path}: layer {layer} lacks its {' and '.join(sorted(missing))} weight")
        rank = kept["down"].shape[0]
        weights[layer] = (kept["down"], kept["up"])
        scales[layer] = float(kept["alpha"]) / rank if "alpha" in kept else stated.get(layer.partition(".")[0], 1.0)
    if not weights:
        raise ValueError(f"{path} holds no tensors")
    ranks = {down.shape[0] for down, _ in weights.values()}
    if len(ranks) == len(set(scales.values())) == 1:
        [rank] = ranks
        return Adapter(Variant(rank=rank, alpha=rank * next(iter(scales.values()))), weights)
    folded = {layer: (down.float(), up.float() * scales[layer]) for layer, (down, up) in weights.items()}
    return Adapter(Variant(rank=max(ranks), alpha=max(ranks)), folded)


def layer_and_role(key: str, path: Path) -> tuple[str, str]:
    """Which layer of the pipeline a tensor belongs to, and whether it is its `down`, `up` or `alpha`."""
    for pattern in KEYS:
        if found := re.fullmatch(pattern, key):
            said = found.groupdict()
            part = "text_encoder" if said["part"].startswith("te") else "unet"
            name = f"{said['layer']}.{said['last']}" if "last" in said else said["layer"]
            return in_memory(part, name), ROLES.get(said["role"], "up")
    raise ValueError(f"{path}: {key!r} is no part of a LoRA (DoRA, LoHa, LoKr and SDXL files are not read)")


def stated_scales(path: Path) -> dict[str, float]:
    """Part → the scale that diffusers (≥ 0.34) states in the metadata of a file without alphas."""
    with safe_open(path, framework="pt") as file:
        stated = json.loads((file.metadata() or {}).get("lora_adapter_metadata", "{}"))
    scales = {}
    for part in PREFIXES:
        if f"{part}.lora_alpha" in stated:
            rank = stated[f"{part}.r"]
            scales[part] = stated[f"{part}.lora_alpha"] / (
                math.sqrt(rank) if stated.get(f"{part}.use_rslora") else rank
            )
    return scales
