"""A base model's configs → the arithmetic and the memory of its passes, counted on tensors that hold no numbers.

torch's fake tensors go through the real models, our adapters among them, so that nothing is loaded and nothing is
computed. Arithmetic is what torch's FlopCounter says, a multiplication and an addition two.
"""

import json
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import open_clip
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from caplora.lora import Pack, fresh_adapter, target_layers
from caplora.planning.configs import BaseConfigs
from caplora.study import Training, Variant

TOKENS = 77  # of a prompt, as every CLIP text encoder reads it


@dataclass(frozen=True)
class Pass:
    """What a pass costs."""

    flop: int
    bytes: int  # the most that is allocated at a time, weights aside


@dataclass(frozen=True)
class Part:
    """A part of a base model in 16 bit, or the VAE in fp32."""

    parameters: int
    passes: dict[str, Pass]


class Allocated(TorchDispatchMode):
    """The bytes that are allocated under it, now and at most."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[int, int] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(self, f: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = f(*args, **(kwargs or {}))
        for x in tree_leaves(made):
            if isinstance(x, Tensor):
                self._seen(x.untyped_storage())
        return made

    def _seen(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self.live:
            self.live[key] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.now -= self.live.pop(key, 0)


def counted_pass(work: Callable[[], object], model: nn.Module) -> Pass:
    """What some work of a model on fake tensors costs; views of its weights are no memory."""
    with FlopCounterMode(display=False) as flop, Allocated() as allocated:
        allocated.live |= {weight.untyped_storage()._cdata: 0 for weight in model.parameters()}
        work()
    return Pass(flop.get_total_flops(), allocated.peak)


@contextmanager
def fake(dtype: torch.dtype) -> Iterator[None]:
    """Tensors without numbers, of a dtype unless they say another."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with FakeTensorMode():
            yield
    finally:
        torch.set_default_dtype(before)


@lru_cache
def count_vae(config: str, resolution: int) -> Part:
    """The VAE in fp32: `encode` and `decode` of one picture."""
    with fake(torch.float32), torch.no_grad():
        vae = AutoencoderKL.from_config(json.loads(config))
        side = resolution // 2 ** (len(vae.config.block_out_channels) - 1)
        latents, pixels = (
            torch.empty(1, vae.config.latent_channels, side, side),
            torch.empty(1, 3, resolution, resolution),
        )
        passes = {
            "decode": counted_pass(lambda: vae.decode(latents), vae),
            "encode": counted_pass(lambda: vae.encode(pixels), vae),
        }
        return Part(sum(p.numel() for p in vae.parameters()), passes)


@lru_cache
def count_forward(config: BaseConfigs, resolution: int) -> Part:
    """The UNet in 16 bit: `forward` of one row."""
    with fake(torch.float16), torch.no_grad():
        unet = UNet2DConditionModel.from_config(json.loads(config.unet)).eval()
        inputs = unet_inputs(config, unet, resolution, 1)
        return Part(sum(p.numel() for p in unet.parameters()), {"forward": counted_pass(lambda: unet(**inputs), unet)})


@lru_cache
def count_training(config: BaseConfigs, resolution: int, targets: str, rank: int, light: bool) -> Pass:
    """Of one row: forward and backward pass of a LoRA of a rank, counted on four rows of two variants.

    `light` is with gradient checkpointing.
    """
    rows = 4
    with fake(torch.float16):
        unet = UNet2DConditionModel.from_config(json.loads(config.unet)).requires_grad_(False).eval()
        inputs = unet_inputs(config, unet, resolution, rows)
        torch.set_default_dtype(torch.float32)  # of the adapters
        spent = counted_pass(lambda: backward_of(unet, inputs, targets, rank, light), unet)
    return Pass(spent.flop // rows, spent.bytes // rows)


def backward_of(unet: UNet2DConditionModel, inputs: dict[str, Any], targets: str, rank: int, light: bool) -> None:
    """A forward and backward pass of a pack of two variants, as a training on a card makes them."""
    if light:
        unet.enable_gradient_checkpointing()
        unet.train()  # diffusers checkpoints only then, and it has nothing that drops out
    host = nn.ModuleDict({"unet": unet})
    layers = target_layers(host, Training(targets=targets))
    pack = Pack(host, [fresh_adapter(layers, Variant(rank=rank, alpha=rank), 0)] * 2)
    pack.lay()
    pack.gradient_of(unet(**inputs).sample.float().square().mean())


def unet_inputs(config: BaseConfigs, unet: UNet2DConditionModel, resolution: int, rows: int) -> dict[str, Any]:
    """What a UNet takes for some rows; SDXL's takes pooled texts and sizes too."""
    side = resolution // 2 ** (len(json.loads(config.vae)["block_out_channels"]) - 1)
    wide = unet.config.cross_attention_dim
    taken = {
        "sample": torch.empty(rows, unet.config.in_channels, side, side),
        "timestep": torch.empty(rows, dtype=torch.long),
        "encoder_hidden_states": torch.empty(rows, TOKENS, wide if isinstance(wide, int) else wide[0]),
    }
    if unet.config.addition_embed_type != "text_time":
        return taken
    sizes = 6
    pooled = unet.config.projection_class_embeddings_input_dim - sizes * unet.config.addition_time_embed_dim
    more = {"text_embeds": torch.empty(rows, pooled), "time_ids": torch.empty(rows, sizes)}
    return taken | {"added_cond_kwargs": more}


def lora_weights(config: BaseConfigs, targets: str, rank: int) -> int:
    """How many weights an adapter of a rank has."""
    layers = targeted(config, targets).values()
    return sum(rank * (layer.in_features + layer.out_features) for layer in layers)


@lru_cache
def targeted(config: BaseConfigs, targets: str) -> dict[str, nn.Linear]:
    """The layers of the UNet that are targeted, by name, without numbers."""
    with fake(torch.float32):
        host = nn.ModuleDict({"unet": UNet2DConditionModel.from_config(json.loads(config.unet))})
        return target_layers(host, Training(targets=targets))


def transformer_flop(width: int, inner: int, layers: int, tokens: int) -> int:
    """The arithmetic of a transformer's forward pass: its matrices, and each token with each."""
    return layers * (2 * tokens * (4 * width**2 + 2 * width * inner) + 4 * tokens**2 * width)


def clip_config(name: str) -> dict[str, Any]:
    """The shape of a CLIP that open_clip knows by its name; of one in a folder or of the hub nothing."""
    return {} if ":" in name else open_clip.get_model_config(name) or {}


def text_parameters(config: str) -> int:
    """The weights of a CLIP text encoder: its matrices and the embeddings of its words."""
    c = json.loads(config)
    block = 4 * c["hidden_size"] ** 2 + 2 * c["hidden_size"] * c["intermediate_size"]
    return c["num_hidden_layers"] * block + (c["vocab_size"] + TOKENS) * c["hidden_size"]
