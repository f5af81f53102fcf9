"""Adapters → `.safetensors` files that load everywhere; each is read again and compared when it is written.

Two forms are written, that of diffusers and that of kohya (`formats`).
"""

import hashlib
import json
from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor

from caplora.lora.adapter import Adapter
from caplora.lora.formats import FORMS, family_of_adapter, kohya_key
from caplora.lora.layer_names import published
from caplora.study import Study, Variant, disk_errors_name, replacing


def weights_file(study: Study, variant: Variant) -> Path:
    """The kohya-form file of a variant, named so that it can lie among other people's."""
    return study.adapter(variant) / f"{study.name}_{variant.name}.safetensors"


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
    """Write the adapter in one of `FORMS` and read it again; the largest |ΔW_file − ΔW| of any weight.

    Raises ValueError, and writes nothing, where the adapter has no layers or numbers that are not finite.
    """
    state = FORMS[form](adapter)
    if not state:
        raise ValueError(f"{path} is not written: the adapter has no layers")
    if bad := [key for key, value in state.items() if not value.isfinite().all()]:
        raise ValueError(f"{path} is not written: {len(bad)} tensors are NaN or infinite, {bad[0]!r} first")
    metadata = {"format": "pt"} | (with_hashes(state, metadata) if form == "kohya" else {})
    with replacing(path) as part:
        part.write_bytes(safetensors_bytes(state, metadata))
    return largest_error(adapter, path, form)


def largest_error(adapter: Adapter, path: Path, form: str) -> float:
    """The largest difference between what a file, read independently, adds to any weight and what the adapter adds."""
    kept, family = deltas_of(path), family_of_adapter(adapter)
    called = {layer: kohya_key(layer, family) if form == "kohya" else published(layer) for layer in adapter.weights}
    return max(float((kept[key] - adapter.delta(layer)).abs().max()) for layer, key in called.items())


def deltas_of(path: Path) -> dict[str, Tensor]:
    """Layer, as a file calls it → ΔW = (alpha / rank)·B·A in float64, by the rules of the forms that are written.

    It shares nothing with `read_adapter`, so that each proves the other. A file of another kind raises ValueError.
    """
    with disk_errors_name(path, "read"):
        state = load_file(path)
    deltas = {}
    for key, down in state.items():
        if key.endswith(".lora_A.weight"):
            up = state[key.replace("lora_A", "lora_B")]
            deltas[key.removesuffix(".lora_A.weight")] = up.double().flatten(1) @ down.double().flatten(1)
        elif key.endswith(".lora_down.weight"):
            stem = key.removesuffix(".lora_down.weight")
            scale, up = float(state[f"{stem}.alpha"]) / down.shape[0], state[f"{stem}.lora_up.weight"]
            deltas[stem] = scale * (up.double().flatten(1) @ down.double().flatten(1))
    if not deltas:
        raise ValueError(f"{path} holds no LoRA in diffusers or kohya form (first key: {next(iter(state), None)!r})")
    return deltas
