"""peft_config.py: what peft states counts, and what it states beside LoRA or without sense is named."""

import json
from pathlib import Path

import pytest
import torch
from peft import IA3Config, LoHaConfig, LoKrConfig, LoraConfig, OFTConfig, get_peft_model
from safetensors.torch import save_file

from caplora.lora.peft_config import COUNTS, SAYS_NOTHING, Stated
from caplora.lora.reading import read_adapter
from tests.tiny import tiny_unet

QV = {"target_modules": ["to_q", "to_v"]}
OTHERS = {
    "this is peft's LOHA": LoHaConfig(r=2, **QV),
    "this is peft's LOKR": LoKrConfig(r=2, **QV),
    "this is peft's OFT": OFTConfig(oft_block_size=4, **QV),
    "this is peft's IA3": IA3Config(feedforward_modules=[], **QV),
    "use_dora = True": LoraConfig(r=2, use_dora=True, **QV),
    "modules_to_save = ": LoraConfig(r=2, modules_to_save=["conv_out"], **QV),
    "bias = 'all'": LoraConfig(r=2, bias="all", **QV),
    "lora_bias = True": LoraConfig(r=2, lora_bias=True, **QV),
    "init_lora_weights = 'olora' changed": LoraConfig(r=2, init_lora_weights="olora", **QV),
    "init_lora_weights = 'pissa' changed": LoraConfig(r=2, init_lora_weights="pissa", **QV),
}


@pytest.mark.parametrize(("said", "config"), OTHERS.items(), ids=OTHERS)
@pytest.mark.filterwarnings("ignore::UserWarning")  # of peft, on bias and on saving what changed the base model
def test_what_peft_can_do_beside_lora_is_refused_by_name(said: str, config, tmp_path: Path) -> None:
    get_peft_model(tiny_unet(), config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=rf"adapter_config\.json: {said}"):
        read_adapter(tmp_path)


def test_every_setting_of_the_installed_peft_counts_or_is_refused_or_says_nothing() -> None:
    """One that is new to caplora is refused once it is turned on."""
    settings = LoraConfig(r=2, **QV).to_dict()
    Stated("here", settings)
    assert settings.keys() >= COUNTS and SAYS_NOTHING - {"runtime_config"} <= settings.keys()
    for name in settings.keys() - COUNTS - SAYS_NOTHING:
        with pytest.raises(ValueError, match=f"here: {name} = 'on' is more than LoRA"):
            Stated("here", settings | {name: "on"})


def test_peft_without_its_config_is_refused_and_one_of_another_adapter_too(tmp_path: Path) -> None:
    model = get_peft_model(tiny_unet(), LoraConfig(r=4, lora_alpha=16, init_lora_weights=False, **QV))
    model.save_pretrained(tmp_path)
    config = tmp_path / "adapter_config.json"
    said = json.loads(config.read_text())
    config.unlink()
    with pytest.raises(ValueError, match=r"peft keeps alpha in adapter_config\.json, and there is none beside it"):
        read_adapter(tmp_path / "adapter_model.safetensors")
    config.write_text(json.dumps(said | {"r": 8}))
    with pytest.raises(ValueError, match=r"adapter_config\.json: .* rank 8, and its weights have rank 4"):
        read_adapter(tmp_path)
    config.write_text("{")
    with pytest.raises(ValueError, match=r"adapter_config\.json is no JSON"):
        read_adapter(tmp_path)


LAYER = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
DOWN, UP = torch.ones(2, 3), 0.5 * torch.ones(3, 2)  # B·A is 1 everywhere


def saved(folder: Path, settings: bytes | dict, up: float = 1.0) -> Path:
    """A folder of peft's, whose settings are these."""
    keys = (f"base_model.model.{LAYER}.lora_{matrix}.weight" for matrix in "AB")
    save_file(dict(zip(keys, (DOWN, up * UP), strict=True)), folder / "adapter_model.safetensors")
    content = settings if isinstance(settings, bytes) else json.dumps(settings).encode()
    (folder / "adapter_config.json").write_bytes(content)
    return folder


NO_NUMBERS = [None, 0, "16", "", float("nan"), float("inf"), True, [16], {}, 1e300, 1e-300, 10**400]


@pytest.mark.parametrize("name", ["r", "lora_alpha", "rank_pattern", "alpha_pattern"])
@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: repr(value)[:20])
def test_a_setting_that_is_no_number_is_refused_by_its_place(name: str, value, tmp_path: Path) -> None:
    """Beside a file, and in the metadata of one: the same settings, the same check."""
    own = {"to_k": value} if name.endswith("pattern") else value
    said = rf"{name} of 'to_k' is " if name.endswith("pattern") else f"{name} is "
    settings = {"r": 2, "lora_alpha": 4} | {name: own}
    with pytest.raises(ValueError, match=rf"adapter_config\.json: {said}.*a number of fp32 is needed"):
        read_adapter(saved(tmp_path, settings))
    metadata = {"lora_adapter_metadata": json.dumps({f"unet.{k}": v for k, v in settings.items()})}
    state = {f"unet.{LAYER}.lora_A.weight": DOWN, f"unet.{LAYER}.lora_B.weight": UP}
    save_file(state, tmp_path / "theirs.safetensors", metadata=metadata)
    with pytest.raises(ValueError, match=rf"theirs\.safetensors, lora_adapter_metadata: {said}"):
        read_adapter(tmp_path / "theirs.safetensors")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"alpha_pattern": ["to_q"]}, r"alpha_pattern is \['to_q'\], and an object is needed"),
        ({"rank_pattern": "to_q"}, "rank_pattern is 'to_q', and an object is needed"),
        ({"alpha_pattern": {"(to_q": 4}}, r"alpha_pattern has '\(to_q', no regular expression: missing \)"),
        ({"rank_pattern": {"*": 2}}, r"rank_pattern has '\*', no regular expression: nothing to repeat"),
        ({"alpha_pattern": {"a{99999999999}": 2}}, "no regular expression: the repetition number is too large"),
        ({"use_rslora": "false"}, "use_rslora is 'false', and it can be true or false"),
    ],
)
def test_patterns_that_make_no_sense_are_named(settings: dict, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"adapter_config\.json: .*{said}"):
        read_adapter(saved(tmp_path, {"r": 2, "lora_alpha": 4} | settings))


def test_an_alpha_that_makes_the_weights_infinite_is_refused_by_the_layer(tmp_path: Path) -> None:
    """8 · 0.5 in fp32 at scale 1.5e38."""
    with pytest.raises(ValueError, match=r"the scale of unet\..*to_q, 1\.5e\+38, makes its weights infinite"):
        read_adapter(saved(tmp_path, {"r": 2, "lora_alpha": 3e38}, up=8))


def test_an_alpha_that_leaves_nothing_is_said(tmp_path: Path) -> None:
    """Weights that a scale rounds to zero change nothing, as if they were zero themselves."""
    read = read_adapter(saved(tmp_path, {"r": 2, "lora_alpha": 1e-37}, up=1e-10))
    assert "so the adapter changes nothing" in read.notes[0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_settings_count_in_every_encoding_that_json_may_have(encoding: str, tmp_path: Path) -> None:
    """As PowerShell and Windows' editor save them."""
    settings = {"r": 2, "lora_alpha": 16, "base_model_name_or_path": "얼굴"}
    read = read_adapter(saved(tmp_path, json.dumps(settings, ensure_ascii=False).encode(encoding)))
    torch.testing.assert_close(read.delta(f"unet.{LAYER}"), 8 * torch.ones(3, 3, dtype=torch.float64))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{", b"\xff", b"[" * 99999, "{}".encode("utf-16")[:-1]])
def test_settings_that_are_no_json_name_their_file(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"adapter_config\.json is no JSON"):
        read_adapter(saved(tmp_path, content))
