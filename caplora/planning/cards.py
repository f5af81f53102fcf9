"""What graphics cards have and do: memory, arithmetic, and whether they are good at bf16."""

from dataclasses import dataclass

import torch

UTILISATION = 0.2  # of the tensor cores: diffusers' own tables show 17–20 % on a T4 at every batch size
PLAIN_UTILISATION = 0.5  # of cores without tensors, which are easier to keep busy; assumed


@dataclass(frozen=True)
class Card:
    """A graphics card as its data sheet has it; rates are dense, in TFLOP/s."""

    name: str
    gib: float  # that torch can use; less than the label says
    half: float  # of tensor cores in 16 bit
    single: float  # of convolutions in fp32: TF32 on tensor cores where the card has it
    plain: float  # of matrices in fp32, which torch leaves to the other cores
    tf32: bool
    source: str

    @property
    def bytes(self) -> int:
        """The memory that torch can use."""
        return int(self.gib * 2**30)

    @property
    def precision(self) -> str:
        """bf16 on the cards that are good at it, from Ampere on; they are those with TF32."""
        return "bf16" if self.tf32 else "fp16"

    @property
    def half_rate(self) -> float:
        """FLOP per second that may be expected of work in 16 bit."""
        return 1e12 * self.half * UTILISATION

    @property
    def plain_rate(self) -> float:
        """FLOP per second that may be expected of matrices in fp32, of which the scoring models are made."""
        return 1e12 * self.plain * PLAIN_UTILISATION

    @property
    def single_rate(self) -> float:
        """FLOP per second that may be expected of work in fp32."""
        return 1e12 * self.single * (UTILISATION if self.tf32 else PLAIN_UTILISATION)


CARDS = {  # in the order in which a device's name is looked for
    "T4": Card("T4", 14.6, 65, 8.1, 8.1, False, "NVIDIA T4 data sheet"),
    "L4": Card("L4", 22.0, 121, 60, 30.3, True, "NVIDIA L4 data sheet, half of what it says with sparsity"),
    "A100": Card("A100", 39.4, 312, 156, 19.5, True, "NVIDIA A100 data sheet"),
    "A100-80GB": Card("A100-80GB", 79.1, 312, 156, 19.5, True, "NVIDIA A100 data sheet"),
    "H100": Card("H100", 79.1, 989, 494, 67, True, "NVIDIA H100 data sheet (SXM), half of what it says with sparsity"),
    "H200": Card("H200", 139.8, 989, 494, 67, True, "NVIDIA H200 data sheet (SXM), half of what it says with sparsity"),
}


def card_of(name: str) -> Card:
    """The card of that name; raises ValueError naming those that are known."""
    if name not in CARDS:
        raise ValueError(f"no card {name!r} is known: it must be one of {', '.join(CARDS)}")
    return CARDS[name]


def card_here() -> Card | None:
    """The card in this machine, with the memory that it really has; None without one, or for one that is not known."""
    if not torch.cuda.is_available():
        return None
    seen = torch.cuda.get_device_properties(0)
    return known(seen.name, seen.total_memory)


def known(name: str, memory: int) -> Card | None:
    """The card that torch calls `name` (`Tesla T4`, `NVIDIA A100-SXM4-40GB`), with `memory` bytes; None: not known."""
    words = name.replace("-", " ").split()
    found = next((card for key, card in CARDS.items() if key.partition("-")[0] in words), None)
    if found is None:
        return None
    return Card(name, memory / 2**30, found.half, found.single, found.plain, found.tf32, found.source)
