"""A file of an adapter, ours or other people's, in any form of diffusers, kohya or peft → the adapter.

What is no LoRA is refused by name, and so are weights that cannot be used; what a file leaves unclear is said.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from caplora.lora.adapter import Adapter, of_dimensions
from caplora.lora.layer_names import BARE, layer_and_role, published
from caplora.lora.opening import adapter_file, opened
from caplora.lora.peft_config import Stated, stated_beside, stated_within
from caplora.study import Variant

NUMBERS = r"b?float(8_.+|16|32|64)"  # torch's types that weights may have
KERNEL = 3  # the side of the largest convolution of Stable Diffusion
WHOLE = r"u?int\d+"  # and that kohya's alpha may have too


def read_adapter(path: Path) -> Adapter:
    """The adapter in a file, or in a folder as diffusers, peft or this project leave one.

    Where all layers have one rank and one alpha, the variant has them; else alpha is the largest rank and what a
    layer's own alpha says is folded into its B. What the file leaves unclear is in its `notes`. Raises ValueError
    naming the file and what cannot be read of it.
    """
    file = adapter_file(path)
    tensors, metadata = opened(file)
    if not tensors:
        raise ValueError(f"{file} holds no tensors")
    stated, layers = stated_in(tensors, metadata, file), layers_of(tensors, file)
    weights = {layer: matrices(layer, kept, file) for layer, kept in layers.items()}
    scales = scales_of(layers, stated, file)
    folded = {layer: (down, at_scale(layer, up, scales[layer], file)) for layer, (down, up) in weights.items()}
    notes = (*unclear(layers, stated, metadata, file), *nothing_learned(folded, file))
    ranks, own = {down.shape[0] for down, _ in weights.values()}, set(scales.values())
    if len(ranks) == len(own) == 1 and min(own) > 0:
        [rank], [scale] = ranks, own
        return Adapter(Variant(rank=rank, alpha=rank * scale), weights, notes)
    return Adapter(Variant(rank=max(ranks), alpha=max(ranks)), folded, notes)


def layers_of(tensors: Mapping[str, Tensor], path: Path) -> dict[str, dict[str, Tensor]]:
    """Layer → role → tensor in fp32; ValueError for what is no LoRA, cannot be used or stands there twice."""
    layers: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        layer, role = layer_and_role(key, path)
        own, value = layers.setdefault(layer, {}), usable(key, role, tensor, path)
        if role in own and not torch.equal(own[role], value):
            raise ValueError(f"{path}: {layer} has two different {role} weights, the second under {key!r}")
        own[role] = value
    return layers


def usable(key: str, role: str, tensor: Tensor, path: Path) -> Tensor:
    """A tensor in fp32; ValueError where it is no floating-point number, or not finite. kohya's alpha may be whole."""
    kind = str(tensor.dtype).removeprefix("torch.")
    if not re.fullmatch(f"{NUMBERS}|{WHOLE}" if role == "alpha" else NUMBERS, kind):
        raise ValueError(
            f"{path}: {key!r} holds numbers of type {kind}: quantised weights are not read, nor is any other type than"
            " floating point of 8 to 64 bits"
        )
    value = tensor.float()
    if lost := value.numel() - int(value.isfinite().sum()):
        raise ValueError(
            f"{path}: {lost:,} of the {value.numel():,} numbers of {key!r} are NaN or infinite: the training went"
            " wrong. Take an earlier save of this adapter, or train it anew at a lower learning rate"
        )
    return value


def matrices(layer: str, kept: Mapping[str, Tensor], path: Path) -> tuple[Tensor, Tensor]:
    """A and B of a layer, what stands between them in LyCORIS' form of a convolution multiplied into A.

    ΔW = B·(mid·A): A is 1 × 1 there and mid (r, r, k, k) has the kernel. Both have as many dimensions.
    """
    if missing := {"down", "up"} - kept.keys():
        raise ValueError(f"{path}: layer {layer} lacks its {' and '.join(sorted(missing))} weight")
    down, up, mid = kept["down"], kept["up"], kept.get("mid")
    shapes = " and ".join(f"{role} {tuple(own.shape)}" for role, own in kept.items() if role != "alpha")
    if not (down.numel() and up.numel()):
        raise ValueError(f"{path}: layer {layer} has weights without numbers: {shapes}")
    if not fit(down, up, mid):
        raise ValueError(f"{path}: layer {layer} has weights that do not fit each other: {shapes}")
    if mid is not None and max(mid.shape[2:]) > KERNEL:  # or a small file would fill the memory
        raise ValueError(
            f"{path}: layer {layer} has a kernel of {max(mid.shape[2:])}: {KERNEL} is the largest there is"
        )
    if mid is not None:
        down = torch.einsum("smhw,mi->sihw", mid, down.flatten(1))
    ndim = max(down.ndim, up.ndim)
    return of_dimensions(down, ndim), of_dimensions(up, ndim)


def fit(down: Tensor, up: Tensor, mid: Tensor | None) -> bool:
    """Whether B·A, or B·(mid·A), is the change of a linear layer or a convolution."""
    if not {down.ndim, up.ndim} <= {2, 4} or up.shape[2:].numel() != 1:
        return False
    if mid is None:
        return down.shape[0] == up.shape[1]
    inner = (up.shape[1], down.shape[0])
    return down.ndim == mid.ndim == 4 and down.shape[2:].numel() == 1 and mid.shape[:2] == inner


def stated_in(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path) -> Mapping[str, Stated]:
    """Part of the pipeline → what peft's settings state of it: beside a file of peft's own, else in the metadata."""
    if not any(key.startswith(BARE) for key in tensors):
        return stated_within(path, metadata)
    return dict.fromkeys(("unet", "text_encoder", "text_encoder_2"), stated_beside(path))


def scales_of(layers: Mapping[str, Mapping[str, Tensor]], stated: Mapping[str, Stated], path: Path) -> dict[str, float]:
    """Layer → what multiplies B·A: by its alpha, by what is stated, or 1 as every reader has it without either."""
    scales = {}
    for layer, kept in layers.items():
        part, _, name = layer.partition(".")
        rank, said = kept["down"].shape[0], []
        if part in stated:
            said.append(stated[part].scale((name, published(layer).partition(".")[2]), rank))
        if "alpha" in kept:
            said.append(_alpha(layer, kept["alpha"], path) / rank)
        if len(said) == 2 and not abs(said[0] - said[1]) <= 1e-3 * abs(said[1]):
            raise ValueError(f"{path}: {layer} has scale {said[1]:g} by its alpha and {said[0]:g} by the metadata")
        scales[layer] = said[-1] if said else 1.0
    return scales


def at_scale(layer: str, up: Tensor, scale: float, path: Path) -> Tensor:
    """B times the scale, in fp32; ValueError where that is not finite."""
    scaled = up * scale
    if not scaled.isfinite().all():
        raise ValueError(f"{path}: the scale of {layer}, {scale:g}, makes its weights infinite: is its alpha right?")
    return scaled


def _alpha(layer: str, alpha: Tensor, path: Path) -> float:
    if alpha.numel() != 1 or not alpha.any():
        raise ValueError(
            f"{path}: the alpha of {layer} is {alpha.tolist()}, and one number is needed that is not 0 (which kohya's"
            " scripts take for the rank, and others for no effect)"
        )
    return float(alpha)


def unclear(
    layers: Mapping[str, Mapping[str, Tensor]], stated: Mapping[str, Stated], metadata: Mapping[str, str], path: Path
) -> list[str]:
    """What is said of alphas that are missing in a kohya file and stated nowhere else, a sentence each."""
    lacking = [layer for layer, kept in layers.items() if "alpha" not in kept and layer.partition(".")[0] not in stated]
    alpha, rank = metadata.get("ss_network_alpha", ""), metadata.get("ss_network_dim", "?")
    if 0 < len(lacking) < len(layers):
        return [
            f"{path}: {len(lacking)} of {len(layers)} layers have no alpha, {lacking[0]} first: they are read at scale"
            " 1, as kohya's scripts and ComfyUI read them, and diffusers gives them the others' alpha"
        ]
    if lacking and alpha not in ("", "None", rank, f"{rank}.0"):  # kohya's scripts write the alpha as 4 or as 4.0
        return [
            f"{path}: its metadata says alpha {alpha} at rank {rank}, and its layers have none: it is read at scale 1,"
            " as every loader reads it"
        ]
    return []


def nothing_learned(weights: Mapping[str, tuple[Tensor, Tensor]], path: Path) -> list[str]:
    """What is said of an adapter that changes nothing."""
    learned = any(down.any() and up.any() for down, up in weights.values())
    return [] if learned else [f"{path}: every layer's A or B is zero, so the adapter changes nothing"]
