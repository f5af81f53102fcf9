"""base.py: the base model comes frozen, in one precision, with its own noise schedule."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from caplora.models import base
from caplora.models.base import config_of, load_base, read_pipeline
from caplora.models.devices import DTYPES, precision_of
from caplora.models.texts import encode_texts
from caplora.sampling.drawing import decode
from caplora.study.study import Study, read_study
from tests.hostile import Trap, lay_code
from tests.sending import sending


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study("mini")


def test_every_part_is_frozen_and_in_fp32_on_a_cpu(study: Study) -> None:
    if torch.cuda.is_available():
        pytest.skip("on a card the UNet and the text encoder are in 16 bit")
    pipeline = load_base(study)
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        assert {p.dtype for p in part.parameters()} == {torch.float32}
        assert not any(p.requires_grad for p in part.parameters()) and not part.training


@pytest.mark.fault(4)
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_the_vae_stays_in_fp32_where_all_else_is_in_16_bit(
    study: Study, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "precision_of", lambda device, asked: precision)
    pipeline = load_base(study)
    assert {p.dtype for p in pipeline.vae.parameters()} == {torch.float32}
    for part in (pipeline.unet, pipeline.text_encoder):
        assert {p.dtype for p in part.parameters()} == {DTYPES[precision]}
    shape = (1, pipeline.vae.config.latent_channels, 8, 8)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=DTYPES[precision])
    [image], [flag] = decode(pipeline, latents.to(pipeline.device))
    assert flag == "" and image.getbbox() is not None


def copied(study: Study, folder: Path) -> Path:
    """The study's base model, to be spoilt."""
    return Path(shutil.copytree(study.model_path(study.base), folder))


@pytest.mark.fault(29)
@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler", "extra"])
def test_code_that_comes_with_a_part_of_a_base_is_not_run(study: Study, part: str, tmp_path: Path) -> None:
    folder = copied(study, tmp_path / "hostile")
    lay_code(folder / part, tmp_path / "ran")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {part: ["evil", "Evil"]}))
    with pytest.raises(ValueError, match=rf"hostile makes its {part} with 'evil' .*code of its own"):
        read_pipeline(str(folder), None, torch.float32)
    assert not (tmp_path / "ran").exists()


@pytest.mark.fault(29)
def test_code_that_the_configs_of_a_base_name_is_not_run(study: Study, tmp_path: Path) -> None:
    folder = copied(study, tmp_path / "hostile")
    for path in (folder / "text_encoder" / "config.json", folder / "tokenizer" / "tokenizer_config.json"):
        lay_code(path.parent, tmp_path / "ran")
        named = {"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil", "AutoTokenizer": ["evil.Evil", "evil.Evil"]}
        path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": named}))
    assert read_pipeline(str(folder), None, torch.float32).tokenizer("a face").input_ids
    assert not (tmp_path / "ran").exists()


@pytest.mark.fault(25)
def test_a_file_of_a_base_that_is_cut_off_on_its_way_is_an_error_and_none_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, revision = json.dumps({"_class_name": "StableDiffusionPipeline"}).encode(), "b" * 40
    with sending(content, "cut", tmp_path, monkeypatch), pytest.raises(OSError, match="size"):
        config_of("owner/base", revision, "model_index.json")
    with sending(content, "whole", tmp_path, monkeypatch) as server:
        assert config_of("owner/base", revision, "model_index.json") == json.loads(content)
    assert server.asked == [f"/owner/base/resolve/{revision}/model_index.json"]


@pytest.mark.fault(28)
@pytest.mark.parametrize(
    ("weights", "pickled"),
    [
        ("unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.bin"),
        ("vae/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.bin"),
        ("text_encoder/model.safetensors", "text_encoder/pytorch_model.bin"),
    ],
)
def test_a_base_whose_weights_are_pickles_is_refused_unread(
    study: Study, weights: str, pickled: str, tmp_path: Path
) -> None:
    folder = copied(study, tmp_path / "pickled")
    (folder / weights).unlink()
    torch.save(Trap(tmp_path / "sprung"), folder / pickled)
    with pytest.raises(OSError, match="safetensors"):
        read_pipeline(str(folder), None, torch.float32)
    assert not (tmp_path / "sprung").exists()


def test_schedule_is_the_models_own(study: Study) -> None:
    config = load_base(study).scheduler.config
    assert (config.beta_start, config.beta_end, config.beta_schedule) == (0.00085, 0.012, "scaled_linear")


def test_prompts_that_differ_in_one_word_are_told_apart(study: Study) -> None:
    pipeline = load_base(study)
    red, blue = encode_texts(pipeline, ["a woman with red hair", "a woman with blue hair"])
    assert (red - blue).abs().max() > 0.1


@pytest.mark.fault(3)
def test_precision_is_the_studys_or_the_devices() -> None:
    assert precision_of(torch.device("cpu")) == "no"
    assert precision_of(torch.device("cpu"), "bf16") == "bf16"
    assert precision_of(torch.device("cuda"), "fp16") == "fp16"
    with pytest.raises(ValueError, match="fp16, which needs a GPU"):
        precision_of(torch.device("cpu"), "fp16")


def test_missing_model_is_an_error_that_names_it(study: Study) -> None:
    gone = study.model_copy(update={"base": study.base.model_copy(update={"path": "caplora/mini/models/nothing"})})
    with pytest.raises(FileNotFoundError, match=r"caplora/mini/models/nothing"):
        load_base(gone)
