"""commands/adapters.py: convert, merge, extract and resize come back to where they began."""

from pathlib import Path

import pytest
import torch

from caplora.commands import main
from caplora.commands.adapters import pipeline_at
from caplora.lora.adapter_files import write_weights
from caplora.lora.pack import Pack
from caplora.lora.reading import read_adapter
from caplora.models.base import parts_of
from tests.lora.test_adapter_files import picture
from tests.lora.test_merging import small
from tests.tiny import tiny_pipeline


def test_commands_go_round(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, adapter = tmp_path / "base", small()
    tiny_pipeline().save_pretrained(base)
    write_weights(adapter, tmp_path / "a.safetensors", "diffusers", {})
    out = [str(tmp_path / name) for name in ("k.safetensors", "merged", "x.safetensors", "low.safetensors")]
    assert main(["convert", str(tmp_path / "a.safetensors"), "--to", "kohya", "--out", out[0]]) == 0
    assert main(["merge", out[0], "--base", str(base), "--out", out[1]]) == 0
    assert main(["extract", "--base", str(base), "--tuned", out[1], "--rank", "4", "--out", out[2]]) == 0
    assert main(["resize", out[2], "--rank", "2", "--out", out[3]]) == 0
    said = capsys.readouterr().out
    assert f"{len(adapter.weights)} layers" in said
    extracted = read_adapter(Path(out[2]))
    for layer in adapter.weights:
        torch.testing.assert_close(extracted.delta(layer), adapter.delta(layer), rtol=1e-3, atol=1e-5)
    assert read_adapter(Path(out[3])).variant.rank == 2
    merged = pipeline_at(out[1])
    live = tiny_pipeline()
    Pack(parts_of(live), [adapter]).lay()
    merged.scheduler = live.scheduler
    assert (picture(merged) - picture(live)).abs().max() <= 1 / 255
    assert main(["extract", "--base", str(base), "--tuned", str(base), "--out", out[2]]) == 2
    assert "nothing to extract" in capsys.readouterr().err
