"""The page of progress shows what a study has made so far, as text and pictures, and never stops the study."""

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from caplora.figures.look import Figure, save_figure
from caplora.jobs.work import read_works
from caplora.report import progress
from caplora.report.progress import SCORED, growing, keep_curve, progress_page, write_progress
from caplora.sampling.samples import named_sample
from caplora.study.study import Study
from caplora.study.variants import BASELINE
from tests.report.test_report import HOSTILE, Page, hostile_study, scores


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A study with hostile text wherever people write, and nothing made yet."""
    return hostile_study(tmp_path, seeds=[5, 6])


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "green").save(path)


def caption(study: Study) -> None:
    """Two portraits in the ledger, one of them rejected."""
    for name in ("a.png", "b.png"):
        picture(study.dataset / name)
    rows = [("a.png", HOSTILE, "kept"), ("b.png", "rejected words", "rejected")]
    pd.DataFrame(rows, columns=["file_name", "text", "status"]).to_csv(study.dataset / "metadata.csv", index=False)


def page_of(study: Study, doing: str = "") -> Page:
    return Page(write_progress(study, doing).read_text(encoding="utf-8"))


def drawn(study: Study, split: str, place: int = 0, seed: int = 5) -> str:
    """The name of a sample's file."""
    return named_sample(study.sampling.suites[split][place], seed, split).file_name


def refreshes(page: Page) -> bool:
    return any(attributes.get("http-equiv") == "refresh" for _, attributes in page.tags)


def test_the_page_is_there_before_anything_is_made(study: Study) -> None:
    page = page_of(study, f"it begins {HOSTILE}")
    assert f"it begins {HOSTILE}" in page.text and study.question in page.text
    assert refreshes(page) and "img" not in [tag for tag, _ in page.tags]


@pytest.mark.fault(30)
def test_captions_and_prompts_are_text_and_pictures_lie_in_the_page(study: Study) -> None:
    caption(study)
    picture(study.samples("r4_a8") / drawn(study, "development"))
    page = page_of(study)
    assert HOSTILE in page.text and f"one {HOSTILE}" in page.text and "rejected words" not in page.text
    sources = [attributes["src"] or "" for tag, attributes in page.tags if tag == "img"]
    assert len(sources) == 2 and all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "script" not in [tag for tag, _ in page.tags]


def test_arms_stand_in_order_with_what_they_have_drawn(study: Study) -> None:
    for arm in ("r16_a16", "r4_a8", "baseline", "r4_a8@0.5"):
        picture(study.samples(arm) / drawn(study, "development"))
    picture(study.samples("baseline") / drawn(study, "test", 1))
    picture(study.samples("baseline") / drawn(study, "test", 1, 6))  # of another seed
    page = page_of(study)
    alts = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    assert alts == ["baseline", "r4_a8", "r16_a16", "baseline"]


def test_the_curve_and_the_last_preview_are_shown(study: Study) -> None:
    keep_curve(study, save_figure(Figure((2, 2)), study.run, "some").read_bytes())
    for step, index in ((10, 0), (20, 0), (20, 1)):
        picture(study.run / "adapters" / "r4_a8" / "previews" / f"step_{step:06d}_{index}.png")
    page = page_of(study)
    assert [tag for tag, _ in page.tags].count("img") == 3
    assert "r4_a8" in page.text


def test_figures_are_shown_once_they_are_of_these_scores_and_the_report_ends_it(study: Study) -> None:
    old = save_figure(Figure((2, 2)), study.figures, "forest")
    study.run.mkdir(parents=True)
    table = scores({"r4_a8": 0.25})
    table.to_csv(study.scores, index=False)
    later = study.scores.stat().st_mtime + 1
    page = page_of(study)
    own = table[(table["metric"] == "clip_score") & (table["model"] == "clip_a") & (table["split"] == "test")]
    for arm in ("baseline", "r4_a8"):
        assert f"{arm} {own.loc[own['variant'] == arm, 'value'].mean():.3f}" in page.text
    assert "img" not in [tag for tag, _ in page.tags] and refreshes(page)
    os.utime(old, (later, later))
    assert [tag for tag, _ in page_of(study).tags].count("img") == 1
    study.report.write_text("done", encoding="utf-8")
    os.utime(study.report, (later, later))
    page = page_of(study)
    assert not refreshes(page) and ("a", {"href": "report.html"}) in page.tags


def test_a_page_that_cannot_be_written_stops_nothing(study: Study) -> None:
    study.run.parent.mkdir(parents=True)
    study.run.write_text("a file where the folder would be", encoding="utf-8")
    with pytest.warns(UserWarning, match="was not written, and the work goes on"):
        assert list(growing(study, iter([1, 2]), "it works", "steps", 2)) == [1, 2]
    with pytest.warns(UserWarning, match="losses"):
        keep_curve(study, b"")


def test_how_far_a_work_is_can_be_read_while_it_goes_on(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "OFTEN", 0.0)
    curve = [(1, 0.5), (2, 0.25)]
    seen = []
    for item in growing(study, iter("ab"), "it works", "steps", 2, lambda: {"r4_a4": curve}):
        seen += [(item, work.done, work.losses) for work in read_works(study)]
    assert seen == [("a", 0, {}), ("b", 1, {"r4_a4": tuple(curve)})] and read_works(study) == []


def test_work_that_fails_fails_as_without_the_page(study: Study) -> None:
    def work() -> Iterator[int]:
        yield 1
        raise RuntimeError("of the work")

    with pytest.raises(RuntimeError, match="of the work"):
        list(growing(study, work(), "it works", "steps", 2))
    assert "it works" in progress_page(study).read_text(encoding="utf-8") and read_works(study) == []


def test_scores_that_were_written_again_are_shown_anew_and_of_very_many_arms_the_best(study: Study) -> None:
    study.run.mkdir(parents=True, exist_ok=True)
    gains = {f"r{i}_a8": i / 100 for i in range(1, SCORED + 3)}
    for seconds, arms in ((1_000, {"r4_a8": 0.1}), (2_000, gains)):
        scores(arms, prompts=2).to_csv(study.scores, index=False)
        os.utime(study.scores, (seconds, seconds))
        page = page_of(study)
    assert f"r{SCORED + 2}_a8" in page.text and "r1_a8" not in page.text.split() and BASELINE in page.text
