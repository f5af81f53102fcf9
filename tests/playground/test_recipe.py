"""recipe.py and grid.py: what a person writes becomes a picture's settings, or is refused by name."""

from pathlib import Path

import pytest

from caplora.playground.grid import MOST, axis_of, grid_of
from caplora.playground.recipe import Recipe, names_of, recipe_of
from caplora.playground.shown import shown_name


def test_what_decides_nothing_makes_no_difference() -> None:
    assert recipe_of({"prompt": " a lake ", "scale": "0.3", "second_scale": 2}) == Recipe("a lake")
    assert recipe_of({"variant": "baseline"}) == Recipe()
    assert recipe_of({"second": "r4_a8", "second_scale": "0.5"}) == Recipe(variant="r4_a8", scale=0.5)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"steps": "2.5"}, "steps must be a whole number from 1 to 150, got '2.5'"),
        ({"seed": 2**32}, "seed must be a whole number from 0 to 4294967295"),
        ({"guidance": "nan"}, "guidance must be a number from 1 to 30, got 'nan'"),
        ({"second": "x", "second_scale": 9}, "second scale must be a number from -4 to 4"),
        ({"solver": "Heun"}, "scheduler must be one of DPM"),
        ({"style": "ink"}, "no setting 'style'"),
    ],
)
def test_what_cannot_be_is_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        recipe_of(values)


@pytest.mark.parametrize(
    ("setting", "text", "values"),
    [
        ("seed", "3-5, 9\n9", (3, 4, 5, 9)),
        ("scale", "-1, 0, .5", (-1.0, 0.0, 0.5)),
        ("prompt", "a lake, by night\n\na bowl", ("a lake, by night", "a bowl")),
        ("variant", "baseline, r4_a8", ("", "r4_a8")),
        ("solver", "euler a, DPM++ 2M Karras, unipc", ("euler_a", "dpmsolver++_karras", "unipc")),
    ],
)
def test_values_of_an_axis_are_read_as_they_are_written(setting: str, text: str, values: tuple[object, ...]) -> None:
    axis = axis_of(setting, text)
    assert axis.values == values and axis_of(setting, axis.written) == axis


def test_grid_has_a_row_for_each_value_down_and_a_column_for_each_across() -> None:
    grid = grid_of(Recipe("a lake", variant="r4_a8"), ("scale", "0, 1"), ("seed", "1-3"))
    assert [[(r.scale, r.seed) for r in row] for row in grid.cells] == [[(s, n) for s in (0, 1)] for n in (1, 2, 3)]
    assert grid_of(Recipe(), ("seed", "1-3"), ("", "")).cells == [[Recipe(seed=n) for n in (1, 2, 3)]]


def test_baseline_in_a_grid_has_no_other_adapter_beside_it() -> None:
    grid = grid_of(Recipe("a lake", variant="r4_a8", second="ink"), ("variant", "baseline, r8_a8"), ("", ""))
    assert [(r.variant, r.second) for r in grid.cells[0]] == [("", ""), ("r8_a8", "ink")]


@pytest.mark.parametrize(
    ("adapters", "labels"),
    [
        (["", "r4_a8"], ["baseline", "r4_a8"]),
        (["/x/ink/pytorch_lora_weights.safetensors", r"y\oil\adapter_model.safetensors"], ["ink", "oil"]),
        (["a/ink/pytorch_lora_weights.safetensors", "b/ink/pytorch_lora_weights.safetensors"], ["a/ink", "b/ink"]),
        (["a/ink.safetensors", "b/ink.safetensors", "b/oil.safetensors"], ["a/ink", "b/ink", "oil"]),
        (["r4_a8", "runs/r4_a8/pytorch_lora_weights.safetensors"], ["r4_a8", "runs/r4_a8"]),
        (["pytorch_lora_weights.safetensors"], ["pytorch_lora_weights"]),
    ],
)
def test_adapters_beside_each_other_have_labels_that_differ(adapters: list[str], labels: list[str]) -> None:
    assert names_of(adapters) == axis_of("variant", ", ".join(name or "baseline" for name in adapters)).labels == labels


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (("", ""), ("", ""), "choose one or two"),
        (("seed", "1"), ("seed", "2"), "two different settings"),
        (("seed", ""), ("", ""), "seed: write the values"),
        (("scale", "0, 1"), ("", ""), "choose the variant first"),
        (("seed", f"0-{MOST}"), ("", ""), f"grid of {MOST + 1} pictures, and {MOST} are the most"),
    ],
)
def test_grid_that_cannot_be_drawn_says_why(x: tuple[str, str], y: tuple[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        grid_of(Recipe("a lake"), x, y)


def test_two_files_of_one_name_are_asked_for_by_two(tmp_path: Path) -> None:
    paths = [tmp_path / arm / "test_000_0.png" for arm in ("baseline", "r4_a8")]
    for path in paths:
        path.parent.mkdir()
        path.touch()
    own, *names = (shown_name(path, tmp_path / "baseline") for path in (paths[0], *paths[1:], paths[1]))
    assert own == "test_000_0.png" and names[0] == names[1] != own and names[0].endswith("/test_000_0.png")
