"""LoRA is fp32 whatever the precision of the base model: its weights, gradients, checkpoints and files."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file

from caplora.lora.adapter import fresh_adapter
from caplora.lora.adapter_files import write_weights
from caplora.lora.layers import target_layers
from caplora.lora.pack import Pack
from caplora.models.base import parts_of
from caplora.study.training_settings import Training
from caplora.study.variants import Variant
from caplora.training.checkpoints import Checkpoints
from caplora.training.loop import Run
from tests.tiny import tiny_inputs, tiny_pipeline

SETTINGS = Training(steps=2, batch_size=2, learning_rate=1e-2, mixed_precision="bf16")
VARIANT = Variant(rank=4, alpha=8)


def run_on(pipeline: StableDiffusionPipeline, folder: Path, settings: Training) -> Run:
    host, inputs = parts_of(pipeline), tiny_inputs()
    if settings.train_text_encoder:
        inputs = replace(inputs, texts=torch.randint(300, (5, 77)), empty=torch.randint(300, (77,)))
    pack = Pack(host, [fresh_adapter(target_layers(host, settings), VARIANT, 0)])
    return Run(pipeline, pack, inputs, settings, [Checkpoints(folder)])


@pytest.mark.fault(2)
@pytest.mark.parametrize("text_encoder", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_lora_is_fp32_on_a_base_of_any_precision(dtype: torch.dtype, text_encoder: bool, tmp_path: Path) -> None:
    pipeline, settings = tiny_pipeline(), SETTINGS.model_copy(update={"train_text_encoder": text_encoder})
    for part in (pipeline.unet, pipeline.text_encoder):
        part.to(dtype)
    run = run_on(pipeline, tmp_path / "checkpoints", settings)
    assert run.resume() == 0
    before = run.pack.weights.clone()
    run.optimise(0)
    run.news(1, wait=True)
    run.keep(1)
    assert run.stopped() == {} and not torch.equal(run.pack.weights, before)
    own = [run.pack.weights, run.gradient, *run.pack.parts]
    own += [run.optimizer.state.mean, run.optimizer.state.square]
    assert {x.dtype for x in own} == {torch.float32}
    write_weights(run.pack.adapters()[0], tmp_path / "a.safetensors", "diffusers", {})
    kept = Checkpoints(tmp_path / "checkpoints").read(1)
    files = {**load_file(tmp_path / "a.safetensors"), **kept}
    assert {x.dtype for x in files.values() if x.ndim > 1} == {torch.float32}
    frozen = {p.dtype for part in (pipeline.unet, pipeline.text_encoder) for p in part.parameters()}
    assert frozen == {dtype}
