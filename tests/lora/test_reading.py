"""reading.py: an adapter made elsewhere is as strong here as where it was made, or is refused by name."""

import json
import re
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from diffusers.training_utils import _collate_lora_metadata
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

from caplora.lora.adapter import Adapter
from caplora.lora.adapter_files import write_weights
from caplora.lora.formats import DIFFUSERS
from caplora.lora.layer_names import in_memory, published
from caplora.lora.layers import TEXT_TARGETS, target_layers
from caplora.lora.reading import read_adapter
from caplora.models.base import parts_of
from caplora.study.training_settings import Training
from caplora.study.variants import TARGETS
from tests.lora.theirs import assert_same, diffusers_deltas, learned, peft_deltas
from tests.tiny import tiny_pipeline, tiny_text_encoder, tiny_unet, trained_like

QV = {"target_modules": TARGETS["qv"].replace("attn", ".*attn", 1), "init_lora_weights": False}
PEFT = {  # settings of peft that decide how strong each layer is
    "alpha above the rank": {"r": 4, "lora_alpha": 16},
    "alpha below the rank": {"r": 8, "lora_alpha": 2},
    "rank-stabilised": {"r": 4, "lora_alpha": 6, "use_rslora": True},
    "ranks by pattern": {"r": 4, "lora_alpha": 8, "rank_pattern": {"attn1.to_q": 2, r".*up_blocks.*to_v": 7}},
    "alphas by pattern": {"r": 4, "lora_alpha": 8, "alpha_pattern": {"to_v": 1, "^mid_block.*": 32}},
    "both by pattern, the first that matches counts": {
        "r": 4, "lora_alpha": 8, "use_rslora": True,
        "rank_pattern": {"attn2.to_q": 3}, "alpha_pattern": {"attn2.to_q": 5, "to_q": 20},
    },
}  # fmt: skip


def ours(path: Path) -> dict[str, Tensor]:
    """Layer → what the adapter at a path adds to its weight."""
    adapter = read_adapter(path)
    assert adapter.notes == ()
    return {layer: adapter.delta(layer) for layer in adapter.weights}


@pytest.mark.parametrize("settings", PEFT.values(), ids=PEFT)
def test_a_folder_that_peft_wrote_is_as_strong_as_in_peft(settings: dict, tmp_path: Path) -> None:
    model = get_peft_model(tiny_unet(), LoraConfig(**QV, **settings))
    model.save_pretrained(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} >= {"adapter_model.safetensors", "adapter_config.json"}
    again = PeftModel.from_pretrained(tiny_unet(), tmp_path)  # peft sorts patterns when it saves them
    assert_same(ours(tmp_path), peft_deltas(again, prefix="base_model.model."))


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # of peft and transformers
def test_convolutions_and_text_encoders_of_peft_are_read_too(tmp_path: Path) -> None:
    convolutions = LoraConfig(r=2, lora_alpha=6, target_modules=["conv1", "proj_in"], init_lora_weights=False)
    unet = get_peft_model(tiny_unet(), convolutions)
    unet.save_pretrained(tmp_path / "unet")
    assert_same(ours(tmp_path / "unet"), peft_deltas(unet, prefix="base_model.model."))
    for part in ("text_encoder", "text_encoder_2"):
        texts = LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj", "fc1"], init_lora_weights=False)
        encoder = get_peft_model(tiny_text_encoder(16, 8 if part.endswith("2") else None), texts)
        encoder.save_pretrained(tmp_path / part)
        assert_same(ours(tmp_path / part), peft_deltas(encoder, part, "base_model.model."))
    with pytest.raises(ValueError, match=r"holds 0 adapters.*one lies in each of text_encoder, text_encoder_2, unet"):
        read_adapter(tmp_path)


def test_peft_turns_fan_in_fan_out_off_and_so_do_we(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="fan_in_fan_out is set to True but"):
        model = get_peft_model(tiny_unet(), LoraConfig(r=2, lora_alpha=8, fan_in_fan_out=True, **QV))
    model.save_pretrained(tmp_path)
    assert_same(ours(tmp_path), peft_deltas(model, prefix="base_model.model."))


def saved_by_diffusers(folder: Path, settings: dict, metadata: bool) -> StableDiffusionPipeline:
    """A pipeline with peft's layers in UNet and text encoder, saved as diffusers' training scripts save them."""
    pipeline = tiny_pipeline()
    pipeline.unet.add_adapter(LoraConfig(**QV, **settings))
    texts = settings | {"rank_pattern": {}, "alpha_pattern": {"layers.1.self_attn.q_proj": 3}}
    pipeline.text_encoder.add_adapter(LoraConfig(target_modules=TEXT_TARGETS.replace("self", ".*self"), **texts))
    learned(pipeline.text_encoder)
    parts = {"unet": pipeline.unet, "text_encoder": pipeline.text_encoder}
    layers = {
        f"{k}_lora_layers": convert_state_dict_to_diffusers(get_peft_model_state_dict(m)) for k, m in parts.items()
    }
    StableDiffusionPipeline.save_lora_weights(folder, **layers, **(_collate_lora_metadata(parts) if metadata else {}))
    return pipeline


@pytest.mark.parametrize("settings", PEFT.values(), ids=PEFT)
def test_what_diffusers_states_counts_layer_by_layer(settings: dict, tmp_path: Path) -> None:
    saved_by_diffusers(tmp_path, settings, metadata=True)
    assert_same(ours(tmp_path), diffusers_deltas(tmp_path / DIFFUSERS))


@pytest.mark.parametrize("settings", PEFT.values(), ids=PEFT)
def test_without_alphas_every_layer_has_scale_1_as_in_diffusers(settings: dict, tmp_path: Path) -> None:
    saved_by_diffusers(tmp_path, settings, metadata=False)
    assert_same(ours(tmp_path), diffusers_deltas(tmp_path / DIFFUSERS))


def test_a_unet_that_diffusers_saved_by_itself_is_read(tmp_path: Path) -> None:
    unet = tiny_unet()
    unet.add_adapter(LoraConfig(**QV, **PEFT["alphas by pattern"]), "default")
    unet.save_lora_adapter(tmp_path)
    again = tiny_unet()
    again.load_lora_adapter(tmp_path, prefix=None, use_safetensors=True)
    assert_same(ours(tmp_path), peft_deltas(again))


FORMS = {  # what diffusers wrote over time, and what it reads: UNet, text encoder
    "0.14": ("unet.{}.processor.{}_lora.{}.weight", "text_encoder.text_model.{}.{}_lora.{}.weight"),
    "0.19": ("unet.{}.processor.{}_lora.{}.weight", "text_encoder.text_model.{}.{}.lora_linear_layer.{}.weight"),
    "0.24": ("unet.{}.{}.lora.{}.weight", "text_encoder.text_model.{}.{}.lora_linear_layer.{}.weight"),
}
THEIRS = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}
BOTH = Training(train_text_encoder=True, targets="qkvo")


def written(adapter: Adapter, unet: str, text: str, path: Path) -> None:
    """An adapter under keys of other people's forms, without its alpha."""
    state = {}
    for layer, (down, up) in adapter.weights.items():
        place, last = re.fullmatch(
            r"(?:unet|text_encoder)\.(.+?)\.((?:to_)?[qkv](?:_proj)?|to_out\.0|out_proj)", layer
        ).groups()
        form = unet if layer.startswith("unet") else text
        if "_lora" in form.replace("_lora_linear", ""):
            last = THEIRS.get(last, last).removesuffix(".0")
        state |= {form.format(place, last, "down"): down, form.format(place, last, "up"): up}
    save_file(state, path)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_older_forms_of_diffusers_are_read_as_diffusers_reads_them(form: tuple[str, str], tmp_path: Path) -> None:
    adapter = trained_like(parts_of(tiny_pipeline()), 4, 4, settings=BOTH)
    written(adapter, *form, tmp_path / "a.safetensors")
    read = ours(tmp_path / "a.safetensors")
    assert_same(read, {layer: adapter.delta(layer) for layer in adapter.weights})
    assert_same(read, diffusers_deltas(tmp_path / "a.safetensors"))


@pytest.mark.parametrize(
    "form", ["{}.processor.{}_lora.{}.weight", "{}.{}.lora.{}.weight", "unet.{}.{}.lora_{}.weight"]
)
def test_forms_without_alpha_are_read_at_scale_1(form: str, tmp_path: Path) -> None:
    adapter = trained_like(parts_of(tiny_pipeline()), 4, 4, settings=Training(targets="qkvo"))
    written(adapter, form, "", tmp_path / "a.safetensors")
    assert_same(ours(tmp_path / "a.safetensors"), {layer: adapter.delta(layer) for layer in adapter.weights})


def kohya(adapter: Adapter, path: Path, **metadata: str) -> dict[str, Tensor]:
    """The tensors of an adapter's kohya file, to be changed and saved again."""
    write_weights(adapter, path, "kohya", metadata)
    return load_file(path)


def test_kohya_without_alphas_is_read_at_scale_1_and_what_its_metadata_says_else_is_said(tmp_path: Path) -> None:
    adapter, path = trained_like(parts_of(tiny_pipeline()), 4, 1), tmp_path / "a.safetensors"
    state = {k: v for k, v in kohya(adapter, path).items() if not k.endswith(".alpha")}
    for alpha in ("4", "4.0"):  # both are written
        save_file(state, path, metadata={"ss_network_alpha": alpha, "ss_network_dim": "4"})
        assert_same(ours(path), {layer: 4 * adapter.delta(layer) for layer in adapter.weights})
    assert_same(ours(path), diffusers_deltas(path))
    save_file(state, path, metadata={"ss_network_alpha": "1.0", "ss_network_dim": "4"})
    read = read_adapter(path)
    assert "says alpha 1.0 at rank 4, and its layers have none: it is read at scale 1" in read.notes[0]
    assert_same({layer: read.delta(layer) for layer in read.weights}, diffusers_deltas(path))


def test_layers_that_lack_the_alpha_that_others_have_are_said(tmp_path: Path) -> None:
    adapter, path = trained_like(parts_of(tiny_pipeline()), 4, 8), tmp_path / "a.safetensors"
    state = kohya(adapter, path)
    lacking = next(k for k in state if k.endswith(".alpha"))
    save_file({k: v for k, v in state.items() if k != lacking}, path)
    read = read_adapter(path)
    assert f"1 of {len(adapter.weights)} layers have no alpha" in read.notes[0]
    halved = [layer for layer in read.weights if not torch.allclose(read.delta(layer), adapter.delta(layer))]
    assert [f"lora_{layer.replace('.', '_')}.alpha" for layer in halved] == [lacking]
    torch.testing.assert_close(2 * read.delta(halved[0]), adapter.delta(halved[0]))


def test_layers_whose_scale_is_stated_lack_nothing(tmp_path: Path) -> None:
    """One layer has an alpha, the others what diffusers states: none of them is read at scale 1."""
    adapter, path = trained_like(parts_of(tiny_pipeline()), 4, 8), tmp_path / "a.safetensors"
    state = kohya(adapter, path)
    for key in [k for k in state if k.endswith(".alpha")][1:]:
        del state[key]
    save_file(state, path, metadata={"lora_adapter_metadata": json.dumps({"unet.r": 4, "unet.lora_alpha": 8})})
    assert_same(ours(path), {layer: adapter.delta(layer) for layer in adapter.weights})


def test_whole_numbers_and_columns_of_one_are_alphas_too(tmp_path: Path) -> None:
    adapter, path = trained_like(parts_of(tiny_pipeline()), 4, 8), tmp_path / "a.safetensors"
    state = kohya(adapter, path)
    for number, key in enumerate(k for k in state if k.endswith(".alpha")):
        state[key] = torch.tensor([8] if number % 2 else 8)
    save_file(state, path)
    assert_same(ours(path), {layer: adapter.delta(layer) for layer in adapter.weights})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn])
def test_every_floating_point_type_is_read_as_it_stands(dtype: torch.dtype, tmp_path: Path) -> None:
    adapter, path = trained_like(parts_of(tiny_pipeline()), 4, 4), tmp_path / "a.safetensors"
    state = {k: v.to(dtype) for k, v in kohya(adapter, path).items()}
    save_file(state, path)
    for layer, (down, up) in read_adapter(path).weights.items():
        stem = f"lora_{layer.replace('.', '_')}"
        assert down.dtype == up.dtype == torch.float32
        assert torch.equal(down, state[f"{stem}.lora_down.weight"].float())
        assert torch.equal(up, state[f"{stem}.lora_up.weight"].float())


def test_a_convolution_in_three_parts_is_multiplied_out(tmp_path: Path) -> None:
    """LyCORIS' LoCon with use_tucker: ΔW[o, i] = α/r · Σ up[o, s] · mid[s, m] · down[m, i], a kernel each."""
    down, mid, up = torch.randn(3, 4, 1, 1), torch.randn(3, 3, 3, 3), torch.randn(8, 3, 1, 1)
    stem, alpha = "lora_unet_conv_in", torch.tensor(6.0)
    state = {f"{stem}.lora_down.weight": down, f"{stem}.lora_mid.weight": mid, f"{stem}.lora_up.weight": up}
    save_file(state | {f"{stem}.alpha": alpha}, tmp_path / "a.safetensors")
    expected = torch.zeros(8, 4, 3, 3, dtype=torch.float64)
    for s in range(3):
        for m in range(3):
            pairs = up[:, s, 0, 0].double()[:, None] * down[m, :, 0, 0].double()[None]
            expected += 2 * pairs[:, :, None, None] * mid[s, m].double()
    read = read_adapter(tmp_path / "a.safetensors")
    torch.testing.assert_close(read.delta("unet.conv_in"), expected.flatten(1), rtol=1e-5, atol=1e-5)


def test_every_layer_that_is_trained_is_known_again_by_its_kohya_name() -> None:
    for layer in target_layers(parts_of(tiny_pipeline()), Training(train_text_encoder=True, targets=".")):
        part, _, name = published(layer).partition(".")
        assert in_memory(part, name.replace(".", "_")) == layer
