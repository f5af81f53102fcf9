"""reading.py, other_kinds.py: what is no LoRA, and what cannot be used, is named with the way out."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from caplora.commands import main
from caplora.lora.adapter_files import write_weights
from caplora.lora.reading import read_adapter
from tests.tiny import host_of, tiny_pipeline, tiny_unet, trained_like

LAYER = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
ONES, ALSO = torch.ones(2, 2), torch.ones(2, 2)
PAIR = {f"{LAYER}.lora_down.weight": ONES, f"{LAYER}.lora_up.weight": ALSO}


@pytest.mark.parametrize("command", ["convert", "resize", "merge", "sample"])
@pytest.mark.parametrize("bad", ["nan", "inf", "cut"])
def test_every_command_names_the_file_that_cannot_be_used_and_writes_nothing(
    command: str, bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_weights(trained_like(host_of(tiny_unet()), 4, 4), path := tmp_path / "theirs.safetensors", "kohya", {})
    if bad == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        state = load_file(path)
        name = next(key for key in state if key.endswith("attn2_to_v.lora_up.weight"))
        state[name][3, 1] = float(bad)
        save_file(state, path)
    if command in ("merge", "sample"):
        tiny_pipeline().save_pretrained(tmp_path / "base")
    out, base = str(tmp_path / "out.safetensors"), str(tmp_path / "base")
    words = {
        "convert": [str(path), "--to", "diffusers", "--out", out],
        "resize": [str(path), "--rank", "2", "--out", out],
        "merge": [str(path), "--base", base, "--out", out],
        "sample": ["--pretrained_model", base, "--lora_weights", str(path), "--prompt", "a", "--resolution", "32",
                   "--output_dir", out],
    }  # fmt: skip
    assert main([command, *words[command]]) == 2
    said = capsys.readouterr().err
    where = "is cut off" if bad == "cut" else f"1 of the 64 numbers of {name!r} are NaN or infinite"
    assert str(path) in said and where in said and "Traceback" not in said
    assert not list(Path(out).glob("*/*.png")) and not Path(out).is_file()


KINDS = {  # keys as each program writes them → what the file is called
    "LoHa": [f"{LAYER}.hada_w1_a", "unet.mid_block.attn1.to_q.hada_w1_a"],
    "LoKr": [f"{LAYER}.lokr_w1", f"{LAYER}.lokr_w2_a"],
    "DoRA": [f"{LAYER}.dora_scale", "unet.mid_block.attn1.to_q.lora_magnitude_vector"],
    "OFT": [f"{LAYER}.oft_blocks", f"{LAYER}.oft_diag", "base_model.model.mid_block.to_q.boft_R"],
    "GLoRA": [f"{LAYER}.a1.weight", f"{LAYER}.b2.weight"],
    r"\(IA\)³": [f"{LAYER}.on_input", "base_model.model.mid_block.to_q.ia3_l"],
    "whole differences": [f"{LAYER}.diff", f"{LAYER}.diff_b", f"{LAYER}.w_norm"],
    "biases": [f"{LAYER}.bias_indices", "unet.mid_block.to_q.lora_B.bias", "base_model.model.mid_block.to_q.bias"],
    "AdaLoRA": ["base_model.model.mid_block.to_q.lora_E"],
    "embeddings": ["base_model.model.text_model.embeddings.token_embedding.lora_embedding_A"],
    "textual inversion": ["emb_params", "clip_g"],
    "whole model": ["model.diffusion_model.input_blocks.0.0.weight", "cond_stage_model.x"],
    "another model": [
        "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight", "lora_te3_encoder.lora_up.weight",
        "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight", "diffusion_model.double_blocks.0.lora_A.weight",
        "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight",
    ],
    "modules_to_save": ["base_model.model.conv_out.weight"],
    "no part of a LoRA": [
        f"{LAYER}.something", "unet.mid_block.attn1.to_q.weight", "lora_unet_down_blocks_0_foo_bar.alpha",
        "unet.down_blocks.0.attentions.0.lora_A.weight", "lora_te_foo.lora_up.weight", "__x__",
        "base_model.model.model.layers.0.self_attn.qkv_proj.lora_A.weight", "lora_unet_input_blocks_40_0_op.alpha",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "key"), [(kind, key) for kind, keys in KINDS.items() for key in keys])
def test_an_adapter_of_another_kind_is_refused_by_its_name(kind: str, key: str, tmp_path: Path) -> None:
    """Beside a whole LoRA: what is no part of it is never dropped."""
    save_file(PAIR | {key: torch.ones(2)}, tmp_path / "theirs.safetensors")
    (tmp_path / "adapter_config.json").write_text('{"r": 2}')  # which counts for keys of peft alone
    with pytest.raises(ValueError, match=rf"theirs\.safetensors: .*{kind}.*{key}|'{key}' is {kind}"):
        read_adapter(tmp_path / "theirs.safetensors")


FP4 = torch.zeros(2, 2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
EMPTY = (torch.ones(0, 2), torch.ones(2, 0))


def in_three(*shapes: tuple[int, ...]) -> dict[str, Tensor]:
    return {f"{LAYER}.lora_{k}.weight": torch.ones(v) for k, v in zip(("down", "mid", "up"), shapes, strict=True)}


def with_alpha(alpha: Tensor) -> dict[str, Tensor]:
    return PAIR | {f"{LAYER}.alpha": alpha}


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({}, "holds no tensors"),
        ({f"{LAYER}.lora_down.weight": ONES}, r"layer unet\.mid_block.*to_q lacks its up weight"),
        ({f"{LAYER}.alpha": torch.ones(1)}, "lacks its down and up weight"),
        ({"lora_unet_input_blocks_4.alpha": torch.ones(1)}, r"theirs\.safetensors: .* is no layer of SDXL"),
        (PAIR | {f"{LAYER}.lora_up.weight": torch.ones(2, 3)}, r"do not fit each other: down \(2, 2\) and up \(2, 3\)"),
        (PAIR | {f"{LAYER}.lora_up.weight": torch.ones(2, 2, 3, 3)}, "do not fit each other"),
        (PAIR | {f"{LAYER}.lora_up.weight": torch.ones(2)}, "do not fit each other"),
        (PAIR | {f"{LAYER}.lora_up.weight": torch.ones(2, 2, 1)}, "do not fit each other"),
        (PAIR | {f"{LAYER}.lora_mid.weight": torch.ones(2, 2, 3, 3)}, "do not fit each other"),
        (in_three((4, 8, 1, 1), (8, 4, 3, 3), (8, 4, 1, 1)), "do not fit each other: down .* mid .*8, 4, 3, 3"),
        (in_three((4, 8, 1, 1), (4,), (8, 4, 1, 1)), "do not fit each other"),
        (in_three((4, 8, 1, 1), (4, 4, 3, 3), (8, 4, 3, 3)), "do not fit each other"),
        (with_alpha(torch.ones(())) | dict(zip(PAIR, EMPTY, strict=True)), r"weights without numbers: down \(0, 2\)"),
        (
            PAIR | {f"{LAYER}.lora_up.weight": torch.ones(2, 2, dtype=torch.int8)},
            "holds numbers of type int8: quantised",
        ),
        (PAIR | {f"{LAYER}.lora_up.weight": FP4}, "holds numbers of type float4_e2m1fn_x2: quantised"),
        (with_alpha(torch.tensor(True)), r"to_q\.alpha' holds numbers of type bool"),
        (with_alpha(torch.zeros(())), r"the alpha of unet.* is 0\.0, and one number is needed that is not 0"),
        (with_alpha(torch.ones(2)), r"is \[1\.0, 1\.0\], and one number is needed"),
        (with_alpha(torch.tensor(float("nan"))), r"1 of the 1 numbers of '.*\.alpha' are NaN"),
        (
            PAIR | {"unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight": 2 * ONES},
            r"has two different down weights, the second under 'unet\.mid_block",
        ),
    ],
)
def test_weights_that_cannot_be_used_name_the_layer(tensors: dict, said: str, tmp_path: Path) -> None:
    save_file({k: v.clone() for k, v in tensors.items()}, tmp_path / "theirs.safetensors")
    with pytest.raises(ValueError, match=said) as refused:
        read_adapter(tmp_path / "theirs.safetensors")
    assert str(tmp_path / "theirs.safetensors") in str(refused.value)


def test_a_kernel_larger_than_any_is_refused_before_it_is_multiplied_out(tmp_path: Path) -> None:
    """Of 3 MB this one would make 3 TB."""
    stem, path = "lora_unet_down_blocks_0_resnets_0_conv1.lora_", tmp_path / "theirs.safetensors"
    small = {
        "down": torch.ones(1, 400_000, 1, 1),
        "mid": torch.ones(1, 1, 4, 400_000 // 4),
        "up": torch.ones(4, 1, 1, 1),
    }
    save_file({f"{stem}{role}.weight": value for role, value in small.items()}, path)
    with pytest.raises(ValueError, match=r"theirs\.safetensors: layer unet.*conv1 has a kernel of 100000: 3 is"):
        read_adapter(path)


def test_an_alpha_and_metadata_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    said = {"lora_adapter_metadata": json.dumps({"unet.r": 2, "unet.lora_alpha": 8})}
    state = {k: v.clone() for k, v in with_alpha(torch.tensor(2.0)).items()}
    save_file(state, tmp_path / "theirs.safetensors", metadata=said)
    with pytest.raises(ValueError, match="has scale 1 by its alpha and 4 by the metadata"):
        read_adapter(tmp_path / "theirs.safetensors")


def test_an_adapter_that_changes_nothing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "theirs.safetensors"
    save_file(PAIR | {f"{LAYER}.lora_up.weight": torch.zeros(2, 2)}, path)
    assert main(["convert", str(path), "--to", "diffusers", "--out", str(tmp_path / "out.safetensors")]) == 0
    assert f"{path}: every layer's A or B is zero, so the adapter changes nothing" in capsys.readouterr().out
