"""family.py, texts.py, sdxl_names.py: Stable Diffusion 1, 2 and XL are drawn, trained and filed as diffusers does."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from PIL import Image, ImageChops
from safetensors.torch import load_file

from benchmarks.shapes import PARAMETERS, meta_unet
from caplora.lora.adapter import fresh_adapter
from caplora.lora.adapter_files import write_weights
from caplora.lora.formats import FORMS, family_of_adapter, kohya_key, kohya_metadata
from caplora.lora.layer_names import in_memory
from caplora.lora.layers import target_layers
from caplora.lora.merging import merge
from caplora.lora.pack import Pack
from caplora.lora.reading import read_adapter
from caplora.lora.sdxl_names import authors_name, pipeline_name
from caplora.models.base import base_hashes, load_base, parts_of
from caplora.models.family import SD1, SD2, SD2_V, SDXL, Pipeline, family_of, pipeline_class
from caplora.models.texts import conditions, encode_texts, text_tokens
from caplora.sampling.drawing import decode, draw_batch
from caplora.study.sampling_settings import Sampling
from caplora.study.settings import Model
from caplora.study.study import Study, read_study
from caplora.study.training_settings import Training
from caplora.study.variants import Variant
from caplora.training.draws import draw_samples
from caplora.training.inputs import Encoders
from caplora.training.loss import Objective
from tests.tiny import FAMILIES, host_of, trained_like

PROMPTS = ("an ink drawing of a man, smiling", "a photo")
SETTINGS = Sampling(development=("a",), test=PROMPTS, num_inference_steps=3, guidance_scale=3.0)
WITH_TEXT = Training(train_text_encoder=True)
every_family = pytest.mark.parametrize("name", FAMILIES)


def drawn_by_diffusers(pipeline: Pipeline, guidance: float = 3.0) -> list[Image.Image]:
    noises = [torch.Generator().manual_seed(seed) for seed in (0, 5)]
    return pipeline(
        list(PROMPTS), num_inference_steps=3, guidance_scale=guidance, height=32, width=32, generator=noises
    ).images


def difference(ours: list[Image.Image], theirs: list[Image.Image]) -> int:
    """The largest, of any colour of any pixel, of 255."""
    pairs = zip(ours, theirs, strict=True)
    return max(int(high) for a, b in pairs for _, high in ImageChops.difference(a, b).getextrema())


@every_family
@pytest.mark.parametrize("guidance", [3.0, 1.0])
def test_draws_what_the_diffusers_pipeline_draws(name: str, guidance: float) -> None:
    pipeline, settings = FAMILIES[name](), SETTINGS.model_copy(update={"guidance_scale": guidance})
    ours, _ = decode(pipeline, draw_batch(pipeline, 1, list(PROMPTS), [0, 5], settings)[0])
    assert difference(ours, drawn_by_diffusers(pipeline, guidance)) <= 1


@every_family
def test_loss_is_that_of_diffusers_own_conditions(name: str, tmp_path: Path) -> None:
    pipeline, settings = FAMILIES[name](), Training()
    Image.new("RGB", (32, 32), "teal").save(tmp_path / "a.png")
    inputs = Encoders(pipeline, tmp_path / "kept", settings).inputs(tmp_path, [("a.png", PROMPTS[0])])
    drawn = draw_samples(settings, inputs, range(6), 1000)
    told = pipeline.encode_prompt(PROMPTS[0], device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)
    more = {}
    if name == "sdxl":
        sizes = torch.tensor([[32.0, 32, 0, 0, 32, 32]]).expand(6, -1)
        more = {"added_cond_kwargs": {"text_embeds": told[2].expand(6, -1), "time_ids": sizes}}
    scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
    mean, log_variance = inputs.moments[:, 0].expand(6, -1, -1, -1).chunk(2, 1)
    latents = pipeline.vae.config.scaling_factor * (mean + (0.5 * log_variance).exp() * drawn.posterior)
    noisy = scheduler.add_noise(latents, drawn.noise, drawn.t)
    with torch.no_grad():
        seen = pipeline.unet(noisy, drawn.t, told[0].expand(6, -1, -1), **more).sample
    target = scheduler.get_velocity(latents, drawn.noise, drawn.t) if name == "sd2" else drawn.noise
    expected = F.mse_loss(seen, target, reduction="none").mean((1, 2, 3))
    with torch.no_grad():
        torch.testing.assert_close(Objective(pipeline, settings).row_losses(inputs, drawn), expected)


@every_family
def test_token_ids_give_what_the_texts_give(name: str, tmp_path: Path) -> None:
    pipeline = FAMILIES[name]()
    Image.new("RGB", (32, 32), "teal").save(tmp_path / "a.png")
    inputs = Encoders(pipeline, tmp_path, WITH_TEXT).inputs(tmp_path, [("a.png", PROMPTS[0])])
    drawn = draw_samples(Training(caption_dropout=0.5), inputs, range(8), 1000)
    assert drawn.dropped.any() and not drawn.dropped.all()
    with torch.no_grad():
        seen = Objective(pipeline, WITH_TEXT).texts(inputs, drawn.texts, drawn.dropped)
        expected = encode_texts(pipeline, ["" if dropped else PROMPTS[0] for dropped in drawn.dropped])
    torch.testing.assert_close(seen, expected)


def test_xl_is_guided_away_from_zeros_and_told_the_size() -> None:
    pipeline = FAMILIES["sdxl"]()
    empty, text = encode_texts(pipeline, ["", PROMPTS[0]])
    assert not empty.any() and text.any()
    assert conditions(pipeline, text[None])["added_cond_kwargs"]["time_ids"].tolist() == [[32, 32, 0, 0, 32, 32]]
    first, second = text_tokens(pipeline, [PROMPTS[0]]).chunk(2, 1)
    words = len(pipeline.tokenizer(PROMPTS[0]).input_ids)
    assert torch.equal(first[:, :words], second[:, :words])
    assert first[0, -1] == pipeline.tokenizer.eos_token_id and second[0, -1] == pipeline.tokenizer_2.pad_token_id
    pipeline.register_to_config(force_zeros_for_empty_prompt=False)
    assert encode_texts(pipeline, [""]).any()


@every_family
@pytest.mark.parametrize("form", FORMS)
def test_diffusers_draws_with_either_file_what_we_draw(name: str, form: str, tmp_path: Path) -> None:
    ours, theirs, merged = FAMILIES[name](), FAMILIES[name](), FAMILIES[name]()
    adapter = trained_like(parts_of(ours), 4, 16, settings=WITH_TEXT)
    if name == "sdxl":  # a tiny one reads texts of another width
        assert family_of_adapter(adapter) == SDXL
    assert write_weights(adapter, tmp_path / "a.safetensors", form, {}) < 1e-6
    again = read_adapter(tmp_path / "a.safetensors")
    assert again.weights.keys() == adapter.weights.keys()
    merge(merged, again)
    Pack(parts_of(ours), [adapter]).lay()
    before = drawn_by_diffusers(theirs)
    theirs.load_lora_weights(tmp_path, weight_name="a.safetensors")
    shown = drawn_by_diffusers(theirs)
    assert difference(drawn_by_diffusers(ours), shown) <= 1
    assert difference(drawn_by_diffusers(merged), shown) <= 1
    assert difference(before, shown) > 1, "the adapter must show"


# Modules and weights per rank: of each transformer block of width c that reads texts of width d, q and v of both
# attentions are 7c + d numbers per rank. SD 1.5 and 2.1 have 16 blocks, SDXL 10 of 640 and 60 of 1280.
SHAPES = {"sd15": (64, 99_648, SD1), "sd21": (64, 99_648 + 16 * 256, SD2), "sdxl": (280, 725_760, SDXL)}


@pytest.mark.parametrize("name", SHAPES)
def test_full_shapes_have_their_layers_and_their_names(name: str, tmp_path: Path) -> None:
    unet = meta_unet(name)
    layers = target_layers(host_of(unet), Training())
    adapter = fresh_adapter(layers, Variant(rank=4, alpha=8), 0)
    modules, per_rank, family = SHAPES[name]
    assert sum(p.numel() for p in unet.parameters()) == PARAMETERS[name]
    assert len(layers) == modules and adapter.parameters() == 4 * per_rank
    assert family_of_adapter(adapter) == family
    write_weights(adapter, tmp_path / "a.safetensors", "kohya", kohya_metadata(adapter, "a", 512, name))
    keys = load_file(tmp_path / "a.safetensors").keys()
    assert len(keys) == 3 * modules and all(key.startswith("lora_unet_") for key in keys)
    assert any("input_blocks" in key for key in keys) == (name == "sdxl")
    assert read_adapter(tmp_path / "a.safetensors").weights.keys() == adapter.weights.keys()


def test_every_layer_of_xl_finds_its_name_again() -> None:
    """Every linear layer and convolution, from diffusers' name to the authors' and back, with dots and underscores."""
    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    names = [n for n, module in meta_unet("sdxl").named_modules() if isinstance(module, kinds)]
    assert len(names) == 743 + 51
    for name in names:
        theirs = authors_name(name)
        assert pipeline_name(theirs) == name
        assert in_memory("unet", theirs.replace(".", "_")) == f"unet.{name}"
    assert len({authors_name(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("down_blocks.1.attentions.0.proj_in", "input_blocks.4.1.proj_in"),
        (
            "down_blocks.2.attentions.1.transformer_blocks.9.attn2.to_v",
            "input_blocks.8.1.transformer_blocks.9.attn2.to_v",
        ),
        ("mid_block.attentions.0.transformer_blocks.0.attn1.to_q", "middle_block.1.transformer_blocks.0.attn1.to_q"),
        ("up_blocks.0.attentions.2.proj_out", "output_blocks.2.1.proj_out"),
        ("up_blocks.1.resnets.1.conv1", "output_blocks.4.0.in_layers.2"),
        ("down_blocks.0.downsamplers.0.conv", "input_blocks.3.0.op"),
        ("up_blocks.1.upsamplers.0.conv", "output_blocks.5.2.conv"),
    ],
)
def test_names_are_those_of_the_published_checkpoint(ours: str, theirs: str) -> None:
    """sd_xl_base_1.0.safetensors, as diffusers' own conversion reads it."""
    assert authors_name(ours) == theirs
    assert kohya_key(f"unet.{ours}", SDXL) == f"lora_unet_{theirs.replace('.', '_')}"


def test_text_encoders_have_the_prefixes_of_their_family() -> None:
    layer = "text_encoder.encoder.layers.0.self_attn.q_proj"
    assert kohya_key(layer, SD1) == "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
    assert kohya_key(layer, SDXL) == "lora_te1_text_model_encoder_layers_0_self_attn_q_proj"
    second = layer.replace("text_encoder", "text_encoder_2")
    assert kohya_key(second, SDXL) == "lora_te2_text_model_encoder_layers_0_self_attn_q_proj"


def test_metadata_names_the_architecture() -> None:
    adapter = trained_like(parts_of(FAMILIES["sd1"]()), 4, 8)
    said = {
        family.version: kohya_metadata(adapter, "a", 512, "x", family)["modelspec.architecture"]
        for family in (SD1, SD2, SD2_V, SDXL)
    }
    assert said == {
        "sd_v1": "stable-diffusion-v1/lora",
        "sd_v2": "stable-diffusion-v2-512/lora",
        "sd_v2_v": "stable-diffusion-v2-768-v/lora",
        "sdxl_base_v1-0": "stable-diffusion-xl-v1-base/lora",
    }


def saved(name: str, folder: Path) -> Study:
    pipeline = FAMILIES[name]()
    pipeline.save_pretrained(folder)
    study = read_study("mini")
    images = study.images.model_copy(update={"resolution": 64})
    return study.model_copy(update={"base": Model(path=str(folder)), "images": images})


@every_family
def test_a_folder_of_each_family_loads_frozen_at_the_studys_size(name: str, tmp_path: Path) -> None:
    pipeline = load_base(saved(name, tmp_path))
    assert family_of(pipeline) == {"sd1": SD1, "sd2": SD1, "sdxl": SDXL}[name]  # a tiny one reads narrow texts
    assert pipeline.unet.config.sample_size * pipeline.vae_scale_factor == 64
    hashes = base_hashes(pipeline)
    assert list(hashes)[:3] == ["unet", "text_encoder", "vae"] and ("text_encoder_2" in hashes) == (name == "sdxl")
    assert not any(p.requires_grad for part in parts_of(pipeline).values() for p in part.parameters())


def test_other_kinds_of_models_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="x is a FluxPipeline, and LoRA is trained on"):
        pipeline_class({"_class_name": "FluxPipeline"}, "x")
