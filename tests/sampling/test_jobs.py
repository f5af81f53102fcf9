"""jobs.py, drawing.py, arms.py: every arm draws from the same noise, and draws what diffusers would."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image, ImageChops
from safetensors.torch import load_file, save_file

from caplora.lora.adapter import NOTHING, Adapter, rescaled
from caplora.lora.adapter_files import weights_file, write_weights
from caplora.lora.merging import Merged
from caplora.lora.pack import Pack
from caplora.models.base import parts_of
from caplora.sampling.arms import Arm, at_scales, claim, development_only, drawn_beside, study_arms
from caplora.sampling.class_images import draw_class_images
from caplora.sampling.drawing import decode, draw_batch, initial_noise, sampling_key, wear
from caplora.sampling.finishing import Job
from caplora.sampling.jobs import Drawing, batch_seconds, halves, plan_jobs, sample
from caplora.sampling.samples import Wanted, drawn_samples, said_of, wanted_samples
from caplora.study.sampling_settings import Sampling
from caplora.study.study import Study
from caplora.study.training_settings import Prior
from caplora.study.variants import Variant
from tests.tiny import tiny_pipeline, trained_like

SETTINGS = Sampling(
    development=("an ink drawing of a woman",),
    test=("an ink drawing of a man, smiling", "a photo"),
    scales=(0.5,),
    seeds=(0, 5),
    num_inference_steps=3,
    guidance_scale=3.0,
    batch_size=4,
)
MADE = {"sampling": {"num_inference_steps": 3, "guidance_scale": 3.0}, "model": "tiny", "adapter": None}


def arms_of(folder: Path, *adapters: Adapter) -> list[Arm]:
    return [Arm(folder / f"arm{i}", own, wanted_samples(SETTINGS), MADE) for i, own in enumerate(adapters)]


def adapters_of(pipeline: object, count: int = 2) -> list[Adapter]:
    return [trained_like(parts_of(pipeline), 4, 8, seed=i) for i in range(count)]  # type: ignore[arg-type]


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: np.asarray(Image.open(path)).tobytes() for path in folder.glob("*.png")}


def test_noise_is_a_function_of_its_number_alone() -> None:
    both, alone = initial_noise([3, 9], (4, 8, 8)), initial_noise([9], (4, 8, 8))
    assert torch.equal(both[1], alone[0]) and not torch.equal(both[0], both[1])


@pytest.mark.parametrize("guidance", [3.0, 1.0])
def test_baseline_is_what_the_diffusers_pipeline_draws(guidance: float) -> None:
    pipeline, settings = tiny_pipeline(), SETTINGS.model_copy(update={"guidance_scale": guidance})
    ours, flags = decode(pipeline, draw_batch(pipeline, 1, list(SETTINGS.test), [0, 5], settings)[0])
    theirs = pipeline(
        list(SETTINGS.test), num_inference_steps=3, guidance_scale=guidance, height=32, width=32, output_type="pil",
        generator=[torch.Generator().manual_seed(0), torch.Generator().manual_seed(5)],
    ).images  # fmt: skip
    for a, b in zip(ours, theirs, strict=True):
        assert max(high for _, high in ImageChops.difference(a, b).getextrema()) <= 1
    assert flags == ["", ""]


def test_arm_in_a_pack_draws_what_it_draws_alone_packed_or_merged() -> None:
    pipeline = tiny_pipeline()
    adapters = [NOTHING, trained_like(parts_of(pipeline), 4, 8), trained_like(parts_of(pipeline), 8, 8, seed=1)]
    prompts, noises = list(SETTINGS.test), [0, 5]
    Pack(parts_of(pipeline), adapters).lay()
    together = draw_batch(pipeline, 3, prompts, noises, SETTINGS)
    for i, adapter in enumerate(adapters):
        Pack(parts_of(pipeline), [adapter]).lay()
        alone = draw_batch(pipeline, 1, prompts, noises, SETTINGS)[0]
        torch.testing.assert_close(together[i], alone, rtol=1e-4, atol=1e-4)
        Pack(parts_of(pipeline), [NOTHING]).lift()
        one = wear(pipeline, [adapter])
        assert isinstance(one, Merged)
        one.lay()
        merged = draw_batch(pipeline, 1, prompts, noises, SETTINGS)[0]
        torch.testing.assert_close(together[i], merged, rtol=1e-4, atol=1e-4)
        one.lift()
    assert (together[1] - together[0]).abs().max() > 1e-2


def test_forecast_of_a_batch_draws_nothing_and_leaves_the_base_as_it_was(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    before, (job, *_) = sampling_key(SETTINGS, pipeline), plan_jobs(arms_of(tmp_path, *adapters_of(pipeline)), SETTINGS)
    assert batch_seconds(pipeline, job, SETTINGS) > 0
    assert sampling_key(SETTINGS, pipeline) == before and not list(tmp_path.rglob("*.png"))


def test_small_change_is_not_rounded_away_in_half_precision() -> None:
    """Merged into 16-bit weights most of a small ΔW would be lost; one that draws alone is then a pack of one."""
    pipeline = tiny_pipeline()
    [adapter] = adapters_of(pipeline, 1)
    pipeline.unet.to(torch.bfloat16)
    assert isinstance(wear(pipeline, [adapter]), Pack)
    assert isinstance(wear(tiny_pipeline(), [adapter]), Merged)


@pytest.mark.fault(11)
def test_prompt_that_does_not_fit_is_named_before_anything_is_drawn(study: Study) -> None:
    long = " ".join(["word"] * 90)
    settings = study.sampling.model_copy(update={"edits": (long, "short")})
    with pytest.raises(ValueError, match="would be lost"):
        study_arms(study.model_copy(update={"sampling": settings}), [], tiny_pipeline())


def test_base_is_itself_again_to_the_bit_whatever_was_worn() -> None:
    pipeline = tiny_pipeline()
    before = sampling_key(SETTINGS, pipeline)
    for adapters in (adapters_of(pipeline, 1), adapters_of(pipeline, 3)):
        worn = wear(pipeline, adapters)
        worn.lay()
        worn.lift()
        assert sampling_key(SETTINGS, pipeline) == before


def test_scaled_adapter_adds_its_share_of_the_change() -> None:
    [adapter] = adapters_of(tiny_pipeline(), 1)
    half = rescaled(adapter, 0.5)
    for layer in adapter.weights:
        torch.testing.assert_close(half.delta(layer), 0.5 * adapter.delta(layer))
    assert rescaled(adapter, 1.0) is adapter


def test_samples_resume_where_they_stopped(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    arms = arms_of(tmp_path, NOTHING, *adapters_of(pipeline))
    whole = plan_jobs(arms, SETTINGS)
    first = next(sample(pipeline, whole, SETTINGS))
    kept = (arms[0].folder / first[0].wanted.file_name).stat().st_mtime_ns
    rest = list(sample(pipeline, plan_jobs(arms, SETTINGS), SETTINGS))
    assert len(first) + sum(map(len, rest)) == 6 and plan_jobs(arms, SETTINGS) == []
    assert (arms[0].folder / first[0].wanted.file_name).stat().st_mtime_ns == kept
    assert all(len(pictures(arm.folder)) == 6 for arm in arms)


def test_only_the_picture_that_is_lost_is_drawn_again_and_is_the_same(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    arms = arms_of(tmp_path, NOTHING, *adapters_of(pipeline))
    list(sample(pipeline, plan_jobs(arms, SETTINGS), SETTINGS))
    before, lost = [pictures(arm.folder) for arm in arms], arms[1].folder / arms[1].wanted[3].file_name
    lost.unlink()
    [job] = plan_jobs(arms, SETTINGS)
    assert job == Job((arms[1],), (arms[1].wanted[3],))
    list(sample(pipeline, [job], SETTINGS))
    after = [pictures(arm.folder) for arm in arms]
    difference = [abs(a - b) for a, b in zip(before[1].pop(lost.name), after[1].pop(lost.name), strict=True)]
    assert max(difference) <= 1 and before == after


def test_arms_that_lack_the_same_draw_together_within_the_batch(tmp_path: Path) -> None:
    arms = arms_of(tmp_path, NOTHING, *adapters_of(tiny_pipeline(), 5))
    jobs = plan_jobs(arms, SETTINGS)
    assert all(len(job.arms) * len(job.wanted) <= SETTINGS.batch_size for job in jobs)
    assert {len(job.arms) for job in jobs} == {3}  # six arms, four at most: two packs of three
    assert sorted((arm.folder.name, w.file_name) for job in jobs for arm in job.arms for w in job.wanted) == sorted(
        (arm.folder.name, w.file_name) for arm in arms for w in arm.wanted
    )


def test_what_does_not_fit_into_memory_is_drawn_in_halves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, real, sizes = tiny_pipeline(), Drawing.latents, []

    def small_device(drawing: Drawing, wanted: tuple[Wanted, ...]) -> torch.Tensor:
        sizes.append(drawing.arms * len(wanted))
        if sizes[-1] > 1:
            raise torch.OutOfMemoryError
        return real(drawing, wanted)

    monkeypatch.setattr(Drawing, "latents", small_device)
    arms = arms_of(tmp_path, NOTHING, *adapters_of(pipeline, 1))
    list(sample(pipeline, plan_jobs(arms, SETTINGS), SETTINGS))
    assert plan_jobs(arms, SETTINGS) == [] and sizes.count(1) == 12 and max(sizes) == 4
    monkeypatch.setattr(Drawing, "latents", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError))
    (arms[0].folder / arms[0].wanted[0].file_name).unlink()
    with pytest.raises(torch.OutOfMemoryError, match="a single picture"):
        list(sample(pipeline, plan_jobs(arms, SETTINGS), SETTINGS))


def test_halves_are_the_whole(tmp_path: Path) -> None:
    arms = tuple(arms_of(tmp_path, NOTHING, *adapters_of(tiny_pipeline())))
    job = Job(arms, arms[0].wanted[:1])
    assert [len(half.arms) for half in halves(job)] in ([2, 1], [1, 2])
    two = halves(Job(arms, arms[0].wanted))
    assert two[0].wanted + two[1].wanted == arms[0].wanted and all(half.arms == arms for half in two)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_another_weight_anywhere_in_the_base_is_another_key(part: str) -> None:
    pipeline = tiny_pipeline()
    before = sampling_key(SETTINGS, pipeline)
    assert sampling_key(SETTINGS.model_copy(update={"batch_size": 1, "seeds": (7,)}), pipeline) == before
    next(getattr(pipeline, part).parameters()).data.view(-1)[0] += 1
    assert sampling_key(SETTINGS, pipeline) != before


@pytest.fixture
def study(tmp_path: Path) -> Study:
    content = {"name": "tiny", "images": {"folder": "."}, "sampling": SETTINGS.model_dump(mode="json")}
    made = Study.model_validate_json(json.dumps(content))
    made._root = tmp_path
    return made


def written(study: Study, variant: Variant, seed: int = 0) -> None:
    adapter = trained_like(parts_of(tiny_pipeline()), variant.rank, variant.alpha, seed)
    write_weights(adapter, weights_file(study, variant), "kohya", {})


def test_arms_are_the_baseline_and_the_variants_and_the_untrained_is_left_out(study: Study) -> None:
    there, absent = Variant(rank=4, alpha=8), Variant(rank=8, alpha=8)
    written(study, there)
    arms = study_arms(study, [there, absent], tiny_pipeline())
    assert [arm.folder.name for arm in arms] == ["baseline", "r4_a8"]
    assert [len(arm.wanted) for arm in arms] == [6, 6]
    assert [len(development_only(arm).wanted) for arm in arms] == [2, 2]


@pytest.mark.parametrize("bad", ["nan", "cut"])
def test_a_variant_whose_adapter_cannot_be_used_is_named_and_no_picture_is_touched(study: Study, bad: str) -> None:
    there, broken = Variant(rank=4, alpha=8), Variant(rank=2, alpha=2)
    written(study, there)
    written(study, broken)
    file = weights_file(study, broken)
    if bad == "cut":
        file.write_bytes(file.read_bytes()[:-40])
    else:
        state = load_file(file)
        next(value for key, value in state.items() if "lora_up" in key)[0, 0] = float("nan")
        save_file(state, file)
    said = rf"r2_a2 cannot draw: {file} is cut off" if bad == "cut" else rf"r2_a2 cannot draw: {file}: 1 of the .* NaN"
    with pytest.raises(ValueError, match=rf"{said}.* Notebook 02 writes it again .* delete {file.parent} and train"):
        study_arms(study, [there, broken], tiny_pipeline())
    assert not study.samples("baseline").exists()


def test_arm_at_a_scale_has_so_much_of_the_adapter_and_claims_nothing_unasked(study: Study) -> None:
    written(study, Variant(rank=4, alpha=8))
    arm = study_arms(study, [Variant(rank=4, alpha=8)], tiny_pipeline())[1]
    [scaled] = at_scales(arm, SETTINGS)
    assert scaled.folder.name == "r4_a8@0.5" and not scaled.folder.exists()
    assert [(w.split, w.seed) for w in scaled.wanted] == [("development", 0)]
    layer = next(iter(arm.adapter.weights))
    torch.testing.assert_close(scaled.adapter.delta(layer), 0.5 * arm.adapter.delta(layer))
    claim([scaled])
    assert json.loads((scaled.folder / "settings.json").read_text())["adapter"]["scale"] == 0.5


def every_arm(study: Study, variants: list[Variant], pipeline: StableDiffusionPipeline) -> list[Arm]:
    """The arms of a study, each variant at other scales too."""
    arms = study_arms(study, variants, pipeline)
    scaled = [one for arm in arms[1:] for one in at_scales(arm, SETTINGS)]
    claim(arms + scaled)
    return arms + scaled


def test_changed_adapter_draws_its_own_arms_anew_and_no_other(study: Study) -> None:
    pipeline, variants = tiny_pipeline(), [Variant(rank=4, alpha=8), Variant(rank=4, alpha=4)]
    for variant in variants:
        written(study, variant)
    list(sample(pipeline, plan_jobs(every_arm(study, variants, pipeline), SETTINGS), SETTINGS))
    assert plan_jobs(every_arm(study, variants, pipeline), SETTINGS) == []
    written(study, variants[0], seed=1)
    again = plan_jobs(every_arm(study, variants, pipeline), SETTINGS)
    assert {arm.folder.name for job in again for arm in job.arms} == {"r4_a8", "r4_a8@0.5"}


def test_picture_says_its_arm_and_its_adapter(study: Study) -> None:
    pipeline, variant = tiny_pipeline(), Variant(rank=4, alpha=8)
    written(study, variant)
    arms = every_arm(study, [variant], pipeline)
    list(sample(pipeline, plan_jobs(arms, SETTINGS), SETTINGS))
    said = said_of(study.samples("r4_a8@0.5") / arms[-1].wanted[0].file_name)
    assert (said["arm"], said["flag"]) == ("r4_a8@0.5", "")
    assert said["made"]["adapter"]["scale"] == 0.5 and said["made"]["adapter"]["name"] == "tiny_r4_a8"
    [sample_of] = drawn_samples(study.samples("r4_a8@0.5"), arms[-1].wanted)
    assert (sample_of.variant, sample_of.prompt, sample_of.seed) == ("r4_a8@0.5", said["prompt"], said["seed"])


@pytest.mark.fault(4)
def test_what_is_not_finite_is_flagged_and_spoils_no_other() -> None:
    pipeline = tiny_pipeline()
    good = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    spoilt = good.clone()
    spoilt[0] = float("nan")
    images, flags = decode(pipeline, spoilt)
    assert flags == ["not finite", ""] and images[0].getextrema() == ((0, 0),) * 3
    assert images[1].tobytes() == decode(pipeline, good)[0][1].tobytes()


@pytest.mark.fault(4)
def test_black_picture_is_flagged_and_a_dark_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = tiny_pipeline()
    dark = torch.full((2, 3, 32, 32), -1.0)
    dark[1, :, 3, 3] = -0.9
    monkeypatch.setattr(pipeline.vae, "decode", lambda _: type("Out", (), {"sample": dark}))
    assert decode(pipeline, torch.zeros(2, 4, 8, 8))[1] == ["black", ""]


def test_class_images_resume_in_their_order(tmp_path: Path) -> None:
    pipeline, prior = tiny_pipeline(), Prior(prompt="a photo", images=6)

    def names() -> Iterator[str]:
        return (path.name for path in draw_class_images(pipeline, tmp_path, prior, SETTINGS))

    every = list(names())
    assert every == [f"{i:04d}.png" for i in range(6)]
    (tmp_path / "0002.png").unlink()
    kept = (tmp_path / "0005.png").stat().st_mtime_ns
    assert list(names()) == every and (tmp_path / "0005.png").stat().st_mtime_ns == kept


def test_beside_the_arms_stand_those_at_other_scales_and_with_captions_that_have_a_folder(tmp_path: Path) -> None:
    made = {**MADE, "adapter": {"name": "x", "scale": 1.0, "sha256": ""}}
    arms = [Arm(tmp_path / n, NOTHING, wanted_samples(SETTINGS), made) for n in ("baseline", "r4_a8", "r4_a8_rs")]
    for name in ("r4_a8@0.5", "r4_a8@7", "baseline@captions", "r4_a80@0.5"):
        (tmp_path / name).mkdir()
    assert [arm.folder.name for arm in drawn_beside(arms, SETTINGS)] == ["r4_a8@0.5", "baseline@captions"]
