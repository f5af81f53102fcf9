"""sampling.py: every arm draws from the same noise, and draws what diffusers would."""

import csv
from pathlib import Path

import pytest
import torch
from PIL import Image

from caplora.base import parts_of
from caplora.lora import NOTHING, Pack
from caplora.sampling import (
    claim_folder,
    decode,
    draw_batch,
    initial_noise,
    is_complete,
    missing_samples,
    restore_table,
    sample,
    sampling_key,
    wanted_samples,
)
from caplora.settings import Sampling
from tests.tiny import tiny_pipeline, trained_like

SETTINGS = Sampling(
    development=("an ink drawing of a woman",),
    test=("an ink drawing of a man, smiling", "a photo"),
    seeds=(0, 5),
    num_inference_steps=3,
    guidance_scale=3.0,
    batch_size=4,
)


def test_every_prompt_meets_every_seed_once() -> None:
    wanted = wanted_samples(SETTINGS)
    assert len({(w.prompt, w.seed) for w in wanted}) == len({w.file_name for w in wanted}) == len(wanted) == 6
    assert [w.split for w in wanted].count("development") == 2


def test_unrelated_prompts_come_last_and_move_no_other_sample() -> None:
    more = wanted_samples(SETTINGS.model_copy(update={"unrelated": ("a bowl", "a lake")}))
    assert more[:6] == wanted_samples(SETTINGS)
    assert [(w.prompt, w.split) for w in more[6:]] == [
        (p, "unrelated") for p in ("a bowl", "a bowl", "a lake", "a lake")
    ]


def test_noise_is_a_function_of_the_seed_alone() -> None:
    both, alone = initial_noise([3, 9], (4, 8, 8)), initial_noise([9], (4, 8, 8))
    assert torch.equal(both[1], alone[0]) and not torch.equal(both[0], both[1])


def test_baseline_is_what_the_diffusers_pipeline_draws() -> None:
    pipeline = tiny_pipeline()
    ours = decode(pipeline, draw_batch(pipeline, 1, list(SETTINGS.test), [0, 5], SETTINGS)[0])
    theirs = pipeline(
        list(SETTINGS.test), num_inference_steps=3, guidance_scale=3.0, height=32, width=32, output_type="pil",
        generator=[torch.Generator().manual_seed(0), torch.Generator().manual_seed(5)],
    ).images  # fmt: skip
    for a, b in zip(ours, theirs, strict=True):
        assert max(high for _, high in _difference(a, b)) <= 1


def _difference(a: Image.Image, b: Image.Image) -> list[tuple[int, int]]:
    from PIL import ImageChops

    return ImageChops.difference(a, b).getextrema()


def test_arm_in_a_pack_draws_what_it_draws_alone() -> None:
    pipeline = tiny_pipeline()
    adapters = [NOTHING, trained_like(parts_of(pipeline), 4, 8), trained_like(parts_of(pipeline), 8, 8, seed=1)]
    prompts, seeds = list(SETTINGS.test), [0, 5]
    Pack(parts_of(pipeline), adapters).lay()
    together = draw_batch(pipeline, 3, prompts, seeds, SETTINGS)
    for i, adapter in enumerate(adapters):
        Pack(parts_of(pipeline), [adapter]).lay()
        alone = draw_batch(pipeline, 1, prompts, seeds, SETTINGS)[0]
        torch.testing.assert_close(together[i], alone, rtol=1e-4, atol=1e-4)
    assert (together[1] - together[0]).abs().max() > 1e-2


def test_samples_resume_where_they_stopped(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    pack, folders = (
        Pack(parts_of(pipeline), [NOTHING, trained_like(parts_of(pipeline), 4, 8)]),
        [tmp_path / "a", tmp_path / "b"],
    )
    first = next(sample(pipeline, pack, folders, SETTINGS))
    kept = (folders[0] / first[0].wanted.file_name).stat().st_mtime_ns
    assert not is_complete(folders[0], SETTINGS) and not (folders[0] / "metadata.csv").exists()
    rest = list(sample(pipeline, pack, folders, SETTINGS))
    assert len(first) + sum(map(len, rest)) == 6
    assert is_complete(folders[0], SETTINGS) and is_complete(folders[1], SETTINGS)
    assert (folders[0] / first[0].wanted.file_name).stat().st_mtime_ns == kept
    with open(folders[1] / "metadata.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["text"], int(r["seed"]), r["split"]) for r in rows] == [
        (w.prompt, w.seed, w.split) for w in wanted_samples(SETTINGS)
    ]


def test_what_is_complete_is_not_drawn_again_and_lost_tables_come_back(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    list(sample(pipeline, Pack(parts_of(pipeline), [NOTHING]), [tmp_path], SETTINGS))
    table = (tmp_path / "metadata.csv").read_bytes()
    (tmp_path / "metadata.csv").unlink()
    assert not is_complete(tmp_path, SETTINGS)
    assert list(sample(pipeline, Pack(parts_of(pipeline), [NOTHING]), [tmp_path], SETTINGS)) == []
    assert (tmp_path / "metadata.csv").read_bytes() == table and is_complete(tmp_path, SETTINGS)
    assert list(sample(pipeline, Pack(parts_of(pipeline), []), [], SETTINGS)) == []


def test_only_a_table_that_is_lost_comes_back_without_drawing(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    batches = sample(pipeline, Pack(parts_of(pipeline), [NOTHING]), [tmp_path], SETTINGS)
    next(batches)
    restore_table(tmp_path, SETTINGS)
    assert missing_samples([tmp_path], SETTINGS) and not (tmp_path / "metadata.csv").exists()
    list(batches)
    table = (tmp_path / "metadata.csv").read_bytes()
    (tmp_path / "metadata.csv").unlink()
    restore_table(tmp_path, SETTINGS)
    assert is_complete(tmp_path, SETTINGS) and (tmp_path / "metadata.csv").read_bytes() == table


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_another_weight_anywhere_in_the_base_is_another_key(part: str) -> None:
    pipeline = tiny_pipeline()
    before = sampling_key(SETTINGS, pipeline)
    assert sampling_key(SETTINGS.model_copy(update={"batch_size": 1}), pipeline) == before
    next(getattr(pipeline, part).parameters()).data.view(-1)[0] += 1
    assert sampling_key(SETTINGS, pipeline) != before


def test_changed_settings_clear_the_folder_and_the_same_ones_keep_it(tmp_path: Path) -> None:
    claim_folder(tmp_path, {"steps": 1})
    (tmp_path / "000_0.png").write_bytes(b"x")
    claim_folder(tmp_path, {"steps": 1})
    assert (tmp_path / "000_0.png").exists()
    claim_folder(tmp_path, {"steps": 2})
    assert not (tmp_path / "000_0.png").exists()


def test_picture_carries_its_prompt_and_seed(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    [drawn] = next(
        sample(pipeline, Pack(parts_of(pipeline), [NOTHING]), [tmp_path], SETTINGS.model_copy(update={"batch_size": 1}))
    )
    text = Image.open(tmp_path / drawn.wanted.file_name).text["parameters"]
    assert text.startswith(drawn.wanted.prompt) and f"Seed: {drawn.wanted.seed}," in text


def test_decoder_that_gives_nan_is_an_error() -> None:
    pipeline = tiny_pipeline()
    with pytest.raises(FloatingPointError, match="not finite"):
        decode(pipeline, torch.full((1, 4, 8, 8), float("nan")))
