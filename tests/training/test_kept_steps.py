"""Adapters kept at several steps, and variants trained on fewer images or for epochs: each as it would be alone."""

import hashlib
import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from caplora.lora.adapter_files import weights_file
from caplora.lora.reading import read_adapter
from caplora.study.training_settings import Training
from caplora.study.variants import Variant, drawn_images
from caplora.training.checkpoints import ChangedError
from caplora.training.packs import plan_packs
from caplora.training.records import trained_on
from tests.training.test_grid import SETTINGS, VARIANTS, files_of, grid_in, run

KEEP = SETTINGS.model_copy(update={"keep": (1, 4)})
FEW = (Variant(rank=2, alpha=2), Variant(rank=2, alpha=2, images=3), Variant(rank=2, alpha=2, images=2))


def kept_of(training: Training) -> tuple[Variant, ...]:
    return tuple(v for v in training.with_steps(VARIANTS) if v.step)


@pytest.mark.parametrize("stop", [None, 1, 3, 4, 5])
def test_the_adapter_kept_at_a_step_is_that_of_a_training_interrupted_anywhere(
    tmp_path: Path, stop: int | None
) -> None:
    whole, interrupted = grid_in(tmp_path / "whole", KEEP), grid_in(tmp_path / "stopped", KEEP)
    run(whole)
    if stop:
        run(interrupted, stop)
    run(interrupted)
    assert files_of(whole, kept_of(KEEP)) == files_of(interrupted, kept_of(KEEP))
    plain = grid_in(tmp_path / "plain")
    run(plain)
    assert files_of(plain) == files_of(whole)  # keeping changes nothing that is learned
    for variant in kept_of(KEEP):
        record = json.loads((whole.study.adapter(variant) / "settings.json").read_text())
        assert (
            record["steps"]
            == variant.step
            == len((whole.study.adapter(variant) / "losses.csv").read_text().split()) - 1
        )
        weights = read_adapter(weights_file(whole.study, variant)).weights
        state = whole.checkpoints(variant.model_copy(update={"step": None})).read(variant.step or 0)
        assert {layer: up.equal(state[f"flat/{layer}/B"]) for layer, (_, up) in weights.items()} == dict.fromkeys(
            weights, True
        )


def test_a_best_checkpoint_that_is_named_is_there(tmp_path: Path) -> None:
    """Before step 5 step 2 was the best by validation; its checkpoint went when a later one was better."""
    settings = SETTINGS.model_copy(update={"keep": (5,), "validation_steps": 2, "checkpointing_steps": 1})
    grid = grid_in(tmp_path, settings)
    run(grid)
    named = 0
    for variant in (*VARIANTS, *settings.with_steps(VARIANTS)):
        folder = grid.study.adapter(variant)
        best = json.loads((folder / "settings.json").read_text())["best"]
        curve = dict(line.split(",") for line in (folder / "validation.csv").read_text().split()[1:])
        assert float(curve[str(best["step"])]) == pytest.approx(min(map(float, curve.values())))
        gone = not (grid.checkpoints(variant.model_copy(update={"step": None})).path(best["step"])).is_dir()
        assert (best["checkpoint"] is None) == gone and (gone or (folder / best["checkpoint"]).is_dir())
        named += gone
    assert named  # or nothing was tested


def test_steps_asked_for_after_they_were_passed_are_said_and_trained_anew(tmp_path: Path) -> None:
    run(grid_in(tmp_path), 3)
    late = grid_in(tmp_path, KEEP)
    with pytest.raises(ChangedError, match=r"training\.keep: step 1 was not kept"):
        run(late)
    run(late, fork=True)
    assert all(weights_file(late.study, variant).is_file() for variant in kept_of(KEEP))


def test_steps_of_another_training_are_set_aside_with_it_and_arms_of_an_experiment_have_none(tmp_path: Path) -> None:
    run(grid_in(tmp_path, KEEP))
    other = grid_in(tmp_path, SETTINGS.model_copy(update={"learning_rate": 2e-2}))
    run(other)
    assert [other.study.adapter(v).exists() for v in kept_of(KEEP)] == [False] * 4
    assert (other.study.adapter(VARIANTS[0]).parent / "r2_a2_step4~1").is_dir()
    arms = (VARIANTS[0], Variant(rank=2, alpha=2, images=3))
    grid = replace(grid_in(tmp_path / "arms", KEEP), asked=arms)
    run(grid, variants=arms)
    assert sorted(p.name for p in grid.study.adapter(arms[0]).parent.glob("*_step*")) == ["r2_a2_step1", "r2_a2_step4"]


def test_fewer_images_are_among_more_and_another_seed_draws_others() -> None:
    names = [f"{i}.png" for i in range(100)]
    sets = [drawn_images(reversed(names), n, 0) for n in (10, 25, 50, 100)]
    assert [len(own) for own in sets] == [10, 25, 50, 100] and sets[-1] == sorted(names) == drawn_images(names, None, 0)
    assert all({*few} < {*more} for few, more in pairwise(sets))
    assert sets[0] != drawn_images(names, 10, 1)
    assert {*drawn_images(names[1:], 10, 0)} >= {*sets[0]} - {names[0]}  # one that is gone moves one
    with pytest.raises(ValueError, match="there are 100 images to train on, and 101 are asked for"):
        drawn_images(names, 101, 0)


def test_near_duplicates_are_drawn_last_and_studies_without_draw_as_ever() -> None:
    names = [f"{i}.png" for i in range(30)]
    clusters = {f"{i}.png": i % 4 for i in range(12)}  # four pictures, three of each; 22 different ones
    sets = [drawn_images(names, n, 0, clusters) for n in (5, 22, 26, 30)]
    different = [len({clusters.get(name, name) for name in own}) for own in sets]
    assert different == [5, 22, 22, 22] and all({*few} < {*more} for few, more in pairwise(sets))
    assert max(Counter(clusters.get(name) for name in sets[2] if name in clusters).values()) == 2  # no third one yet
    by_hash = sorted(names, key=lambda name: hashlib.sha256(f"0 {name}".encode()).digest())
    alone = {"1.png": 1}  # of a cluster whose others are held out
    assert drawn_images(names, 7, 0, alone) == drawn_images(names, 7, 0) == sorted(by_hash[:7])


def test_training_draws_by_the_clusters_and_says_what_it_trained_on(tmp_path: Path) -> None:
    variant, grid = FEW[1], grid_in(tmp_path)
    names = list(grid.inputs.sources)
    grid = replace(grid, inputs=replace(grid.inputs, clusters=dict.fromkeys(names[:3], 1)))
    assert trained_on(grid.study, variant) == []
    run(grid, variants=(variant,))
    assert trained_on(grid.study, variant) == drawn_images(names, 3, 0, grid.inputs.clusters)
    assert len({*trained_on(grid.study, variant)} & {*names[:3]}) == 1


def test_a_variant_on_fewer_images_is_in_a_pack_what_it_is_alone_on_those_images(tmp_path: Path) -> None:
    together, alone = grid_in(tmp_path / "a"), grid_in(tmp_path / "b")
    run(together, variants=FEW)
    for variant in FEW:
        run(alone, variants=(variant,))
    for one, other in zip(files_of(together, FEW), files_of(alone, FEW), strict=True):
        assert len(one) == len(other)
    for variant in FEW:
        images = json.loads((together.study.adapter(variant) / "training.json").read_text())["images"]
        assert [*images] == drawn_images(together.inputs.sources, variant.images, 0)
        a, b = (read_adapter(weights_file(g.study, variant)) for g in (together, alone))
        assert all(a.weights[k][1].allclose(b.weights[k][1], atol=1e-5) for k in a.weights)
    one, few = (read_adapter(weights_file(together.study, v)).weights for v in FEW[:2])
    assert not all(one[k][1].allclose(few[k][1], atol=1e-5) for k in one)


def test_more_images_than_there_are_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"r2_a2_n99 asks for 99 images, and \d are trained on"):
        run(grid_in(tmp_path), variants=(Variant(rank=2, alpha=2, images=99),))


def test_epochs_are_steps_by_the_number_of_images_in_packs_of_their_own(tmp_path: Path) -> None:
    grid = grid_in(tmp_path)
    count = len(grid.inputs)
    asked = (VARIANTS[0], Variant(rank=2, alpha=2, epochs=2), Variant(rank=2, alpha=2, epochs=2, images=2))
    assert [grid.settings(v).steps for v in asked] == [6, round(2 * count / 2), 2]
    assert plan_packs(grid, asked).steps == sum({6, count, 2})  # a pack for each number of steps
    run(grid, variants=asked)
    steps = [json.loads((grid.study.adapter(v) / "settings.json").read_text())["steps"] for v in asked]
    assert steps == [6, count, 2]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc")
def test_a_training_of_many_checkpoints_leaves_the_open_files_as_they_were(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(
        update={"steps": 12, "checkpointing_steps": 1, "validation_steps": 2, "keep": (3, 7)}
    )
    run(grid_in(tmp_path / "warm"))
    before = len([*Path("/proc/self/fd").iterdir()])
    run(grid_in(tmp_path / "long", settings))
    assert len([*Path("/proc/self/fd").iterdir()]) == before
