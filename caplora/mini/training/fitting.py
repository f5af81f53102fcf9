"""The training loop of every model of the mini stack: AdamW, a one-cycle learning rate, averaged weights, resumable."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from caplora.study import replacing

CHECKPOINT_EVERY = 250  # steps


def generator_of(seed: int, step: int) -> torch.Generator:
    """The randomness of one step. It depends on (seed, step) only, so a resumed run draws what it would have drawn."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)


def fit(
    model: nn.Module,
    loss_of: Callable[[torch.Generator], Tensor],
    steps: int,
    rate: float,
    folder: Path,
    seed: int = 0,
    averaging: float = 0.998,
) -> Iterator[tuple[int, float]]:
    """Train `model` on `loss_of(generator)`; yields (steps done, loss). At the end the model holds averaged weights.

    Every CHECKPOINT_EVERY steps `folder`/state.safetensors is written; a second run goes on from there.
    """
    weights = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in weights if p.ndim > 1]
    plain = [p for p in weights if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}], lr=rate, betas=(0.9, 0.98)
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=rate, total_steps=steps + 1, pct_start=0.06, cycle_momentum=False
    )
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(averaging), use_buffers=True)
    done = restore(folder, model, average, optimizer)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # "no step of the optimizer came first"
        for _ in range(min(done, steps)):
            schedule.step()
    model.train()
    for step in range(done, steps):
        optimizer.zero_grad(set_to_none=True)
        with half_where_fast(device_of(model)):
            loss = loss_of(generator_of(seed, step))
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(model)
        if (step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == steps:
            keep(folder, step + 1, model, average, optimizer)
        yield step + 1, loss.item()
    model.load_state_dict(average.module.state_dict())
    model.eval()


def half_where_fast(device: torch.device) -> torch.autocast:
    """Autocast to bfloat16 on devices that have instructions for it; the weights stay float32."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


def state_of(model: nn.Module, average: AveragedModel, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Everything that training changes, by name."""
    state = {f"model.{k}": v for k, v in model.state_dict().items()}
    state |= {f"average.{k}": v for k, v in average.state_dict().items()}
    for i, moments in optimizer.state_dict()["state"].items():
        state |= {f"optimizer.{i}.{k}": v for k, v in moments.items()}
    return {k: v.detach().cpu().clone().contiguous() for k, v in state.items()}


def keep(folder: Path, step: int, model: nn.Module, average: AveragedModel, optimizer: torch.optim.Optimizer) -> None:
    """Write the state of training to `folder`, whole or not at all."""
    with replacing(folder / "state.safetensors") as part:
        save_file(state_of(model, average, optimizer), part, metadata={"step": str(step)})


def restore(folder: Path, model: nn.Module, average: AveragedModel, optimizer: torch.optim.Optimizer) -> int:
    """Load the kept state, if there is one; returns the number of steps already done."""
    path = folder / "state.safetensors"
    if not path.exists():
        return 0
    state = load_file(path)

    def under(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}

    model.load_state_dict(under("model."))
    average.load_state_dict(under("average."))
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in under("optimizer.").items():
        i, key = name.split(".", 1)
        moments.setdefault(int(i), {})[key] = value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(average.n_averaged)


def batch_of(generator: torch.Generator, count: int, size: int) -> Tensor:
    """Indices of a batch, drawn with replacement, (size,)."""
    return torch.randint(count, (size,), generator=generator)


def device_of(model: nn.Module) -> torch.device:
    """The device of the model."""
    return next(model.parameters()).device


def as_pixels(images: Tensor) -> Tensor:
    """uint8 (n, h, w, 3) → float (n, 3, h, w) in −1 … 1, channels last in memory."""
    return images.permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous(memory_format=torch.channels_last)
