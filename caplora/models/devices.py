"""The device that models run on, and the precision of their weights there."""

import os

import torch


def device_of() -> torch.device:
    """A CUDA card if there is one, else Apple's, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def precision_of(device: torch.device, mixed_precision: str = "auto") -> str:
    """`no`, `fp16` or `bf16`: what the study asks for, or what the device is good at.

    bf16 from Ampere on, where it is not emulated; fp16 on older cards; fp32 elsewhere. Raises ValueError for fp16 on a
    CPU.
    """
    if mixed_precision == "fp16" and device.type == "cpu":
        raise ValueError(
            "training.mixed_precision is fp16, which needs a GPU, and there is none here: set it to auto, which is what"
            " the device does well (--mixed_precision=auto)"
        )
    if mixed_precision != "auto":
        return mixed_precision
    if device.type != "cuda":
        return "no"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def device_said() -> str:
    """What there is to compute with, in a sentence: `Tesla T4, 15 GB, fp16`, or what to do where there is no GPU."""
    device = device_of()
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        return f"{card.name}, {card.total_memory / 2**30:.0f} GB, {precision_of(device)}"
    if device.type == "mps":
        return "an Apple GPU, fp32"
    return (
        f"no GPU, {os.cpu_count()} CPU cores: the mini study runs in minutes, Stable Diffusion would take days."
        " On Colab: Runtime → Change runtime type → T4 GPU"
    )


DTYPES = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
