"""comparing.py: how far two runs are apart, by the formula of each kind of file."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from caplora.lora.adapter import Adapter
from caplora.lora.adapter_files import write_weights
from caplora.study.study import Study, read_study
from caplora.study.variants import Variant
from caplora.verifying.comparing import (
    WITHIN,
    adapters_apart,
    as_json,
    compared,
    pictures_apart,
    summary,
    tables_apart,
)
from caplora.verifying.manifest import manifest_of
from tests.watching.small import small_study

LAYER = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"


def adapter(path: Path, *up: float) -> Path:
    """An adapter of rank 1 and alpha 2 that adds 2·B·A, where A is (1, 0)."""
    down, rows = torch.tensor([[1.0, 0.0]]), torch.tensor(up)[:, None]
    write_weights(Adapter(Variant(rank=1, alpha=2), {LAYER: (down, rows)}), path, "kohya", {})
    return path


def picture(path: Path, level: int, side: int = 4) -> Path:
    Image.fromarray(np.full((side, side, 3), level, dtype=np.uint8)).save(path)
    return path


def table(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_adapters_are_as_far_apart_as_what_they_add_to_the_weights(tmp_path: Path) -> None:
    one = adapter(tmp_path / "one.safetensors", 3.0, 4.0)
    assert adapters_apart(one, one) == 0
    assert adapters_apart(one, adapter(tmp_path / "other.safetensors", 3.0, 4.5)) == 0.1  # 0.5 / 5
    turned = Adapter(Variant(rank=1, alpha=2), {LAYER: (torch.tensor([[-1.0, 0.0]]), torch.tensor([[-3.0], [-4.0]]))})
    write_weights(turned, tmp_path / "turned.safetensors", "kohya", {})
    assert adapters_apart(one, tmp_path / "turned.safetensors") == 0  # other matrices, the same change
    assert adapters_apart(one, adapter(tmp_path / "longer.safetensors", 3.0, 4.0, 0.0)) == math.inf
    torn = table(tmp_path / "torn.safetensors", "no adapter")
    assert adapters_apart(one, torn) == adapters_apart(torn, one) == math.inf


def test_pictures_are_as_far_apart_as_their_pixels_on_average(tmp_path: Path) -> None:
    one, other = picture(tmp_path / "one.png", 100), picture(tmp_path / "other.png", 103)
    assert pictures_apart(one, one) == 0 and pictures_apart(one, other) == 3
    assert pictures_apart(one, picture(tmp_path / "large.png", 100, 8)) == math.inf


@pytest.mark.parametrize(
    ("other", "apart"),
    [
        ("arm,value,n\na,0.5,200\nb,,8\n", 0.0),
        ("arm,value,n\na,0.75,200\nb,,8\n", 0.25),
        ("arm,value,n\na,0.5,202\nb,,8\n", 0.01),  # relative above 1
        ("arm,value,n\na,0.5,200\nc,,8\n", math.inf),
        ("arm,value,n\na,0.5,200\nb,1,8\n", math.inf),
        ("arm,value,n\na,0.5,200\n", math.inf),
        ("arm,value\na,0.5\nb,\n", math.inf),
        ("arm,value,n,versions\na,0.5,200,torch 3\nb,,8,torch 3\n", 0.0),  # who made it is said elsewhere
    ],
)
def test_tables_are_as_far_apart_as_their_furthest_numbers(other: str, apart: float, tmp_path: Path) -> None:
    one = table(tmp_path / "one.csv", "arm,value,n\na,0.5,200\nb,,8\n")
    assert tables_apart(one, table(tmp_path / "other.csv", other)) == pytest.approx(apart)


FILES = ("runs/small/samples/baseline/0.png", "runs/small/samples/baseline/1.png", "runs/small/scores.csv")


def run_in(root: Path) -> Study:
    """A study with two samples and a table."""
    root.mkdir()
    small_study(root)
    study = read_study(root / "small.yaml")
    study.samples("baseline").mkdir(parents=True)
    for name in FILES[:2]:
        picture(root / name, 100)
    table(study.scores, "value\n0.5\n")
    return study


def states(first: Study, second: Study) -> dict[str, str]:
    was, now = manifest_of(first, ()), manifest_of(second, ())
    return {one.path: one.state for one in compared(first, was, second, now)}


def test_a_run_that_came_out_the_same_is_identical(tmp_path: Path) -> None:
    first, second = run_in(tmp_path / "first"), run_in(tmp_path / "second")
    assert states(first, second) == dict.fromkeys(FILES, "identical")


def test_what_came_out_otherwise_is_within_tolerance_different_or_not_made(tmp_path: Path) -> None:
    first, second = run_in(tmp_path / "first"), run_in(tmp_path / "second")
    own = np.full((4, 4, 3), 100, dtype=np.uint8)
    own[0, 0] = 104  # a sixteenth of the pixels, 0.25 on average
    Image.fromarray(own).save(second.samples("baseline") / "0.png")
    (second.samples("baseline") / "1.png").unlink()
    picture(second.samples("baseline") / "2.png", 100)
    table(second.scores, "value\n0.9\n")
    found = states(first, second)
    assert [found[path] for path in FILES] == ["within tolerance", "not made", "different"]
    assert found["runs/small/samples/baseline/2.png"] == "different"


def test_the_tolerance_is_wider_where_one_run_was_on_a_gpu_or_does_not_say(tmp_path: Path) -> None:
    first, second = run_in(tmp_path / "first"), run_in(tmp_path / "second")
    table(second.scores, "value\n0.52\n")
    was, now = manifest_of(first, ()), manifest_of(second, ())
    for machine, state in (({"device": "CPU"}, "different"), ({"device": "a card"}, WITHIN), ({}, WITHIN)):
        found = compared(first, replace(was, machine=machine), second, now)
        assert {one.path: one.state for one in found}["runs/small/scores.csv"] == state


def test_what_is_different_is_said_with_how_far_and_the_tolerance(tmp_path: Path) -> None:
    first, second = run_in(tmp_path / "first"), run_in(tmp_path / "second")
    table(second.scores, "value\n0.9\n")
    was, now = manifest_of(first, ()), manifest_of(second, ())
    found = list(compared(first, was, second, now))
    assert summary(found) == [
        "samples: 2 pictures, 2 identical",
        "scores: 1 table, 1 different; difference of a number up to 0.4, tolerance 0.01",
        "scores: runs/small/scores.csv is different: difference of a number 0.4, tolerance 0.01",
    ]
    rows = json.loads(as_json(found, ["torch 2 → 3"]))
    assert rows["surroundings"] == ["torch 2 → 3"] and rows["files"][2]["apart"] == pytest.approx(0.4)


def test_a_first_run_of_which_only_the_manifest_is_left_tells_what_is_different(tmp_path: Path) -> None:
    first, second = run_in(tmp_path / "first"), run_in(tmp_path / "second")
    was = manifest_of(first, ())
    was = replace(was, files=was.files | {"scores": {"runs/small/scores.csv": "0" * 64}})
    first.scores.unlink()
    [found] = [c for c in compared(first, was, second, manifest_of(second, ())) if c.state != "identical"]
    assert found.said().endswith("scores.csv is different: how far apart is not known, the first run's file is gone")
