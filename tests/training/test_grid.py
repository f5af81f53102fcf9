"""grid.py, packs.py: a study's variants become adapters, whatever interrupts them, and never another training's."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from caplora.figures.losses import read_curves
from caplora.lora.adapter_files import weights_file
from caplora.lora.reading import read_adapter
from caplora.sampling.drawing import decode
from caplora.sampling.jobs import Drawing
from caplora.sampling.prompts import Texts
from caplora.sampling.samples import wanted_samples
from caplora.sampling.training_previews import previews
from caplora.study.files import BusyError, only_writer
from caplora.study.reading import PROJECT
from caplora.study.study import read_study
from caplora.study.training_settings import Prior, Training
from caplora.study.variants import Variant
from caplora.training.checkpoints import ChangedError
from caplora.training.grid import CADENCE, Grid, claim
from caplora.training.loop import Step
from caplora.training.packs import plan_packs, train_grid
from caplora.training.records import read_records
from tests.tiny import captioned_inputs, tiny_inputs, tiny_pipeline

SETTINGS = Training(steps=6, batch_size=2, learning_rate=1e-2, checkpointing_steps=2, validation_steps=3)
VARIANTS = (Variant(rank=2, alpha=2), Variant(rank=4, alpha=8))


def grid_in(root: Path, settings: Training = SETTINGS, inputs_seed: int = 0) -> Grid:
    """Two variants of a tiny base, everything in `root`."""
    study = read_study(PROJECT / "params/studies/mini.yaml").model_copy(update={"training": settings})
    study._root = root
    return Grid(study, tiny_pipeline(), tiny_inputs(seed=inputs_seed), tiny_inputs(3, seed=9))


def run(
    grid: Grid, steps: int | None = None, fork: bool = False, variants: tuple[Variant, ...] = VARIANTS
) -> list[Step]:
    """Claim, plan and train, stopping as if interrupted after `steps`."""
    claim(grid, variants, fork)
    done = []
    training = train_grid(grid, plan_packs(grid, variants).packs, previews)
    for step in training:
        done.append(step)
        if step.number == steps:
            training.close()
            break
    return done


def files_of(grid: Grid, variants: tuple[Variant, ...] = VARIANTS) -> list[bytes]:
    """The bytes of every adapter file."""
    names = ["pytorch_lora_weights.safetensors", "losses.csv", "validation.csv"]
    return [
        path.read_bytes()
        for v in variants
        for path in (weights_file(grid.study, v), *(grid.study.adapter(v) / name for name in names))
    ]


def test_checkpointing_never_makes_a_pack_larger_than_what_is_counted_whole(tmp_path: Path) -> None:
    plain = plan_packs(grid_in(tmp_path), VARIANTS)
    less = plan_packs(grid_in(tmp_path, SETTINGS.model_copy(update={"gradient_checkpointing": True})), VARIANTS)
    assert less.each == plain.each


def test_checkpointing_turns_itself_on_only_where_a_variant_does_not_fit_and_is_said(tmp_path: Path) -> None:
    grid = grid_in(tmp_path)
    roomy, tight = plan_packs(grid, VARIANTS), plan_packs(grid, VARIANTS, free=1)
    assert not roomy.checkpointing and "checkpointing" not in roomy.said()
    assert tight.checkpointing and "with gradient checkpointing" in tight.said()
    assert [len(pack) for pack in tight.packs] == [1] * len(VARIANTS)
    never = grid_in(tmp_path, SETTINGS.model_copy(update={"gradient_checkpointing": False}))
    assert not plan_packs(never, VARIANTS, free=1).checkpointing


def test_images_are_passed_in_parts_only_where_a_variant_does_not_fit_and_it_is_said(tmp_path: Path) -> None:
    four = SETTINGS.model_copy(update={"batch_size": 4})
    grid = grid_in(tmp_path, four)
    roomy = plan_packs(grid, VARIANTS)
    assert roomy.at_once is None and "at once" not in roomy.said()
    tight = plan_packs(grid, VARIANTS, free=int(1.3 / 0.8 * 0.6 * roomy.each))
    assert tight.at_once == 2 and "2 images of a variant at once" in tight.said() and tight.each < 0.6 * roomy.each
    assert plan_packs(grid, VARIANTS, free=1).at_once == 1
    said = plan_packs(grid_in(tmp_path, four.model_copy(update={"images_at_once": 3})), VARIANTS, free=1)
    assert said.at_once == 3
    assert (said.settings(four).images_at_once, said.settings(four).gradient_checkpointing) == (3, True)


def test_grid_becomes_adapters_that_are_proven(tmp_path: Path) -> None:
    grid = grid_in(tmp_path)
    steps = run(grid)
    assert [s.number for s in steps] == list(range(1, 7))
    for record, variant in zip(read_records(grid.study, VARIANTS), VARIANTS, strict=True):
        assert record["largest_error"] < 1e-7 and record["steps"] == 6 and record["stopped"] is None
        assert record["trained_parameters"] == read_adapter(weights_file(grid.study, variant)).parameters()
        assert record["best"]["step"] in (3, 6)
        assert (grid.study.adapter(variant) / record["best"]["checkpoint"]).is_dir()
    curve = read_curves(grid.study, VARIANTS, "losses")
    assert len(curve) == 12 and curve.loss.tolist()[:6] == pytest.approx(
        [loss for step in steps for _, name, loss in step.losses if name == "r2_a2"]
    )
    assert read_curves(grid.study, VARIANTS, "validation").step.tolist() == [3, 6, 3, 6]


@pytest.mark.fault(20)
@pytest.mark.parametrize("steps", [1, 3, 5])
def test_interrupted_grid_ends_with_the_same_bytes(steps: int, tmp_path: Path) -> None:
    whole, cut = grid_in(tmp_path / "whole"), grid_in(tmp_path / "cut")
    run(whole)
    run(cut, steps=steps)
    resumed = run(cut)
    assert resumed[0].number <= steps + 1 and files_of(cut) == files_of(whole)
    assert run(cut) == [] and files_of(cut) == files_of(whole)


def test_a_larger_grid_trains_only_what_is_new(tmp_path: Path) -> None:
    grid = grid_in(tmp_path)
    run(grid)
    before = files_of(grid)
    more = (*VARIANTS, Variant(rank=8, alpha=8))
    assert plan_packs(grid, more).steps == 6
    assert {name for step in run(grid, variants=more) for _, name, _ in step.losses} == {"r8_a8"}
    assert files_of(grid) == before


def test_packs_that_do_not_fit_are_split_and_it_is_said(tmp_path: Path) -> None:
    grid = grid_in(tmp_path)
    whole, split = plan_packs(grid, VARIANTS), plan_packs(grid, VARIANTS, free=1)
    assert [len(p) for p in whole.packs] == [2] and [len(p) for p in split.packs] == [1, 1]
    assert split.steps == 12 and split.said().startswith("2 packs (1 + 1): a variant needs about")
    list(train_grid(grid, split.packs))
    together = grid_in(tmp_path / "together")
    run(together)
    for v in VARIANTS:
        a, b = (read_adapter(weights_file(g.study, v)) for g in (grid, together))
        for layer in a.weights:
            torch.testing.assert_close(a.delta(layer), b.delta(layer), rtol=1e-3, atol=1e-5)


def test_split_grid_goes_on_as_it_was_split(tmp_path: Path) -> None:
    grid = grid_in(tmp_path)
    packs = plan_packs(grid, VARIANTS, free=1).packs
    training = train_grid(grid, packs)
    for _ in range(9):  # the first pack whole, the second half way
        next(training)
    training.close()
    assert plan_packs(grid, VARIANTS).packs == packs


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    """A training that stopped after two of six steps."""
    grid = grid_in(tmp_path_factory.mktemp("begun"))
    run(grid, steps=2)
    return grid


CHANGES = {
    "training.learning_rate: 0.01 → 0.02": {"settings": SETTINGS.model_copy(update={"learning_rate": 0.02})},
    "training.steps: 6 → 8": {"settings": SETTINGS.model_copy(update={"steps": 8})},
    'images.0.png.pixels: "0" → "1"': {"inputs_seed": 1},
}


@pytest.mark.fault(21)
@pytest.mark.parametrize("said", CHANGES)
def test_changed_training_refuses_to_go_on_and_loses_nothing(said: str, tmp_path: Path) -> None:
    run(grid_in(tmp_path), steps=4)
    changed = grid_in(tmp_path, **CHANGES[said])
    before = sorted(p.name for p in changed.checkpoints(VARIANTS[0]).folder.iterdir())
    with pytest.raises(ChangedError, match=r"r2_a2 at step 4 of 6") as error:
        run(changed)
    assert said in str(error.value) and "fork = True" in str(error.value)
    assert sorted(p.name for p in changed.checkpoints(VARIANTS[0]).folder.iterdir()) == before
    run(changed, fork=True)
    aside = changed.study.adapter(VARIANTS[0]).with_name("r2_a2~1")
    assert sorted(p.name for p in (aside / "checkpoints").iterdir()) == before
    assert json.loads((aside / "training.json").read_text())["training"]["steps"] == 6


OTHERWISE = {
    "lr_scheduler": "cosine", "lr_step_rules": "1:3,0.1", "targets": "qkvo", "prediction_type": "v_prediction",
    "snr_gamma": 5.0, "prior": Prior(prompt="a face"), "mixed_precision": "bf16", "train_text_encoder": True,
    "random_flip": True, "compile": True,
}  # fmt: skip


@pytest.mark.fault(21)
@pytest.mark.parametrize("key", [key for key in Training.model_fields if key not in CADENCE])
def test_each_setting_of_training_refuses_when_it_changes(key: str, begun: Grid) -> None:
    other = OTHERWISE[key] if key in OTHERWISE else getattr(SETTINGS, key) + 1
    study = begun.study.model_copy(update={"training": SETTINGS.model_copy(update={key: other})})
    study._root = begun.study._root
    with pytest.raises(ChangedError, match=rf"training\.{key}[:.]"):
        claim(replace(begun, study=study), VARIANTS)
    assert claim(begun, VARIANTS) == []


@pytest.mark.fault(21)
def test_changed_base_or_caption_refuses_too(tmp_path: Path) -> None:
    run(grid_in(tmp_path), steps=2)
    captions = grid_in(tmp_path)
    captions.inputs.sources["1.png"]["caption"] = "another"
    with pytest.raises(ChangedError, match=r'images\.1\.png\.caption: "number 1" → "another"'):
        claim(captions, VARIANTS)
    base = grid_in(tmp_path)
    next(base.pipeline.unet.parameters()).data.view(-1)[0] += 1
    with pytest.raises(ChangedError, match=r"base\.unet: [0-9a-f]{8}… → [0-9a-f]{8}…"):
        claim(base, VARIANTS)


def test_changed_training_after_a_finished_one_sets_that_aside_and_says_so(tmp_path: Path) -> None:
    first = grid_in(tmp_path)
    run(first)
    before = files_of(first)
    changed = grid_in(tmp_path, SETTINGS.model_copy(update={"learning_rate": 0.02}))
    said = claim(changed, VARIANTS[:1])
    assert "that is in r2_a2~1" in said[0] and "training.learning_rate: 0.01 → 0.02" in said[0]
    run(changed)
    assert (first.study.adapter(VARIANTS[0]).with_name("r2_a2~1") / "losses.csv").read_bytes() == before[2]
    assert files_of(changed) != before


def test_how_often_checkpoints_are_written_changes_nothing(tmp_path: Path) -> None:
    run(grid_in(tmp_path / "a"))
    other = grid_in(tmp_path / "b", SETTINGS.model_copy(update={"checkpointing_steps": 1}))
    run(grid_in(tmp_path / "b"), steps=4)
    run(other)
    assert files_of(grid_in(tmp_path / "a")) == files_of(other)


@pytest.mark.fault(22)
def test_two_processes_cannot_train_one_variant(tmp_path: Path) -> None:
    grid = grid_in(tmp_path)
    with only_writer(grid.study.adapter(VARIANTS[1])), pytest.raises(BusyError, match="r4_a8 is being written by"):
        list(train_grid(grid, plan_packs(grid, VARIANTS).packs))
    run(grid)


def test_previews_are_what_the_saved_adapter_draws(tmp_path: Path) -> None:
    grid = grid_in(tmp_path, SETTINGS.model_copy(update={"preview_steps": 3}))
    steps = run(grid)
    assert [bool(s.previews) for s in steps] == [False, False, True] * 2
    saved = [read_adapter(weights_file(grid.study, v)) for v in VARIANTS]
    wanted = tuple(w for w in wanted_samples(grid.study.sampling) if w.seed == grid.study.sampling.seeds[0])[:2]
    drawing = Drawing(grid.pipeline, saved, grid.study.sampling, Texts(grid.pipeline))
    drawn = [decode(grid.pipeline, own) for own in drawing.latents(wanted)]
    for variant, (images, _) in zip(VARIANTS, drawn, strict=True):
        assert [i.tobytes() for i in steps[-1].previews[variant.name]] == [i.tobytes() for i in images]
        kept = grid.study.adapter(variant) / "previews" / "step_000006_1.png"
        assert Image.open(kept).tobytes() == images[1].tobytes()


BAD = Variant(rank=4, alpha=8, learning_rate=1e30)


@pytest.mark.fault(1)
@pytest.mark.parametrize("free", [None, 1], ids=["one pack", "a pack each"])
def test_stopped_variant_is_written_with_its_last_good_weights_and_says_why(free: int | None, tmp_path: Path) -> None:
    grid = grid_in(tmp_path, SETTINGS.model_copy(update={"checkpointing_steps": 1}))
    variants = (BAD, VARIANTS[0])
    claim(grid, variants)
    steps = list(train_grid(grid, plan_packs(grid, variants, free).packs))
    assert steps[-1].number == 6 and {name for step in steps[2:] for _, name, _ in step.losses} == {"r2_a2"}
    bad, good = read_records(grid.study, variants)
    assert good["stopped"] is None and "at step 2: lower its learning_rate; its weights of step 0" in bad["stopped"]
    assert (
        len(read_curves(grid.study, [BAD], "losses")) == 1 and len(read_curves(grid.study, VARIANTS[:1], "losses")) == 6
    )
    kept, fresh = read_adapter(weights_file(grid.study, BAD)), grid.fresh_pack([BAD]).adapters()[0]
    assert all(torch.equal(kept.delta(layer), fresh.delta(layer)) for layer in fresh.weights)
    before = files_of(grid, variants)
    assert list(train_grid(grid, plan_packs(grid, variants).packs)) == [] and files_of(grid, variants) == before


def test_when_every_variant_stops_the_reason_is_raised_and_a_lower_rate_may_be_tried(tmp_path: Path) -> None:
    grid = grid_in(tmp_path, SETTINGS.model_copy(update={"learning_rate": 1e30}))
    with pytest.raises(FloatingPointError, match=r"loss of r2_a2 is nan at step 2.*; the loss of r4_a8"):
        run(grid)
    said = claim(grid_in(tmp_path), VARIANTS)
    assert len(said) == 2 and "training.learning_rate: 1e+30 → 0.01" in said[0]


def test_part_of_a_pack_goes_on_alone(tmp_path: Path) -> None:
    grid = grid_in(tmp_path)
    run(grid)
    before = files_of(grid)
    assert run(grid, variants=VARIANTS[:1]) == [] and files_of(grid) == before
    half = grid_in(tmp_path / "half")
    run(half, steps=4)
    assert run(half, variants=VARIANTS[:1])[0].number == 5
    assert [step.number for step in run(half)] == [5, 6]
    for v in VARIANTS:
        a, b = (read_adapter(weights_file(g.study, v)) for g in (grid, half))
        assert all(torch.allclose(a.delta(layer), b.delta(layer), rtol=1e-3, atol=1e-5) for layer in a.weights)


@pytest.mark.fault(24)
def test_cells_run_again_in_one_kernel_do_no_harm(tmp_path: Path) -> None:
    grid = grid_in(tmp_path)
    run(grid)
    before = files_of(grid)
    again = replace(grid)  # the same models, now wrapped, hashed anew
    assert claim(again, VARIANTS) == [] and run(again) == [] and files_of(grid) == before


def test_a_grid_is_claimed_whole_or_not_at_all(tmp_path: Path) -> None:
    run(grid_in(tmp_path), variants=VARIANTS[:1])
    run(grid_in(tmp_path), steps=4, variants=VARIANTS[1:])
    changed = grid_in(tmp_path, SETTINGS.model_copy(update={"learning_rate": 0.02}))
    with pytest.raises(ChangedError, match="r4_a8 at step 4 of 6"):
        claim(changed, VARIANTS)
    assert run(grid_in(tmp_path), variants=VARIANTS[:1]) == []


@pytest.mark.fault(21)
def test_changed_held_out_images_refuse_too(tmp_path: Path) -> None:
    run(grid_in(tmp_path), steps=2)
    with pytest.raises(ChangedError, match=r"held_out\.0\.png\.pixels"):
        claim(replace(grid_in(tmp_path), held_out=tiny_inputs(3, seed=8)), VARIANTS)


def test_folder_claimed_for_another_training_meanwhile_is_left_to_it(tmp_path: Path) -> None:
    mine = grid_in(tmp_path)
    claim(mine, VARIANTS)
    run(grid_in(tmp_path, SETTINGS.model_copy(update={"learning_rate": 0.02})), steps=4)
    with pytest.raises(ChangedError, match="claimed for another training"):
        list(train_grid(mine, [VARIANTS]))


def test_a_checkpoint_that_a_killed_process_did_not_come_to_remove_goes_with_the_next_run(tmp_path: Path) -> None:
    grid = grid_in(tmp_path)
    run(grid)
    place = grid.checkpoints(VARIANTS[0])
    kept = place.steps()
    place.write(5, place.read(6), place.manifest(6))
    (place.path(4)).mkdir()
    assert run(grid) == [] and sorted(p.name for p in place.folder.iterdir()) == [f"step_{s:06d}" for s in kept]


@pytest.mark.fault(23)
def test_polite_stop_keeps_the_step_it_is_at(tmp_path: Path) -> None:
    slow = grid_in(tmp_path, SETTINGS.model_copy(update={"checkpointing_steps": 100}))
    claim(slow, VARIANTS)
    training = train_grid(slow, plan_packs(slow, VARIANTS).packs)
    next(training), next(training), next(training)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        list(training)
    assert slow.checkpoints(VARIANTS[0]).steps()[-1] >= 3
    run(slow)
    whole = grid_in(tmp_path / "whole")
    run(whole)
    assert files_of(slow) == files_of(whole)


def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    one = grid_in(tmp_path / "one")
    run(one)
    launch = "--multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no"
    command = [sys.executable, "-m", "accelerate.commands.launch", *launch.split(), "--main_process_port", "0", "-m"]
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    command += ["tests.two", str(tmp_path / "two")]
    subprocess.run(command, check=True, cwd=PROJECT, env=env, capture_output=True)
    for a, b in zip(read_curves(one.study, VARIANTS, "losses").loss,
                    read_curves(grid_in(tmp_path / "two").study, VARIANTS, "losses").loss, strict=True):  # fmt: skip
        assert a == pytest.approx(b, rel=1e-5)


def test_class_images_are_part_of_the_training(tmp_path: Path) -> None:
    grid = grid_in(tmp_path)
    run(grid, steps=2)
    prior = replace(grid, inputs=grid.inputs.with_class_images(tiny_inputs(2, seed=3)))
    with pytest.raises(ChangedError, match=r"images\.class/0\.png: new"):
        claim(prior, VARIANTS)


def captioned_grid(root: Path) -> Grid:
    """A grid whose images have the machine's captions too."""
    grid = grid_in(root)
    return replace(grid, inputs=captioned_inputs(grid.inputs, "machine"))


CAPTIONED = (VARIANTS[0], VARIANTS[0].model_copy(update={"captions": "machine"}))


def test_changed_machine_caption_refuses_the_training_on_it_and_no_other(tmp_path: Path) -> None:
    run(captioned_grid(tmp_path), steps=4, variants=CAPTIONED)
    changed = captioned_grid(tmp_path)
    changed.inputs.others["machine"]["1.png"] = "another"
    assert claim(changed, CAPTIONED[:1]) == []
    said = r'r2_a2_machine at step 4 of 6.*\n.*images\.1\.png\.caption: "number 2" → "another"'
    with pytest.raises(ChangedError, match=said):
        claim(changed, CAPTIONED)
    reviewed = captioned_grid(tmp_path)
    reviewed.inputs.sources["1.png"]["caption"] = "another"
    with pytest.raises(ChangedError, match="r2_a2 at step 4 of 6"):
        claim(reviewed, CAPTIONED[:1])
    assert claim(reviewed, CAPTIONED[1:]) == []


def test_identity_of_a_variant_on_the_ledgers_captions_knows_no_others(tmp_path: Path) -> None:
    assert captioned_grid(tmp_path).identity(VARIANTS[0]) == grid_in(tmp_path).identity(VARIANTS[0])


def test_interrupted_ablation_ends_with_the_same_bytes(tmp_path: Path) -> None:
    whole, cut = captioned_grid(tmp_path / "whole"), captioned_grid(tmp_path / "cut")
    run(whole, variants=CAPTIONED)
    run(cut, steps=3, variants=CAPTIONED)
    run(cut, variants=CAPTIONED)
    assert files_of(cut, CAPTIONED) == files_of(whole, CAPTIONED)


def test_adapter_file_tells_the_captions_that_it_was_trained_on(tmp_path: Path) -> None:
    grid = captioned_grid(tmp_path)
    grid.inputs.others["machine"]["1.png"] = "a man, smiling"
    run(grid, variants=CAPTIONED)
    tags = []
    for variant in CAPTIONED:
        with safe_open(weights_file(grid.study, variant), "pt") as file:
            tags.append(json.loads(file.metadata()["ss_tag_frequency"])["mini"])
    assert tags[0] == {f"number {i}": 1 for i in range(5)}
    assert tags[1] == {"number 1": 1, "a man": 1, "smiling": 1, "number 3": 1, "number 4": 1, "number 0": 1}
    assert read_records(grid.study, CAPTIONED)[1]["variant"]["captions"] == "machine"


def test_a_rank_above_a_layers_width_is_refused_before_any_folder_is_claimed(tmp_path: Path) -> None:
    run(grid_in(tmp_path))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=r"r17_a1: rank 17 is above what .* up to 16"):
        claim(grid_in(tmp_path), (*VARIANTS, Variant(rank=17, alpha=1)), fork=True)
    assert sorted(tmp_path.rglob("*")) == before
