"""adapters.py: what was trained is what every reader of the files gets, alpha included."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file

from caplora.adapters import DIFFUSERS, deltas_of, read_adapter, weights_file, write_adapter
from caplora.lora import Adapter, Pack, target_layers
from caplora.study import PROJECT, Study, read_study
from tests.tiny import tiny_pipeline, tiny_unet, trained_like


def study_in(folder: Path) -> Study:
    """The mini study, its runs in `folder`."""
    study = read_study(PROJECT / "params/studies/mini.yaml").model_copy()
    study._root = folder
    return study


def picture(pipeline: StableDiffusionPipeline) -> torch.Tensor:
    made = pipeline(
        "an ink drawing of a woman", num_inference_steps=3, guidance_scale=3.0, output_type="pt", height=32, width=32,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    return made.images


@pytest.fixture(params=[(4, 16.0), (8, 8.0), (8, 3.0)], ids=lambda v: f"r{v[0]}_a{v[1]:g}")
def adapter(request: pytest.FixtureRequest) -> Adapter:
    return trained_like(tiny_unet(), *request.param)


def test_both_files_hold_the_same_change_of_weights(adapter: Adapter, tmp_path: Path) -> None:
    study = study_in(tmp_path)
    record = write_adapter(study, adapter, [0.5, 0.25], 1.0)
    assert record["largest_error"] < 1e-7
    for path in (study.adapter(adapter.variant) / DIFFUSERS, weights_file(study, adapter.variant)):
        kept = {name.replace(".", "_"): delta for name, delta in deltas_of(path).items()}
        for name, (down, up) in adapter.weights.items():
            expected = adapter.variant.alpha / adapter.variant.rank * (up.double() @ down.double())
            torch.testing.assert_close(kept[name.replace(".", "_")], expected, rtol=0, atol=1e-7)


def test_adapter_read_back_is_the_one_written(adapter: Adapter, tmp_path: Path) -> None:
    study = study_in(tmp_path)
    write_adapter(study, adapter, [0.5], 1.0)
    again = read_adapter(weights_file(study, adapter.variant), list(adapter.weights))
    assert again.variant == adapter.variant
    assert all(torch.equal(again.weights[n][1], up) for n, (_, up) in adapter.weights.items())


@pytest.mark.parametrize("form", ["diffusers", "kohya"])
def test_diffusers_draws_with_either_file_what_we_draw(form: str, adapter: Adapter, tmp_path: Path) -> None:
    study, ours, theirs = study_in(tmp_path), tiny_pipeline(), tiny_pipeline()
    write_adapter(study, adapter, [0.5], 1.0)
    path = study.adapter(adapter.variant) / DIFFUSERS if form == "diffusers" else weights_file(study, adapter.variant)
    before = picture(theirs)
    Pack(ours.unet, [adapter]).lay()
    theirs.load_lora_weights(path.parent, weight_name=path.name)
    assert (picture(ours) - picture(theirs)).abs().max() <= 1 / 255
    assert (picture(theirs) - before).abs().max() > 1e-4, "the adapter must show"


def test_kohya_file_says_alpha_in_every_layer_and_sd1_to_forge(tmp_path: Path) -> None:
    study, adapter = study_in(tmp_path), trained_like(tiny_unet(), 4, 16)
    write_adapter(study, adapter, [0.5], 1.0)
    path = weights_file(study, adapter.variant)
    state = load_file(path)
    alphas = {k: v for k, v in state.items() if k.endswith(".alpha")}
    assert len(alphas) == len(adapter.weights) and all(v.shape == () and v == 16 for v in alphas.values())
    assert all(k.startswith("lora_unet_") for k in state)
    header = path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")]
    metadata = json.loads(header)["__metadata__"]
    assert metadata["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert metadata["ss_network_dim"] == "4" and metadata["ss_network_alpha"] == "16"


def test_settings_state_the_number_of_trained_parameters(tmp_path: Path) -> None:
    study, adapter = study_in(tmp_path), trained_like(tiny_unet(), 4, 16)
    record = write_adapter(study, adapter, [0.5, 0.25], 1.0)
    layers = target_layers(tiny_unet()).values()
    assert record["trained_parameters"] == sum(4 * (layer.in_features + layer.out_features) for layer in layers)
    assert (study.adapter(adapter.variant) / "losses.csv").read_text() == "step,loss\n1,0.5\n2,0.25\n"


def test_file_of_another_base_model_names_the_missing_layer(tmp_path: Path) -> None:
    study, adapter = study_in(tmp_path), trained_like(tiny_unet(), 4, 16)
    write_adapter(study, adapter, [0.5], 1.0)
    with pytest.raises(ValueError, match=r"no weights for layer mid_block\.other"):
        read_adapter(weights_file(study, adapter.variant), ["mid_block.other"])
