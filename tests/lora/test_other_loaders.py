"""Files of ours in the loaders of others, for Stable Diffusion 1.5 and XL in full shape: ΔW is ours in every layer.

`pytest --loaders tests/lora/test_other_loaders.py` with what follows on the path; InvokeAI's own dependencies would
change the versions of everything else, so only what its loader imports is installed, into a folder of its own:

    uv pip install --no-deps --target loaders invokeai lycoris-lora blake3 compel deprecated einops gguf ml_dtypes \
        onnx onnxruntime picklescan protobuf pydantic-settings python-dotenv spandrel toml wrapt
    PYTHONPATH=loaders pytest --loaders tests/lora/test_other_loaders.py
"""

import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers.utils.state_dict_utils import convert_unet_state_dict_to_peft
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from benchmarks.shapes import TEXTS, meta_unet
from caplora.lora.adapter import Adapter
from caplora.lora.adapter_files import write_weights
from caplora.lora.formats import FORMS, family_of_adapter, kohya_key, kohya_metadata
from caplora.lora.layer_names import published
from caplora.lora.layers import target_layers
from caplora.lora.reading import read_adapter
from caplora.models.family import SD1, SDXL
from caplora.study.training_settings import Training
from caplora.study.variants import Variant

pytestmark = pytest.mark.loaders
INSTALL = "how to install it stands at the head of this file"
every_shape = pytest.mark.parametrize("name", ["sd15", "sdxl"])
ERROR = 1e-6  # of the largest weight of a layer's ΔW


@pytest.fixture(autouse=True)
def _room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """InvokeAI's own folder is a temporary one, and what the loaders warn of is their own."""
    monkeypatch.setenv("INVOKEAI_ROOT", str(tmp_path / "invokeai"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def host(name: str) -> nn.ModuleDict:
    """The models of a base in full shape, without numbers."""
    with torch.device("meta"):
        texts = [getattr(t, "text_model", t) for t in (CLIPTextModel(CLIPTextConfig(**c)) for c in TEXTS[name])]
    parts = ("text_encoder", "text_encoder_2")[: len(texts)]
    return nn.ModuleDict({"unet": meta_unet(name), **dict(zip(parts, texts, strict=True))})


@cache
def trained(name: str) -> Adapter:
    """An adapter of every projection of the UNet and the text encoders, at a scale that is not 1."""
    layers, g = target_layers(host(name), Training(train_text_encoder=True, targets="qkvo")), torch.Generator()
    weights = {
        layer: (torch.randn(4, m.in_features, generator=g), torch.randn(m.out_features, 4, generator=g))
        for layer, m in layers.items()
    }
    return Adapter(Variant(rank=4, alpha=6), weights)


def written(name: str, path: Path, form: str = "kohya") -> Path:
    write_weights(trained(name), path, form, kohya_metadata(trained(name), "ours", 512, "sd"))
    return path


def assert_ours(adapter: Adapter, layer: str, theirs: Tensor) -> None:
    expected = adapter.delta(layer)
    torch.testing.assert_close(theirs.double().flatten(1), expected, rtol=0, atol=ERROR * float(expected.abs().max()))


@every_shape
def test_invokeai_knows_the_base_and_adds_what_we_add(name: str, tmp_path: Path) -> None:
    pytest.importorskip("invokeai", reason=INSTALL)
    import invokeai.backend.model_manager.load  # noqa: F401  # first, for its imports go round
    from invokeai.backend.model_manager.configs import lora as configs
    from invokeai.backend.model_manager.model_on_disk import ModelOnDisk
    from invokeai.backend.patches.lora_conversions.sd_lora_conversion_utils import lora_model_from_sd_state_dict
    from invokeai.backend.patches.lora_conversions.sdxl_lora_conversion_utils import (
        convert_sdxl_keys_to_diffusers_format as diffusers_names,
    )

    adapter, path = trained(name), written(name, tmp_path / "ours.safetensors")
    kind = configs.LoRA_LyCORIS_SD1_Config if name == "sd15" else configs.LoRA_LyCORIS_SDXL_Config
    mod = ModelOnDisk(path)
    kind._validate_looks_like_lora(mod)
    kind._validate_base(mod)
    state = load_file(path)
    layers = lora_model_from_sd_state_dict(state if name == "sd15" else diffusers_names(state)).layers
    assert len(layers) == len(adapter.weights)
    texts = {"text_encoder": "lora_te" if name == "sd15" else "lora_te1", "text_encoder_2": "lora_te2"}
    for layer in adapter.weights:
        part, _, rest = published(layer).partition(".")
        theirs = layers[f"{texts.get(part, 'lora_unet')}_{rest.replace('.', '_')}"]
        assert_ours(adapter, layer, theirs.get_weight(torch.empty(0)) * theirs.scale())


@every_shape
def test_lycoris_adds_what_we_add(name: str, tmp_path: Path) -> None:
    pytest.importorskip("lycoris", reason=INSTALL)
    from lycoris.modules import get_module, make_module

    adapter, family = trained(name), SD1 if name == "sd15" else SDXL
    state, models = load_file(written(name, tmp_path / "ours.safetensors")), host(name)
    assert family_of_adapter(adapter) == family
    for layer in adapter.weights:
        stem = kohya_key(layer, family)
        kind, tensors = get_module(state, stem)
        own = models.get_submodule(layer)
        theirs = make_module(kind, tensors, stem, nn.Linear(own.in_features, own.out_features))
        assert_ours(adapter, layer, theirs.get_diff_weight()[0].detach())


def test_a_convolution_that_lycoris_keeps_in_three_parts_is_what_lycoris_makes_of_it(tmp_path: Path) -> None:
    pytest.importorskip("lycoris", reason=INSTALL)
    from lycoris.modules.locon import LoConModule

    module = LoConModule("conv", nn.Conv2d(4, 8, 3, padding=1), lora_dim=3, alpha=6, use_tucker=True)
    nn.init.normal_(module.lora_up.weight)
    state = {f"lora_unet_conv_in.{k}": v.clone() for k, v in module.state_dict().items() if "lora" in k or k == "alpha"}
    save_file(state, tmp_path / "theirs.safetensors")
    assert_ours(read_adapter(tmp_path / "theirs.safetensors"), "unet.conv_in", module.get_diff_weight()[0].detach())


@every_shape
@pytest.mark.parametrize("form", FORMS)
def test_diffusers_adds_what_we_add(name: str, form: str, tmp_path: Path) -> None:
    adapter, unet = trained(name), meta_unet(name)
    kind = StableDiffusionPipeline if name == "sd15" else StableDiffusionXLPipeline
    path = written(name, tmp_path / "ours.safetensors", form)
    state, alphas = kind.lora_state_dict(path, unet_config=unet.config)
    kind.load_lora_into_unet(state, alphas, unet)  # the base has no numbers, and so have peft's layers on it none
    layers = {f"unet.{n}": next(iter(m.scaling.values())) for n, m in unet.named_modules() if isinstance(m, LoraLayer)}
    matrices = state if form == "diffusers" else convert_unet_state_dict_to_peft(state)
    assert layers.keys() == {layer for layer in adapter.weights if layer.startswith("unet.")}
    for layer, scale in layers.items():
        down, up = (matrices[f"{layer}.lora_{side}.weight"].double() for side in "AB")
        assert_ours(adapter, layer, scale * up @ down)
