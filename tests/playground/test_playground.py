"""playground.py: what the widget draws, says and recalls, spoken to as its front end does."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from caplora.lora.adapter_files import weights_file, write_weights
from caplora.models.base import parts_of
from caplora.playground.playground import Playground
from caplora.playground.recipe import recipe_of
from caplora.sampling.arms import claim, study_arms
from caplora.sampling.jobs import plan_jobs, sample
from caplora.sampling.samples import said_of, save_picture
from caplora.study.files import write_text
from caplora.study.study import Study
from caplora.study.training_settings import Training
from caplora.study.variants import Variant
from tests.tiny import FAMILIES, TRAINING, trained_like

VARIANTS = [Variant(rank=4, alpha=8), Variant(rank=8, alpha=8)]
SAMPLING = {
    "development": ["an ink drawing of a woman", "a photo of a man, smiling"],
    "test": ["by the sea", "in a park"],
    "num_inference_steps": 2,
    "guidance_scale": 3.0,
}
Opened = Callable[..., Playground]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Opens the playground of a study whose variants are trained, with a tiny base model."""
    study = Study.model_validate_json(json.dumps({"name": "tiny", "images": {"folder": "."}, "sampling": SAMPLING}))
    study._root = tmp_path

    def open_(
        trained: int = 2, family: str = "sd1", settings: Training = TRAINING, variants: Sequence[Variant] = VARIANTS
    ) -> Playground:
        pipeline = FAMILIES[family]()
        for i, variant in enumerate(variants[:trained]):
            adapter = trained_like(parts_of(pipeline), variant.rank, variant.alpha, seed=i, settings=settings)
            write_weights(adapter, weights_file(study, variant), "kohya", {})
        return Playground(study, variants, pipeline)

    return open_


def do(playground: Playground, what: str, **more: Any) -> dict[str, Any]:
    """Send what the front end sends and wait until it is done; the view after it."""
    form = {**playground.controls, **more.pop("form", {})}
    form["recipe"] = {name: str(value) for name, value in (form["recipe"] | more.pop("recipe", {})).items()}
    playground._received(playground, {"do": what, **form, **more}, [])
    playground.work.wait()
    return playground.view


def bytes_of(playground: Playground) -> dict[str, bytes]:
    """Every picture on disk, by name."""
    return {name: path.read_bytes() for name, path in playground._names().items()}


def test_it_opens_with_the_adapter_that_was_chosen_or_else_with_a_whole_training(opened: Opened) -> None:
    variants = TRAINING.model_copy(update={"steps": 9, "keep": (3, 6)}).with_steps(VARIANTS)

    def first(trained: int = len(variants)) -> str:
        return opened(trained, variants=variants).controls["recipe"]["variant"]

    assert first(0) == "" and first(2) == "r4_a8_step3"  # killed before its end was written
    assert first() == "r4_a8"
    study = opened(0).pictures.study
    for chosen in ("r8_a8_step6", "r99_a1"):
        write_text(study.choice, f"variant,chosen\nbaseline,False\n{chosen},True\n")
        assert first() == (chosen if chosen in {v.name for v in variants} else "r4_a8")


def test_baseline_is_drawn_beside_the_variant_from_the_same_noise(opened: Opened) -> None:
    playground = opened()
    view = do(playground, "draw", recipe={"seed": 7})
    assert view["shown"]["columns"] == ["baseline", "r4_a8 at 1"] and not view["failed"]
    [[base, worn]] = view["shown"]["rows"]
    said = [said_of(playground.pictures.folder / name) for name in (base, worn)]
    assert [s["noise"] for s in said] == [7, 7] and said[0]["made"]["adapter"] is None
    assert bytes_of(playground)[base] != bytes_of(playground)[worn]


def test_scale_zero_draws_the_pixels_of_the_baseline(opened: Opened) -> None:
    playground = opened()
    [[base, worn]] = do(playground, "draw", recipe={"scale": 0})["shown"]["rows"]
    one, other = (Image.open(playground.pictures.folder / name).tobytes() for name in (base, worn))
    assert one == other


def test_what_was_drawn_comes_from_disk(opened: Opened) -> None:
    playground = opened()
    do(playground, "draw")
    times = {p: p.stat().st_mtime_ns for p in playground._names().values()}
    assert "drawn before" in do(playground, "draw")["said"]
    assert {p: p.stat().st_mtime_ns for p in playground._names().values()} == times


@pytest.mark.parametrize("solver", ["dpmsolver++_karras", "euler_a", "unipc"])
def test_picture_recalled_from_its_file_is_drawn_again_to_the_byte(opened: Opened, tmp_path: Path, solver: str) -> None:
    playground = opened()
    recipe = {
        "prompt": "a lake",
        "negative": "a man",
        "seed": 11,
        "solver": solver,
        "second": "r8_a8",
        "second_scale": 0.4,
    }
    [[_, name]] = do(playground, "draw", recipe=recipe)["shown"]["rows"]
    first = bytes_of(playground)[name]
    kept = tmp_path / "kept.png"
    shutil.move(playground.pictures.folder / name, kept)
    again = opened()
    view = do(again, "recall", path=str(kept))
    assert view["notes"] == [] and recipe_of(view["controls"]["recipe"]) == recipe_of(playground.controls["recipe"])
    assert do(again, "draw")["shown"]["rows"][0][1] == name
    assert bytes_of(again)[name] == first


def test_cell_of_a_grid_is_drawn_again_to_the_byte_though_it_was_drawn_among_others(opened: Opened) -> None:
    playground = opened()
    view = do(playground, "grid", form={"x": ["scale", "0.5, 1"], "y": ["seed", "0-2"]})
    assert [len(row) for row in view["shown"]["rows"]] == [2, 2, 2] and "in one picture" in view["said"]
    name = view["shown"]["rows"][2][1]
    assert said_of(playground.pictures.folder / name)["together"] == [3, 2]
    first = bytes_of(playground)[name]
    again = opened()
    recalled = do(again, "recall", name=name)["controls"]["recipe"]
    assert (recalled["scale"], recalled["seed"]) == (1.0, 2)
    (again.pictures.folder / name).unlink()
    do(again, "draw", form={"beside": False})
    assert bytes_of(again)[name] == first


def test_grid_is_one_labelled_picture_and_each_cell_a_picture_of_its_own(opened: Opened) -> None:
    playground = opened()
    form = {"x": ["variant", "baseline, r4_a8, r8_a8"], "y": ["prompt", "a lake\na bowl"]}
    view = do(playground, "grid", form=form)
    assert view["shown"]["columns"] == ["baseline", "r4_a8", "r8_a8"] and view["shown"]["labels"] == [
        "a lake",
        "a bowl",
    ]
    cells = [name for row in view["shown"]["rows"] for name in row]
    assert [said_of(playground.pictures.folder / name)["prompt"] for name in cells] == ["a lake"] * 3 + ["a bowl"] * 3
    [whole] = playground.pictures.folder.glob("grids/*.png")
    recalled = do(opened(), "recall", name=f"grids/{whole.name}")
    assert recalled["controls"]["x"] == ["variant", "baseline, r4_a8, r8_a8"]
    assert recalled["shown"]["rows"] == view["shown"]["rows"]


@pytest.mark.parametrize("setting", ["steps", "guidance", "solver", "negative", "second_scale"])
def test_any_setting_is_an_axis(opened: Opened, setting: str) -> None:
    values = {
        "steps": "1-3",
        "guidance": "1, 3.5",
        "solver": "Euler a, DDIM",
        "negative": "a man\na cat",
        "second_scale": "0, 1",
    }
    playground = opened()
    view = do(playground, "grid", recipe={"second": "r8_a8"}, form={"x": [setting, values[setting]], "y": ["", ""]})
    assert not view["failed"] and len(set(view["shown"]["rows"][0])) == (3 if setting == "steps" else 2)


def test_number_of_pictures_and_the_time_are_said_before_a_grid_is_drawn(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    playground, sent = opened(), []
    monkeypatch.setattr(playground, "send", lambda content, buffers=None: sent.append(content))
    form = {"x": ["scale", "0.5, 1"], "y": ["seed", "0-4"]}
    do(playground, "look", form=form, grid=True)
    assert sent[-1]["look"].startswith("10 pictures: about ") and not bytes_of(playground)
    do(playground, "draw", form={"beside": False})  # which is one of them
    do(playground, "look", form=form, grid=True)
    assert sent[-1]["look"].startswith("10 pictures, 1 of them drawn before: about ")
    do(playground, "look", form={"x": ["scale", "0.5, x"]}, grid=True)
    assert sent[-1]["wrong"] and sent[-1]["look"] == "scale must be a number from -4 to 4, got 'x'"
    assert sent[-1]["tokens"]["prompt"][0] > 0


def test_picture_of_an_adapter_that_changed_says_so(opened: Opened) -> None:
    playground = opened()
    [[_, name]] = do(playground, "draw")["shown"]["rows"]
    adapter = trained_like(parts_of(playground.pictures.pipeline), 4, 8, seed=9)
    write_weights(adapter, weights_file(playground.pictures.study, VARIANTS[0]), "kohya", {})
    [note] = do(playground, "recall", name=name)["notes"]
    assert "tiny_r4_a8 has changed" in note
    assert do(playground, "draw")["shown"]["rows"][0][1] != name


def test_adapter_of_other_people_draws_by_its_path(opened: Opened, tmp_path: Path) -> None:
    playground = opened(0)
    assert "Nothing is trained yet" in playground.view["told"] and playground.view["variants"] == []
    file = tmp_path / "theirs.safetensors"
    write_weights(trained_like(parts_of(playground.pictures.pipeline), 3, 5, seed=4), file, "kohya", {})
    view = do(playground, "draw", recipe={"variant": str(file)})
    assert view["shown"]["columns"] == ["baseline", "theirs at 1"] and "" not in view["shown"]["rows"][0]


def test_what_goes_wrong_is_said_and_loses_nothing(opened: Opened, tmp_path: Path) -> None:
    playground = opened()
    shown = do(playground, "draw")["shown"]
    (tmp_path / "bad.safetensors").write_bytes(b"not an adapter")
    (tmp_path / "empty.png").write_bytes(b"")
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    wrong = {
        "there is no adapter 'gone.safetensors'": {"variant": "gone.safetensors"},
        "not done": {"variant": str(tmp_path / "bad.safetensors")},
        "would be lost; shorten it": {"prompt": "a photo of a woman " * 40},
        "steps must be a whole number from 1 to 150, got '0'": {"steps": 0},
        "seed must be": {"seed": "x"},
    }
    for words, recipe in wrong.items():
        view = do(playground, "draw", recipe=recipe)
        assert view["failed"] and words in view["said"] and view["shown"] == shown
    for path, words in {
        "plain.png": "does not say how",
        "empty.png": "does not say how",
        "no.png": "no picture",
    }.items():
        view = do(playground, "recall", path=str(tmp_path / path))
        assert view["failed"] and words in view["said"]
    assert not do(playground, "draw", recipe={"seed": 3})["failed"]


def test_drawing_that_is_stopped_keeps_what_is_drawn_and_leaves_the_base_as_it_was(opened: Opened) -> None:
    playground = opened()
    before = playground.pictures.base["base"]
    step, steps = playground.work.step, []

    def stopping(count: int) -> None:
        steps.append(count)
        if len(steps) == 3:  # in the second batch
            playground.work.stop()
        step(count)

    playground.work.step = stopping  # type: ignore[method-assign]
    view = do(playground, "draw")
    assert view["said"].startswith("stopped") and not view["busy"] and playground.progress == {}
    base, worn = view["shown"]["rows"][0]
    assert base and not worn
    del playground.pictures.__dict__["base"]
    assert playground.pictures.base["base"] == before


def test_only_pictures_that_are_known_are_sent(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    playground = opened()
    [[base, _]] = do(playground, "draw")["shown"]["rows"]
    sent: list[tuple[dict[str, Any], list[bytes]]] = []
    monkeypatch.setattr(playground, "send", lambda content, buffers=None: sent.append((content, buffers)))
    for side in (0, 96):
        do(playground, "pictures", names=[base, "../secret.png"], side=side)
    assert [content["pictures"] for content, _ in sent] == [[base], [base]]
    assert sent[0][1] == [bytes_of(playground)[base]] and sent[1][1][0].startswith(b"\xff\xd8")


def test_playground_opened_twice_draws_one_thing_at_a_time(opened: Opened) -> None:
    first, second = opened(), opened()
    with first.work.going:
        assert "a drawing is going on" in do(second, "draw")["said"]
    assert not do(second, "draw")["failed"]


@pytest.mark.parametrize("grid", [False, True])
def test_second_click_on_draw_is_no_failure_of_the_first(opened: Opened, grid: bool) -> None:
    playground, what = opened(), "grid" if grid else "draw"
    draw, clicks = playground.pictures.draw, []

    def clicked(*given: Any) -> Any:
        playground._received(playground, {"do": what, **playground.controls}, [])
        clicks.append((playground.failed, playground.said))
        yield from draw(*given)

    playground.pictures.draw = clicked  # type: ignore[method-assign]
    view = do(playground, what)
    assert clicks[0][0] and "a drawing is going on" in clicks[0][1]
    assert not view["failed"] and ("in one picture" if grid else "drawn") in view["said"]


@pytest.mark.parametrize(
    ("rng", "noted"), [(", RNG: CPU", False), (", RNG: NV", True), (", RNG: GPU", True), ("", True)]
)
def test_noise_of_another_kind_is_said(opened: Opened, tmp_path: Path, rng: str, noted: bool) -> None:
    info = PngInfo()
    info.add_text("parameters", f"a lake\nSteps: 20, Sampler: Euler, Seed: 5{rng}")
    Image.new("RGB", (8, 8)).save(tmp_path / "theirs.png", pnginfo=info)
    notes = do(opened(), "recall", path=str(tmp_path / "theirs.png"))["notes"]
    assert ("its noise may be another" in " ".join(notes)) == noted


@pytest.mark.parametrize("texts", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_sample_of_the_study_is_recalled_and_drawn_again(opened: Opened, family: str, texts: bool) -> None:
    playground = opened(family=family, settings=TRAINING.model_copy(update={"train_text_encoder": texts}))
    pictures = playground.pictures
    arms = study_arms(pictures.study, VARIANTS, pictures.pipeline)
    claim(arms)
    list(sample(pictures.pipeline, plan_jobs(arms[:2], pictures.study.sampling), pictures.study.sampling))
    wanted = arms[1].wanted[0]
    path = arms[1].folder / wanted.file_name
    view = do(playground, "recall", path=str(path))
    assert view["notes"] == [] and view["controls"]["recipe"]["seed"] == wanted.noise
    [[_, name]] = do(playground, "draw")["shown"]["rows"]
    ours, theirs = (np.asarray(Image.open(p).convert("RGB"), dtype=int) for p in (pictures.folder / name, path))
    assert said_of(pictures.folder / name)["made"]["adapter"] == said_of(path)["made"]["adapter"]
    assert np.abs(ours - theirs).max() <= 1  # it was drawn in a larger batch


def test_picture_of_a1111_is_taken_over_and_the_rest_is_said(opened: Opened, tmp_path: Path) -> None:
    text = """portrait of a (woman:1.2) <lora:ink:0.8>
Negative prompt: lowres
Steps: 28, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 12345, Size: 512x768, Clip skip: 2, Version: v1.5.1"""
    info = PngInfo()
    info.add_text("parameters", text)
    Image.new("RGB", (8, 8)).save(tmp_path / "theirs.png", pnginfo=info)
    view = do(opened(), "recall", path=str(tmp_path / "theirs.png"))
    taken = {"negative": "lowres", "seed": 12345, "steps": 28, "guidance": 6.5, "solver": "dpmsolver++_karras"}
    assert taken.items() <= view["controls"]["recipe"].items()
    said = " ".join(view["notes"])
    assert "ink at 0.8" in said and "512x768, and 32x32" in said and "Clip skip: 2" in said and "weights" in said


def test_settings_that_a_picture_says_are_checked(opened: Opened, tmp_path: Path) -> None:
    playground = opened()
    wrong = [{"recipe": {"steps": 10**9}}, {"recipe": []}, {"recipe": {"prompt": "x"}}, {"noise": 1}]
    for number, said in enumerate(wrong):
        save_picture(Image.new("RGB", (8, 8)), tmp_path / f"{number}.png", "", said)
        view = do(playground, "recall", path=str(tmp_path / f"{number}.png"))
        assert view["failed"] and "not done" in view["said"]
