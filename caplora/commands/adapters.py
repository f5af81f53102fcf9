"""Merge, extract, resize and convert adapters."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from caplora.commands.say import say
from caplora.study import Variant

if TYPE_CHECKING:
    from caplora.lora import Adapter
    from caplora.models import Pipeline


def merge(adapter: Path, /, *, base: str, strength: float = 1.0, out: Path) -> None:
    r"""Write a base model with an adapter added to its weights, as diffusers loads it.

    ```
    python -m caplora merge ours.safetensors --out merged \
        --base stable-diffusion-v1-5/stable-diffusion-v1-5@451f4fe
    ```

    The strength may be negative: the adapter is then taken away.

    Args:
        adapter: A file in any form, or the folder it lies in.
        base: The model: a folder, or owner/name@revision.
        strength: What the change is multiplied by.
        out: The folder of the merged model.
    """
    from caplora import lora

    pipeline = pipeline_at(base)
    lora.merge(pipeline, adapter_at(adapter), strength)
    pipeline.save_pretrained(out)
    say(str(out))


def extract(*, base: str, tuned: str, rank: int = 16, out: Path) -> None:
    """Write the adapter of a rank that takes one model to another, in kohya's form.

    ```
    python -m caplora extract --base before --tuned after --rank 16 --out difference.safetensors
    ```

    Says what share of a change such a rank loses, and what it left out.

    Args:
        base: The model before: a folder, or owner/name@revision.
        tuned: The model after.
        rank: Of the adapter.
        out: The .safetensors file.
    """
    from tqdm.auto import tqdm

    from caplora import lora

    before, after = pipeline_at(base), pipeline_at(tuned)
    layers = list(tqdm(lora.extract(before, after, rank), desc="layers", unit="layer"))
    if not layers:
        raise ValueError(f"{base} and {tuned} have the same weights: there is nothing to extract")
    adapter = lora.Adapter(Variant(rank=rank, alpha=rank), {name: weights for name, weights, _ in layers})
    save_adapter(adapter, out, "kohya", base)
    lost = max(share for _, _, share in layers)
    say(f"{out}: {len(layers)} layers; the largest share of a change that is lost is {lost:.3f}")
    say(f"left out, being no linear or 1 × 1 layers: {lora.left_out(before, after)} changed weights and biases")


def resize(adapter: Path, /, *, rank: int, out: Path) -> None:
    """Write an adapter at a lower rank, in kohya's form.

    ```
    python -m caplora resize ours.safetensors --rank 4 --out small.safetensors
    ```

    Says the largest share of a change that the lower rank loses.

    Args:
        adapter: A file in any form, or the folder it lies in.
        rank: The new, lower rank.
        out: The .safetensors file.
    """
    from caplora import lora

    smaller, lost = lora.resize(adapter_at(adapter), rank)
    save_adapter(smaller, out, "kohya", "")
    say(f"{out}: the largest share of a change that is lost is {lost:.3f}")


def convert(adapter: Path, /, *, to: Literal["diffusers", "kohya"], out: Path) -> None:
    """Write an adapter, ours or other people's, in another form.

    ```
    python -m caplora convert theirs.safetensors --to diffusers --out ours.safetensors
    ```

    Reads the file again and says how far its change of the weights is from the adapter's.

    Args:
        adapter: A file in any form, or the folder it lies in.
        to: The form of the new file; kohya's is also read by ComfyUI, A1111 and Forge.
        out: The .safetensors file.
    """
    save_adapter(adapter_at(adapter), out, to, "")
    say(str(out))


def adapter_at(path: Path) -> "Adapter":
    """The adapter at a path, after saying what its file leaves unclear."""
    from caplora.lora import read_adapter

    adapter = read_adapter(path.expanduser())
    for note in adapter.notes:
        say(note)
    return adapter


def save_adapter(adapter: "Adapter", path: Path, form: str, base: str) -> None:
    """Write a file by itself, proven by reading it again."""
    from caplora.lora import kohya_metadata, write_weights

    error = write_weights(adapter, path, form, kohya_metadata(adapter, path.stem, 512, base))
    say(f"largest |ΔW of the file − ΔW| of any weight: {error:.2g}")


def pipeline_at(model: str) -> "Pipeline":
    """Stable Diffusion from a folder, or from the hub as `owner/name@revision`, in fp32."""
    import torch

    from caplora.models import read_pipeline

    path, _, revision = model.partition("@")
    return read_pipeline(path, revision or None, torch.float32)
