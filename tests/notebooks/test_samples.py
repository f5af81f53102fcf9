"""samples.py, and what 04 and 05 make of it: development first, then what the choice leaves to draw."""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from caplora.lora.adapter_files import weights_file, write_weights
from caplora.models.base import parts_of
from caplora.models.devices import device_of
from caplora.notebooks.samples import Samples
from caplora.notebooks.tables import Tables
from caplora.sampling import finishing
from caplora.sampling.arms import at_scales, claim, write_tables
from caplora.sampling.jobs import plan_jobs, sample
from caplora.sampling.samples import said_of, save_sample
from caplora.scoring.clip import load_clip
from caplora.scoring.scores import clip_table, scorable_samples, write_scores
from caplora.study.files import DiskError
from caplora.study.study import Study
from caplora.study.variants import BASELINE, Variant
from tests.tiny import tiny_clip, tiny_pipeline, trained_like

VARIANTS = [Variant(rank=4, alpha=8), Variant(rank=4, alpha=4), Variant(rank=8, alpha=8)]
NAMES = [v.name for v in VARIANTS]
SAMPLING = {
    "development": ["an ink drawing of a woman", "a photo of a man, smiling"],
    "test": ["by the sea", "in a park"],
    "unrelated": ["a bowl", "a lake"],
    "scales": [0.5, 1.5],
    "seeds": [0, 1],
    "num_inference_steps": 2,
}
Opened = Callable[..., Samples]


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def opened(tmp_path: Path, clip_folder: Path) -> Opened:
    """Opens notebook 03's object on a study whose three variants are trained, with a tiny base model."""
    pipeline = tiny_pipeline()

    def study_with(finalists: int | None) -> Study:
        scoring = {"clips": [{"name": f"local-dir:{clip_folder}"}]}
        content = {"name": "tiny", "images": {"folder": "."}, "sampling": SAMPLING | {"finalists": finalists}}
        study = Study.model_validate_json(json.dumps(content | {"scoring": scoring}))
        study._root = tmp_path
        return study

    for i, variant in enumerate(VARIANTS):
        adapter = trained_like(parts_of(pipeline), variant.rank, variant.alpha, seed=i)
        write_weights(adapter, weights_file(study_with(None), variant), "kohya", {})

    def open_(finalists: int | None = None, variants: list[Variant] = VARIANTS) -> Samples:
        samples = Samples(study_with(finalists), variants)
        samples.pipeline = pipeline
        return samples

    return open_


def best_of(samples: Samples) -> str:
    assert samples.choice is not None
    return samples.choice.best


def ran(samples: Samples) -> int:
    """Notebook 03 from top to bottom; how many batches it drew."""
    samples.counts()
    first = sum(1 for _ in samples.draw_development())
    samples.choose()
    return first + sum(1 for _ in samples.draw())


def test_the_choice_is_by_the_scores_that_04_gives_also_where_a_clip_has_words_of_its_own(opened: Opened) -> None:
    samples = opened(1)
    [named] = samples.study.scoring.clips
    own = samples.study.scoring.model_copy(update={"clips": (named.model_copy(update={"prefix": "a drawing of "}),)})
    samples.study = replaced(samples.study, scoring=own)
    ran(samples)
    study, drawn = samples.study, scorable_samples(samples.study, samples.variants)[0]
    clip = load_clip(study, study.scoring.clips[0], device_of())
    later = clip_table(clip, [s for s in drawn if s.split == "development" and "@" not in s.variant], clip.prefix)
    by = ["variant", "prompt", "seed", "metric"]
    now = samples._development_scores.set_index(by)["value"]  # not of choice.csv: scores below 0 are all 0 there
    assert now.to_dict() == pytest.approx(later.set_index(by)["value"].to_dict())
    assert clip.prefix == "a drawing of " != study.scoring.prefix


def replaced(study: Study, **parts: object) -> Study:
    """A study with other parts, in the same folder."""
    other = study.model_copy(update=parts)
    other._root = study._root
    return other


def splits_of(samples: Samples) -> dict[str, set[str]]:
    """Arm → the suites that it has pictures of."""
    folders = sorted(samples.study.samples(BASELINE).parent.iterdir())
    return {f.name: {said_of(p)["split"] for p in f.glob("*.png")} for f in folders}


def times(samples: Samples) -> dict[Path, int]:
    """Every file of the samples, and when it was written."""
    folder = samples.study.samples(BASELINE).parent
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def scored(samples: Samples) -> pd.DataFrame:
    """Notebook 04, the CLIP alone."""
    study = samples.study
    table = clip_table(
        load_clip(study, study.scoring.clips[0], device_of()), scorable_samples(study, samples.variants)[0], ""
    )
    return write_scores([table], study)[0]


def test_without_finalists_all_draw_every_prompt_and_the_chosen_alone_the_scales(opened: Opened) -> None:
    samples = opened()
    ran(samples)
    every, best = {"development", "test", "unrelated"}, best_of(samples)
    scaled = {f"{best}@{scale:g}": {"development", "unrelated"} for scale in (0.5, 1.5)}
    scaled |= {f"{best}@0.01": {"unrelated"}}
    assert splits_of(samples) == dict.fromkeys([BASELINE, *NAMES], every) | scaled


@pytest.mark.parametrize("finalists", [1, 2])
def test_finalists_alone_draw_more_than_the_development_prompts(opened: Opened, finalists: int) -> None:
    samples = opened(finalists)
    ran(samples)
    assert samples.choice is not None
    tested, found = samples.choice.tested, splits_of(samples)
    assert len(tested) == finalists and best_of(samples) in tested
    for name in NAMES:
        assert found[name] == ({"development", "test", "unrelated"} if name in tested else {"development"})
        table = pd.read_csv(samples.study.samples(name) / "metadata.csv")
        assert set(table["split"]) == found[name]
    assert {name.split("@")[0] for name in found if "@" in name} == {best_of(samples)}
    assert samples.columns == [BASELINE, *tested] and samples.side_by_side()


def test_the_number_to_draw_is_known_before_anything_is_drawn(opened: Opened) -> None:
    for finalists, count in ((1, 4 * 4 + 2 * 8 + 2 * 4 + 2), (None, 4 * 12 + 2 * 4 + 2)):
        samples = opened(finalists)
        said = samples.counts()
        assert f"{count if finalists else count - 4 * 4 - 2 * 8 - 2 * 4 - 2} samples to draw" in said
        assert f"{16 if finalists else 0} of them of the development prompts" in said
        ran(samples)
        assert "\n0 samples to draw, 0 of them" in opened(finalists).counts()


def test_the_test_is_sized_from_the_development_prompts_with_measured_seconds(opened: Opened) -> None:
    samples = opened(1)
    claims = samples.study.claims.model_copy(update={"interest": {"clip_score": 0.05}})
    samples.study = samples.study.model_copy(update={"claims": claims})
    assert samples.power() == ""  # nothing is known yet
    samples.counts()
    list(samples.draw_development())
    assert samples.seconds > 0
    samples.choose()
    said = samples.power()
    assert "2 test prompts × 2 seeds find a difference of 0.05" in said and "minutes)" in said
    again = opened(1)
    again.study = samples.study
    again.choose()
    assert again.seconds == 0 and "minutes)" in again.power()  # measured for it


def test_run_again_draws_nothing_and_writes_no_sample_anew(opened: Opened) -> None:
    for finalists in (1, None):
        ran(opened(finalists))
        before = times(opened())
        assert ran(opened(finalists)) == 0 and times(opened()) == before


def test_settings_for_once_draw_aside_and_touch_nothing_of_the_study(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = opened(1)
    ran(samples)
    scored(samples)
    before, choice = times(samples), samples.study.choice.read_bytes()
    samples.study.path("tiny.yaml").write_text(samples.study.model_dump_json())
    monkeypatch.setattr(Samples, "pipeline", samples.pipeline)
    names = [v.model_dump(exclude_unset=True) for v in VARIANTS]
    aside = Samples.open(str(samples.study.path("tiny.yaml")), names, 3, 2.5)
    folder = samples.study.run / "with_num_inference_steps_3_guidance_scale_2.5"
    assert f"drawn aside, into {folder}" in aside.counts() and ran(aside) > 0
    assert said_of(next((folder / "samples" / BASELINE).glob("*.png")))["made"]["sampling"]["num_inference_steps"] == 3
    assert times(samples) == before and samples.study.choice.read_bytes() == choice
    assert "with_" not in {path.name for path in samples.study.samples(BASELINE).parent.iterdir()}
    assert len(scored(samples)) == len(pd.read_csv(samples.study.scores))  # 04 reads the study's own
    same = Samples.open(str(samples.study.path("tiny.yaml")), names, 2, 7.5)
    assert "drawn aside" not in same.counts() and ran(same) == 0


def test_a_changed_setting_removes_nothing_until_it_is_told_to(opened: Opened) -> None:
    samples = opened(1)
    ran(samples)
    before = times(samples)
    changed = samples.study.sampling.model_copy(update={"num_inference_steps": 3})
    study = samples.study.model_copy(update={"sampling": changed})
    again = Samples(study, VARIANTS)
    again.pipeline = samples.pipeline
    with pytest.raises(ValueError, match=r"pictures of 7 arms .*num_inference_steps: 2 → 3.*redraw = True"):
        again.counts()
    assert times(samples) == before
    told = Samples(study, VARIANTS, redraw=True)
    told.pipeline = samples.pipeline
    assert "removed, and to be drawn anew: 12 of baseline (num_inference_steps: 2 → 3)" in told.counts()
    assert ran(told) > 0


def test_killed_run_draws_the_rest(opened: Opened) -> None:
    ran(opened())
    before = times(opened())
    lost = [p for p in before if p.suffix == ".png"][::3]
    for path in lost:
        path.unlink()
    assert ran(opened()) > 0
    assert {p for p, when in times(opened()).items() if before.get(p) != when} == set(lost)


def pictures(samples: Samples) -> dict[str, bytes]:
    """Every picture's bytes, by arm and name."""
    folder = samples.study.samples(BASELINE).parent
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("*/*.png")}


@pytest.mark.fault(20)
@pytest.mark.parametrize("written", [3, 20, 30])
def test_run_that_ends_while_a_batch_is_written_goes_on_to_the_same_bytes(
    written: int, opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another batch the last bits of a picture are others, so the batch is drawn again as it was."""
    ran(opened())
    whole = pictures(opened())
    shutil.rmtree(tmp_path / "runs" / "tiny" / "samples")
    left = iter(range(written))

    def full(*given: Any) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        save_sample(*given)

    monkeypatch.setattr(finishing, "save_sample", full)
    with pytest.raises(OSError, match="No space"):
        ran(opened())
    monkeypatch.undo()
    assert len(pictures(opened())) == written
    ran(opened())
    assert pictures(opened()) == whole
    assert list(tmp_path.rglob(".drawing.json")) == []


@pytest.mark.fault(17)
def test_a_disk_too_small_for_the_pictures_is_refused_before_the_first(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = opened(1)
    count = sum(len(job.arms) * len(job.wanted) for job in samples.development_jobs)
    free = count * (3 * 32 * 32 + 4096)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free - 1))
    with pytest.raises(
        DiskError, match=rf"drawing {count} pictures takes .* are free in .*samples: make room, ask for"
    ):
        next(samples.draw_development())
    assert pictures(samples) == {}
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    next(samples.draw_development())
    largest, later = max(map(len, pictures(samples).values())), samples.jobs
    left = sum(len(job.arms) * len(job.wanted) for job in later)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=left * largest // 2))
    with pytest.raises(DiskError, match=f"drawing {left} pictures"):
        next(sample(samples.pipeline, later, samples.study.sampling))


def test_changed_choice_draws_the_new_scales_alone_and_leaves_the_old(opened: Opened) -> None:
    samples = opened()
    ran(samples)
    old, before = best_of(samples), times(samples)
    others = opened(None, [v for v in VARIANTS if v.name != old])
    ran(others)
    new = best_of(others)
    drawn = {path.parent.name for path, when in times(others).items() if before.get(path) != when}
    assert new != old and drawn == {f"{new}@0.01", f"{new}@0.5", f"{new}@1.5"}
    assert before.items() <= times(others).items()
    assert ran(opened()) == 0


def test_finalists_keep_what_an_older_run_drew_and_count_what_is_theirs(opened: Opened) -> None:
    ran(opened())
    before = {path: when for path, when in times(opened()).items() if path.suffix == ".png"}
    samples = opened(1)
    assert ran(samples) == 0
    assert {path: when for path, when in times(samples).items() if path.suffix == ".png"} == before
    scores = scored(samples)
    assert set(scores.loc[scores["split"] == "test", "variant"]) == {BASELINE, best_of(samples)}


@pytest.mark.parametrize("finalists", [None, 1, 2])
def test_05_reports_whom_03_chose(opened: Opened, finalists: int | None) -> None:
    samples = opened(finalists)
    ran(samples)
    scored(samples)
    tables = Tables(samples.study, VARIANTS)
    assert tables.best == best_of(samples) and tables.names == samples.choice.tested  # type: ignore[union-attr]
    assert tables.failed == {} and "But 03" not in tables.choice()
    assert len(tables.effects_on("development")) == 3 and tables.effects_on("test")["variant"].tolist() == tables.names
    assert set(tables.effects_on("test")["n_variants"]) == {finalists or 3}


def test_run_of_an_older_version_with_every_variant_at_scales_is_read_whole_until_03_has_chosen(opened: Opened) -> None:
    samples = opened()
    ran(samples)
    settings = samples.study.sampling
    arms = [arm for name in NAMES for arm in at_scales(samples.everyone[name], settings)]
    claim(arms)
    for _ in sample(samples.pipeline, plan_jobs(arms, settings), settings):
        pass
    write_tables(arms)
    samples.study.choice.unlink()
    scored(samples)
    scales = pd.read_csv(samples.study.scales)
    assert set(scales["variant"]) == set(NAMES) and set(scales["scale"]) == {0, 0.5, 1, 1.5}
    before = times(samples)
    again = opened()
    assert ran(again) == 0 and times(again) == before
    assert Tables(samples.study, VARIANTS).best == best_of(again)


def test_variant_that_draws_black_on_the_test_prompts_is_not_reported_and_the_next_is_drawn_at_scales(
    opened: Opened,
) -> None:
    samples = opened()
    ran(samples)
    old = best_of(samples)
    arm = samples.everyone[old]
    black = next(w for w in arm.wanted if w.split == "test")
    save_sample(Image.new("RGB", (32, 32)), "black", arm.folder, black, dict(arm.made))
    again = opened()
    ran(again)
    assert best_of(again) != old and f"{best_of(again)}@0.5" in splits_of(again)
    assert black.file_name in again.flagged()
    scored(again)
    tables = Tables(again.study, VARIANTS)
    assert tables.best == best_of(again) and list(tables.failed) == [old]


def test_black_baseline_is_refused_before_anything_is_chosen(opened: Opened) -> None:
    samples = opened()
    list(samples.draw_development())
    arm = samples.everyone[BASELINE]
    save_sample(Image.new("RGB", (32, 32)), "black", arm.folder, arm.wanted[0], dict(arm.made))
    with pytest.raises(ValueError, match="of the baseline: change that prompt or seed"):
        samples.choose()


def test_baseline_alone_is_drawn_where_nothing_was_trained(opened: Opened) -> None:
    samples = opened(None, [Variant(rank=2, alpha=2)])
    ran(samples)
    assert list(splits_of(samples)) == [BASELINE] and "chosen: none" in samples.chosen()
