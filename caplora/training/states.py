"""A pack's state ↔ what the checkpoint of each variant keeps: layer by layer, without padding, so of no pack."""

from typing import Any

import torch
from torch import Tensor

from caplora.lora import Adapter, Pack
from caplora.study import Variant
from caplora.training.history import History
from caplora.training.optimizer import BEFORE, RUNNING, Optimizer

VECTORS = {"flat": "weights", "before": "before", "adamw.exp_avg": "mean", "adamw.exp_avg_sq": "square"}


def kept_of(pack: Pack, optimizer: Optimizer, row: int, history: History) -> dict[str, Tensor]:
    """Everything of the variant in a row that training changes, on the CPU."""
    state = optimizer.state
    kept: dict[str, Tensor] = {}
    for key, name in VECTORS.items():
        for layer, (down, up) in pack.unflatten(pack.arms[row], getattr(state, name)[row].cpu()).items():
            kept |= {f"{key}/{layer}/A": down.contiguous(), f"{key}/{layer}/B": up.contiguous()}
    kept["losses"] = torch.tensor(history.losses, dtype=torch.float64)
    kept["updates"] = state.updates[row].cpu().clone()
    if optimizer.fp16:
        kept["scale"] = torch.stack([state.scale[row].double(), state.calm[row].double()]).cpu()
    return kept


def take_up(pack: Pack, optimizer: Optimizer, row: int, kept: dict[str, Tensor], facts: dict[str, Any]) -> History:
    """Put what `kept_of` gave, and versions before 0.7.0 kept, into a row; the variant's history."""
    state, history = optimizer.state, History.of(kept["losses"], facts)
    for key, name in VECTORS.items():  # there is no moment yet in a checkpoint of step 0 of those versions
        getattr(state, name)[row] = pack.flatten(_layers(kept, key)).to(state.weights.device)
    state.losses[row, : len(history.losses)] = kept["losses"].float().to(state.losses.device)
    state.updates[row] = int(kept["updates"])
    state.number.fill_(int(facts["step"]))
    state.cause[row] = RUNNING if history.stopped is None else BEFORE
    if "scale" in kept:
        state.scale[row], state.calm[row] = float(kept["scale"][0]), int(kept["scale"][1])
    return history


def adapter_in(kept: dict[str, Tensor], variant: Variant) -> Adapter:
    """The adapter of a variant that `kept_of` gave."""
    return Adapter(variant, _layers(kept, "flat"))


def _layers(kept: dict[str, Tensor], key: str) -> dict[str, tuple[Tensor, Tensor]]:
    """Layer → (A, B) of one of `VECTORS`."""
    names = {name.split("/")[1] for name in kept if name.startswith(f"{key}/")}
    return {layer: (kept[f"{key}/{layer}/A"], kept[f"{key}/{layer}/B"]) for layer in names}
