"""The report says what the tables say, shows text as text, and needs nothing but itself."""

import base64
import json
from collections.abc import Mapping
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from caplora.ablation import ablation_table
from caplora.report import confirmation, noise_sentence, percent, power_sentence, signed, verdict_sentence, write_report
from caplora.settings import Variant
from caplora.spread import Crossed
from caplora.statistics import COLUMNS, effect_table
from caplora.study import BASELINE, Study, read_study

HOSTILE = '<img src=x onerror=alert(1)> & "quotes" {{ 7 * 7 }}'
VARIANTS = (Variant(rank=4, alpha=8), Variant(rank=8, alpha=8))
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")


def effects(gains: Mapping[str, float], prompts: int = 8) -> pd.DataFrame:
    """The table of effects of a study in which each variant gains as much, but for noise."""
    rng = np.random.default_rng(0)
    found = []
    kinds = (("clip_score", "clip_a"), ("clip_score", "clip_b"), ("identity", "eyes"), ("clip_cosine", "clip_a"))
    for (metric, model), split, p, s in product(kinds, ("development", "test"), range(prompts), range(2)):
        for arm, gain in {BASELINE: 0.0, **gains}.items():
            found.append((arm, f"{split} {p}", s, split, metric, model, 0.5 + p / 50 + gain + rng.normal(0, 0.01)))
    return effect_table(pd.DataFrame(found, columns=list(COLUMNS)))


def row(gain: float, prompts: int = 8) -> dict[str, Any]:
    """The headline of one variant that gains so much."""
    table = effects({"r4_a8": gain}, prompts)
    return table[(table["split"] == "test") & (table["model"] == "clip_a")].iloc[0].to_dict()


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A study with a data set, adapters, and hostile text in every place that holds text."""
    settings = {
        "name": "small",
        "question": f"Is it safe? {HOSTILE}",
        "images": {"folder": "faces"},
        "sampling": {"development": [f"one {HOSTILE}"], "test": [f"two {HOSTILE}", "three"]},
    }
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    read = read_study(tmp_path / "small.yaml")
    read.dataset.mkdir(parents=True)
    kept = [("train", "kept")] * 3 + [("train", "pending")] * 2 + [("held_out", "edited"), ("train", "rejected")]
    ledger = [(f"{i}.png", HOSTILE, HOSTILE, status, split, HOSTILE) for i, (split, status) in enumerate(kept)]
    columns = ["file_name", "text", "machine_text", "status", "split", "source"]
    pd.DataFrame(ledger, columns=columns).to_csv(read.dataset / "metadata.csv", index=False)
    refused = pd.DataFrame([(f"{HOSTILE}.jpg", f"no picture: {HOSTILE}")], columns=["file", "reason"])
    refused.to_csv(read.dataset / "refused.csv", index=False)
    read.adapter(VARIANTS[0]).mkdir(parents=True)
    (read.adapter(VARIANTS[0]) / "settings.json").write_text(
        json.dumps({"trained_parameters": 12345, "training": {"steps": 321}, "stopped": f"nan {HOSTILE}"}),
        encoding="utf-8",
    )
    return read


def report(study: Study, gains: Mapping[str, float]) -> str:
    """The page of a study whose variants gained so much, r4_a8 chosen, with two figures."""
    png = study.figures / "teaser.png"
    png.parent.mkdir(parents=True, exist_ok=True)
    png.write_bytes(PNG)
    drawn = {"teaser": png, "scores": png}
    path = write_report(study.report, study, VARIANTS, effects(gains), "r4_a8", "clip_a", drawn)
    assert path == study.report
    return path.read_text(encoding="utf-8")


class Page(HTMLParser):
    """What a browser would make of the page: its tags and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_hostile_text_stays_text(study: Study) -> None:
    page = Page(report(study, {"r4_a8": 0.05, "r8_a8": 0.0}))
    assert [attributes for _, attributes in page.tags if any(name.startswith("on") for name in attributes)] == []
    assert {str(a["src"])[:22] for tag, a in page.tags if tag == "img"} == {"data:image/png;base64,"}
    for place in (
        f"Is it safe? {HOSTILE}",
        f"{HOSTILE}.jpg",
        f"no picture: {HOSTILE}",
        f"one {HOSTILE}",
        f"two {HOSTILE}",
    ):
        assert place in page.text


def test_the_page_needs_nothing_but_itself(study: Study) -> None:
    page = Page(report(study, {"r4_a8": 0.05, "r8_a8": 0.0}))
    assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "embed", "base", "form"} == set()
    loaded = [a[k] for tag, a in page.tags for k in ("src", "href", "srcset", "poster") if k in a]
    assert [at for at in loaded if not str(at).startswith("data:")] == []
    assert "url(" not in study.report.read_text(encoding="utf-8")
    policies = [a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_figures_are_inside_byte_for_byte_and_others_are_left_out(study: Study) -> None:
    page = Page(report(study, {"r4_a8": 0.05, "r8_a8": 0.0}))
    sources = [str(a["src"]) for tag, a in page.tags if tag == "img"]
    assert [base64.b64decode(s.split(",")[1]) for s in sources] == [PNG, PNG]
    assert all(a["alt"] for tag, a in page.tags if tag == "img")


def test_the_same_study_makes_the_same_page(study: Study) -> None:
    gains = {"r4_a8": 0.05, "r8_a8": 0.0}
    assert report(study, gains) == report(study, gains)
    assert [p.name for p in study.run.iterdir() if p.is_file()] == ["report.html"]


def test_a_null_result_reads_as_one(study: Study) -> None:
    text = Page(report(study, {"r4_a8": 0.0, "r8_a8": 0.0})).text
    assert "r4_a8 cannot be told from the baseline: CLIPScore" in text
    assert "beats" not in text
    assert "falls short" not in text
    assert "CLIPScore, by clip_b, cannot be told from the baseline’s" in text


def test_an_effect_reads_as_one(study: Study) -> None:
    text = Page(report(study, {"r4_a8": 0.05, "r8_a8": 0.0})).text
    assert "r4_a8 beats the baseline: CLIPScore" in text
    assert "CLIPScore, by clip_b, is higher than the baseline’s" in text
    assert "The cosine to the held-out portraits, by eyes, is higher than the baseline’s" in text


def test_the_table_of_variants_holds_the_numbers_of_the_effects(study: Study) -> None:
    text = Page(report(study, {"r4_a8": 0.05, "r8_a8": -0.02})).text
    for e in (
        effects({"r4_a8": 0.05, "r8_a8": -0.02})
        .query("metric == 'clip_score' and model == 'clip_a'")
        .to_dict("records")
    ):
        assert signed(e["difference"]) in text
        if e["split"] == "test":
            assert f"{e['adapter']:.3f} {signed(e['difference'])} {signed(e['low'])} … {signed(e['high'])}" in text
    assert "12,345" in text


def test_a_variant_without_scores_is_shown_as_missing(study: Study) -> None:
    assert "r8_a8 – no scores: this variant is missing" in Page(report(study, {"r4_a8": 0.05})).text
    assert "no scores" not in Page(report(study, {"r4_a8": 0.05, "r8_a8": 0.0})).text


def test_the_data_are_counted_from_the_ledger(study: Study) -> None:
    text = Page(report(study, {"r4_a8": 0.05, "r8_a8": 0.0})).text
    assert "6 images were used: 5 to train and 1 held out" in text
    assert "Of all captions, 3 are kept, 2 pending, 1 edited, 1 rejected. 1 file was refused" in text
    assert "2 captions had not been reviewed" in text


def test_the_verdict_says_n_difference_intervals_and_p() -> None:
    e = row(0.05)
    said = verdict_sentence(e)
    assert said.startswith("r4_a8 beats the baseline: ")
    assert "8 test prompts × 2 seeds" in said
    assert f"{signed(e['low'])} to {signed(e['high'])}" in said
    assert f"{percent(e['relative'])} ({percent(e['relative_low'])} to {percent(e['relative_high'])})" in said
    assert "p = 0.008" in said  # 2 / 2⁸, the smallest that 8 prompts allow


def test_the_verdict_of_a_loss_says_so() -> None:
    assert "falls short of the baseline" in verdict_sentence(row(-0.05))
    assert "is lower than the baseline’s" in confirmation(row(-0.05))


def test_the_power_sentence_says_what_could_have_been_found() -> None:
    e = row(0.0)
    assert f"A true difference of {e['detectable']:.3f} would be found by four of five such studies" in power_sentence(
        e
    )
    assert signed(e["bootstrap_low"]) in power_sentence(e)


def test_a_share_that_is_not_defined_is_left_out_of_the_sentence() -> None:
    said = verdict_sentence({**row(0.05), "relative": np.nan})
    assert "%" not in said.replace("95 %", "")
    assert "nan" not in said


def test_few_prompts_are_named_as_a_limit(study: Study) -> None:
    few = effects({"r4_a8": 0.05, "r8_a8": 0.0}, prompts=4)
    write_report(study.report, study, VARIANTS, few, "r4_a8", "clip_a", {})
    text = Page(study.report.read_text(encoding="utf-8")).text
    assert "With 4 prompts the sign-flip test cannot fall below p = 0.05" in text
    assert "r4_a8 cannot be told from the baseline" in text


@pytest.mark.parametrize(("value", "said"), [(0.0654, "+0.065"), (-0.0123, "−0.012"), (0.0, "+0.000")])
def test_differences_carry_their_sign(value: float, said: str) -> None:
    assert signed(value) == said


def test_the_method_is_the_one_that_was_run(study: Study) -> None:
    text = Page(report(study, {"r4_a8": 0.1})).text
    assert f"{study.training.steps} steps" not in text and "timesteps for 321 steps" in text


def test_a_variant_that_stopped_early_is_said_to_have(study: Study) -> None:
    text = Page(report(study, {"r4_a8": 0.1, "r8_a8": 0.0})).text
    assert "The training of r4_a8 stopped early: nan" in text and "The training of r8_a8" not in text


def test_caption_ablation_is_a_section_where_there_is_one(study: Study) -> None:
    arms = {kind or "reviewed": Variant(rank=8, alpha=8, captions=kind).name for kind in (None, "shuffled")}
    gains = dict(zip(arms.values(), (0.05, -0.05), strict=True))
    rng, found = np.random.default_rng(0), []
    for (metric, model), p, (arm, gain) in product(
        (("clip_score", "clip_a"), ("identity", "eyes")), range(8), {BASELINE: 0.0, **gains}.items()
    ):
        found.append((arm, f"test {p}", 0, "test", metric, model, 0.5 + gain + rng.normal(0, 0.01)))
    table = ablation_table(pd.DataFrame(found, columns=list(COLUMNS)), arms)
    plain = Page(report(study, {"r4_a8": 0.05, "r8_a8": 0.0})).text
    write_report(study.report, study, VARIANTS, effects({"r4_a8": 0.05}), "r4_a8", "clip_a", {}, table)
    text = Page(study.report.read_text(encoding="utf-8")).text
    assert "What captions are worth" in text and "What captions are worth" not in plain
    row = table[(table["captions"] == "shuffled") & (table["metric"] == "clip_score")].iloc[0]
    assert "NAME is the file of params/variants that lists r4_a8, r8_a8, r8_a8_shuffled" in text
    assert "“shuffled” falls short of “reviewed”: CLIPScore" in text
    assert f"a difference of {signed(row['difference'])} (95 % interval" in text


def test_what_holds_over_noises_is_said_beside_what_each_test_errs() -> None:
    tests = ("verdict", "crossed interval", "samples as if independent")
    errors = pd.DataFrame({"test": tests, "rate": (0.073, 0.022, 0.239)})
    said = noise_sentence(Crossed(0.2, -0.01, 0.41, 0.06, 0.1), row(0.2), errors)
    assert "from the same 2 noises" in said and "−0.010 to +0.410 (p = 0.060)" in said
    assert "in 7 % of simulated" in said and "noises in 2 %" in said and "independent in 24 %" in said


def test_an_equivalent_metric_reads_as_one() -> None:
    assert "is equivalent to the baseline’s" in confirmation(row(0.0) | {"verdict": "is equivalent to"})
