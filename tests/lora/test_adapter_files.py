"""adapter_files.py: what was trained is what every reader of the files gets, alpha included."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from caplora.lora.adapter import Adapter, fresh_adapter
from caplora.lora.adapter_files import deltas_of, write_weights
from caplora.lora.formats import FORMS, kohya_key, kohya_metadata, tag_frequency
from caplora.lora.layer_names import in_memory, layer_and_role, published
from caplora.lora.layers import target_layers
from caplora.lora.pack import Pack
from caplora.lora.reading import read_adapter
from caplora.models import SD1, SDXL
from caplora.models.base import parts_of
from caplora.study.reading import PROJECT
from caplora.study.training_settings import Training
from caplora.study.variants import Variant
from tests.tiny import host_of, tiny_pipeline, tiny_unet, trained_like

WITH_TEXT = Training(train_text_encoder=True)
METADATA = {"ss_seed": "3", "modelspec.title": "x", "ss_network_dim": "4", "ss_output_name": "잉크"}


def picture(pipeline: StableDiffusionPipeline) -> torch.Tensor:
    made = pipeline(
        "an ink drawing of a woman", num_inference_steps=3, guidance_scale=3.0, output_type="pt", height=32, width=32,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    return made.images


@pytest.fixture(params=[(4, 16.0), (8, 8.0), (8, 3.0)], ids=lambda v: f"r{v[0]}_a{v[1]:g}")
def adapter(request: pytest.FixtureRequest) -> Adapter:
    return trained_like(parts_of(tiny_pipeline()), *request.param, settings=WITH_TEXT)


@pytest.mark.fault(26)
@pytest.mark.parametrize("form", FORMS)
def test_file_holds_the_same_change_of_weights(form: str, adapter: Adapter, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    assert write_weights(adapter, path, form, METADATA) < 1e-7
    kept = {name.replace(".", "_").replace("lora_unet_", "unet_"): delta for name, delta in deltas_of(path).items()}
    kept = {name.replace("lora_te_", "text_encoder_"): delta for name, delta in kept.items()}
    assert len(kept) == len(adapter.weights)
    for name, (down, up) in adapter.weights.items():
        expected = adapter.variant.alpha / adapter.variant.rank * (up.double() @ down.double())
        torch.testing.assert_close(kept[published(name).replace(".", "_")], expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("form", FORMS)
def test_adapter_read_back_is_the_one_written(form: str, adapter: Adapter, tmp_path: Path) -> None:
    write_weights(adapter, tmp_path / "a.safetensors", form, METADATA)
    again = read_adapter(tmp_path / "a.safetensors")
    assert again.weights.keys() == adapter.weights.keys()
    for name in adapter.weights:
        torch.testing.assert_close(again.delta(name), adapter.delta(name), rtol=0, atol=1e-7)
    if form == "kohya":
        assert again.variant == adapter.variant
        assert all(torch.equal(again.weights[n][1], up) for n, (_, up) in adapter.weights.items())


@pytest.mark.fault(26)
@pytest.mark.parametrize("form", FORMS)
def test_diffusers_draws_with_either_file_what_we_draw(form: str, adapter: Adapter, tmp_path: Path) -> None:
    ours, theirs = tiny_pipeline(), tiny_pipeline()
    write_weights(adapter, tmp_path / "a.safetensors", form, METADATA)
    before = picture(theirs)
    Pack(parts_of(ours), [adapter]).lay()
    theirs.load_lora_weights(tmp_path, weight_name="a.safetensors")
    assert (picture(ours) - picture(theirs)).abs().max() <= 1 / 255
    assert (picture(theirs) - before).abs().max() > 1e-4, "the adapter must show"


def test_diffusers_applies_the_scale_of_rank_stabilised_adapters(tmp_path: Path) -> None:
    ours, theirs = tiny_pipeline(), tiny_pipeline()
    plain = trained_like(parts_of(ours), 4, 6)
    adapter = Adapter(Variant(rank=4, alpha=6, use_rslora=True), plain.weights)
    assert adapter.variant.scale == 3
    write_weights(adapter, tmp_path / "a.safetensors", "kohya", METADATA)
    Pack(parts_of(ours), [adapter]).lay()
    theirs.load_lora_weights(tmp_path, weight_name="a.safetensors")
    assert (picture(ours) - picture(theirs)).abs().max() <= 1 / 255


@pytest.mark.fault(26)
def test_kohya_file_says_alpha_in_every_layer_and_sd1_to_forge(tmp_path: Path) -> None:
    adapter = trained_like(parts_of(tiny_pipeline()), 4, 16, settings=WITH_TEXT)
    path = tmp_path / "a.safetensors"
    write_weights(adapter, path, "kohya", kohya_metadata(adapter, "a", 512, "sd"))
    state = load_file(path)
    alphas = {k: v for k, v in state.items() if k.endswith(".alpha")}
    assert len(alphas) == len(adapter.weights) and all(v.shape == () and v == 16 for v in alphas.values())
    assert {k.split("_layers")[0] for k in state if k.startswith("lora_te")} == {"lora_te_text_model_encoder"}
    assert all(k.startswith(("lora_unet_", "lora_te_")) for k in state)
    written = path.read_bytes()
    size = int.from_bytes(written[:8], "little")
    metadata = json.loads(written[8 : 8 + size])["__metadata__"]
    assert metadata["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert metadata["ss_network_dim"] == "4" and metadata["ss_network_alpha"] == "16"
    assert metadata["sshs_model_hash"] == hashlib.sha256(written[8 + size :]).hexdigest()
    assert re.fullmatch("[0-9a-f]{8}", metadata["sshs_legacy_hash"])


def test_bytes_of_a_file_are_a_function_of_the_adapter(tmp_path: Path) -> None:
    """safetensors writes metadata in an order that differs from process to process."""
    metadata = METADATA | {f"ss_{i}": str(i) for i in range(12)}
    code = (
        "import sys; from pathlib import Path; from tests.lora.test_adapter_files import *;"
        "a = trained_like(host_of(tiny_unet()), 4, 8);"
        f"write_weights(a, Path(sys.argv[1]), 'kohya', {metadata!r})"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "theirs")], check=True, cwd=PROJECT, capture_output=True)
    write_weights(trained_like(host_of(tiny_unet()), 4, 8), tmp_path / "ours", "kohya", metadata)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


NAMES = [
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
    "up_blocks.3.attentions.2.transformer_blocks.0.attn2.to_out.0",
    "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj",
    "mid_block.attentions.0.proj_in",
    "down_blocks.1.resnets.0.time_emb_proj",
    "up_blocks.1.resnets.2.conv_shortcut",
    "time_embedding.linear_1",
    "down_blocks.2.downsamplers.0.conv",
    "conv_in",
]


@pytest.mark.parametrize("name", NAMES)
def test_underscored_names_find_their_dots_again(name: str) -> None:
    assert in_memory("unet", name.replace(".", "_")) == in_memory("unet", name) == f"unet.{name}"


SDXL_UNET = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": [1, 2, 10],
    "attention_head_dim": [5, 10, 20],
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
REAL = {
    "SD 1 unet": lambda: UNet2DConditionModel(cross_attention_dim=768),
    "SDXL unet": lambda: UNet2DConditionModel(**SDXL_UNET),
    "SD 1 text_encoder": lambda: CLIPTextModel(CLIPTextConfig()),
    "SDXL text_encoder_2": lambda: CLIPTextModelWithProjection(CLIPTextConfig(num_hidden_layers=32)),
}


@pytest.mark.parametrize("model", REAL)
def test_every_layer_of_the_real_models_is_known_by_both_its_names(model: str) -> None:
    """What is no layer of theirs is refused, so that none of them may be missing; on `meta` they weigh nothing."""
    part, family = model.rpartition(" ")[2], SDXL if "XL" in model else SD1
    with torch.device("meta"):
        modules = REAL[model]().named_modules()
    layers = [in_memory(part, name) for name, own in modules if isinstance(own, torch.nn.Linear | torch.nn.Conv2d)]
    assert len(layers) > 70
    for layer in layers:
        for key in (f"{published(layer)}.lora_A.weight", f"{kohya_key(layer, family)}.lora_down.weight"):
            assert layer_and_role(key, Path("a.safetensors")) == (layer, "down")


def test_text_encoder_is_named_as_this_transformers_names_it() -> None:
    layers = target_layers(parts_of(tiny_pipeline()), WITH_TEXT)
    for layer in layers:
        part, _, name = published(layer).partition(".")
        assert in_memory(part, name.replace(".", "_")) == layer
    assert published("text_encoder.encoder.layers.0.self_attn.q_proj").startswith("text_encoder.text_model.encoder")


def test_layers_of_other_ranks_and_alphas_keep_their_own_scale(tmp_path: Path) -> None:
    tensors, expected = {}, {}
    for i, (rank, alpha) in enumerate([(4, 2.0), (8, 16.0)]):
        key = f"lora_unet_mid_block_attentions_{i}_proj_in"
        down, up = torch.randn(rank, 8, 1, 1), torch.randn(6, rank, 1, 1)
        tensors |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up, f"{key}.alpha": torch.tensor(alpha)}
        expected[f"unet.mid_block.attentions.{i}.proj_in"] = (
            alpha / rank * up.double()[..., 0, 0] @ down[..., 0, 0].double()
        )
    save_file(tensors, tmp_path / "a.safetensors")
    adapter = read_adapter(tmp_path / "a.safetensors")
    for form in FORMS:
        write_weights(adapter, tmp_path / form, form, {})
        again = read_adapter(tmp_path / form)
        for layer, delta in expected.items():
            torch.testing.assert_close(again.delta(layer), delta, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_not_written(form: str, bad: float, tmp_path: Path) -> None:
    adapter = trained_like(parts_of(tiny_pipeline()), 4, 8)
    layer, (down, up) = list(adapter.weights.items())[3]
    write_weights(adapter, path := tmp_path / "a.safetensors", form, {})
    before = path.read_bytes()
    up[2, 1] = bad
    with pytest.raises(
        ValueError, match=r"a\.safetensors is not written: 1 tensors are NaN or infinite, '.*to_v.*' first"
    ):
        write_weights(Adapter(adapter.variant, adapter.weights | {layer: (down, up)}), path, form, {})
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_tags_are_counted_as_kohya_counts_them() -> None:
    said = json.loads(tag_frequency(["a woman, 잉크", "a woman, smiling"], "faces"))
    assert said == {"faces": {"a woman": 2, "잉크": 1, "smiling": 1}}


def test_fresh_adapter_is_a_file_that_changes_nothing(tmp_path: Path) -> None:
    adapter = fresh_adapter(target_layers(host_of(tiny_unet()), Training()), Variant(rank=2, alpha=4), 0)
    write_weights(adapter, tmp_path / "a.safetensors", "kohya", {})
    assert not any(delta.any() for delta in deltas_of(tmp_path / "a.safetensors").values())
