"""The report says what the tables say, shows text as text, and needs nothing but itself."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import date
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import caplora
from caplora.choosing.ablation import ablation_table
from caplora.lora.adapter_files import weights_file
from caplora.lora.formats import DIFFUSERS
from caplora.report import provenance
from caplora.report.contents import FIGURES
from caplora.report.findings import Findings
from caplora.report.report import ROWS, as_run, leading_rows, rates_said, write_report
from caplora.statistics.agreement import tracking_table
from caplora.statistics.effects import COLUMNS, effect_table
from caplora.statistics.training_seeds import recipe_effects, recipe_split, recipes
from caplora.study.numbers import signed
from caplora.study.study import Study, read_study
from caplora.study.training_settings import Training
from caplora.study.variants import BASELINE, Variant

HOSTILE = '<img src=x onerror=alert(1)> & "quotes" {{ 7 * 7 }}'
VARIANTS = (Variant(rank=4, alpha=8), Variant(rank=8, alpha=8))
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")


KINDS = (("clip_score", "clip_a"), ("clip_score", "clip_b"), ("identity", "eyes"), ("clip_cosine", "clip_a"))


def scores(
    gains: Mapping[str, float], prompts: int = 8, kinds: Any = KINDS, splits: Any = ("development", "test")
) -> pd.DataFrame:
    """The scores of a study in which each variant gains as much in every metric, but for noise."""
    rng, found = np.random.default_rng(0), []
    for (metric, model), split, p, s in product(kinds, splits, range(prompts), range(2)):
        for arm, gain in {BASELINE: 0.0, **gains}.items():
            found.append((arm, f"{split} {p}", s, split, metric, model, 0.5 + p / 50 + gain + rng.normal(0, 0.01)))
    return pd.DataFrame(found, columns=list(COLUMNS))


def effects(gains: Mapping[str, float], prompts: int = 8) -> pd.DataFrame:
    """The table of effects of such a study."""
    return effect_table(scores(gains, prompts))


def findings(table: pd.DataFrame, **more: Any) -> Findings:
    """What 05 finds in a table of effects, r4_a8 chosen, of variants trained once."""
    known = recipes([v for v in VARIANTS if v.name in {*table["variant"]}], Training())
    return Findings(table, "r4_a8", "clip_a", known, **more)


def hostile_study(folder: Path, **drawing: Any) -> Study:
    """A study with hostile text wherever its file has text, and nothing made yet."""
    settings = {
        "name": "small",
        "question": f"Is it safe? {HOSTILE}",
        "images": {"folder": "faces"},
        "sampling": {"development": [f"one {HOSTILE}"], "test": [f"two {HOSTILE}", "three"]} | drawing,
    }
    (folder / "small.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return read_study(folder / "small.yaml")


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A study with a data set, adapters, and hostile text in every place that holds text."""
    read = hostile_study(tmp_path)
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


def report(study: Study, gains: Mapping[str, float], **more: Any) -> str:
    """The page of a study whose variants gained so much, r4_a8 chosen, with two figures."""
    png = study.figures / "teaser.png"
    png.parent.mkdir(parents=True, exist_ok=True)
    png.write_bytes(PNG)
    drawn = {"teaser": png, "forest": png}
    path = write_report(study.report, study, VARIANTS, findings(effects(gains), **more), drawn)
    assert path == study.report
    return path.read_text(encoding="utf-8")


def page_of(study: Study, table: pd.DataFrame, **more: Any) -> str:
    """The text of the page of these effects, without figures."""
    write_report(study.report, study, VARIANTS, findings(table, **more), {})
    return Page(study.report.read_text(encoding="utf-8")).text


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


@pytest.mark.fault(30)
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


@pytest.mark.fault(34)
def test_a_variant_without_scores_is_shown_as_missing(study: Study) -> None:
    assert "r8_a8 – no scores: this variant is missing" in Page(report(study, {"r4_a8": 0.05})).text
    assert "no scores" not in Page(report(study, {"r4_a8": 0.05, "r8_a8": 0.0})).text


def test_variant_that_was_spared_the_test_prompts_is_no_finalist_and_keeps_its_development_score(study: Study) -> None:
    table = effects({"r4_a8": 0.05, "r8_a8": 0.03})
    found = table[(table["variant"] == "r4_a8") | (table["split"] == "development")]
    said = "2 variants were compared, and the test prompts were spent on the best."
    text = page_of(study, found, spared=["r8_a8"], failed=said)
    own = found[(found["variant"] == "r8_a8") & (found["metric"] == "clip_score") & (found["model"] == "clip_a")]
    assert f"r8_a8 – no finalist: it did not draw the test prompts {signed(own['difference'].iloc[0])}" in text
    assert "every development prompt, and the baseline and the finalists every other one, with 4 seeds" in text
    assert said in text and "this variant is missing" not in text
    assert "every prompt with 4 seeds" in page_of(study, table)


def test_the_data_are_counted_from_the_ledger(study: Study) -> None:
    text = Page(report(study, {"r4_a8": 0.05, "r8_a8": 0.0})).text
    assert "6 images were used: 5 to train and 1 held out" in text
    assert "Of all captions, 3 are kept, 2 pending, 1 edited, 1 rejected." in text and "1 file was refused" in text
    words = len(HOSTILE.split())
    assert f"Those used have {words} to {words} words, {words} in the median, and 1 of 6 are different" in text
    assert "Licence: not recorded (6)" in text
    assert "2 captions had not been reviewed" in text


def test_few_prompts_are_named_as_a_limit(study: Study) -> None:
    few = effects({"r4_a8": 0.05, "r8_a8": 0.0}, prompts=4)
    text = page_of(study, few)
    assert "With 4 prompts the sign-flip test cannot fall below p = 0.125, so it can show no difference" in text
    assert "r4_a8 cannot be told from the baseline" in text


def test_the_method_is_the_one_that_was_run(study: Study) -> None:
    text = Page(report(study, {"r4_a8": 0.1})).text
    assert f"{study.training.steps} steps" not in text and "the same images for 321 steps" in text


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
    text = page_of(study, effects({"r4_a8": 0.05}), ablation=table)
    assert "What captions are worth" in text and "What captions are worth" not in plain
    row = table[(table["captions"] == "shuffled") & (table["metric"] == "clip_score")].iloc[0]
    assert "NAME is the file of params/variants that lists r4_a8, r8_a8, r8_a8_shuffled" in text
    assert "“shuffled” falls short of “reviewed”: CLIPScore" in text
    assert f"a difference of {signed(row['difference'])} (95 % interval" in text


def test_every_page_says_that_one_training_is_about_this_adapter_only(study: Study) -> None:
    assert "This is about this adapter only: it was trained once." in page_of(study, effects({"r4_a8": 0.05}))


def test_a_recipe_trained_several_times_is_what_the_headline_is_about(study: Study) -> None:
    table = scores({"r4_a8": 0.05, "r4_a8_s1": 0.04, "r4_a8_s2": 0.06})
    seeds = [Variant(rank=4, alpha=8, seed=seed) for seed in (None, 1, 2)]
    known = recipes(seeds, Training())
    over = recipe_effects(table, "clip_score", "clip_a", "test", known)
    parts = recipe_split(table, "clip_score", "clip_a", "test", known["r4_a8"])
    found = Findings(effect_table(table), "r4_a8", "clip_a", known, recipes=over, split=parts)
    write_report(study.report, study, seeds, found, {})
    text = Page(study.report.read_text(encoding="utf-8")).text
    assert "r4_a8 beats the baseline: CLIPScore differs by" in text and "3 trainings × 8 test prompts × 2 seeds" in text
    assert "This is about the recipe" in text and "adapter only" not in text
    assert "r4_a8 was trained 3 times (seeds 0, 1, 2), and its interval counts the training too" in text
    assert "Seeds of training: 0, 1, 2" in text and "training × prompt" in text


def test_a_control_that_failed_stands_above_the_result_and_one_not_run_is_said(study: Study) -> None:
    page = report(study, {"r4_a8": 0.05, "r8_a8": 0.0})
    assert page.count("not run</span>") == 2 and 'role="alert"' not in page
    row = {"control": "scale 0", "model": "", "n": 4, "reference": 0.0, "difference": np.nan, "low": np.nan}
    row |= {"high": np.nan, "p": np.nan, "metric": "pixels"}
    controls = [row | {"variant": "r4_a8", "value": 3.0, "passed": False}]
    controls += [row | {"variant": "r8_a8", "value": 0.0, "passed": True}]
    pd.DataFrame(controls).to_csv(study.controls, index=False)
    page = report(study, {"r4_a8": 0.05, "r8_a8": 0.0})
    text = Page(page).text
    assert page.index('role="alert"') < page.index('class="verdict"')
    assert "A control FAILED: scale 0." in text and "It FAILED for r4_a8: 3.000" in text


def test_hashes_in_the_page_are_those_of_the_files(study: Study) -> None:
    files = [weights_file(study, VARIANTS[0]), study.adapter(VARIANTS[0]) / DIFFUSERS, study.scores, study.arms]
    for number, path in enumerate(files[:3]):
        path.write_bytes(bytes([number]) * 99)
    text = Page(report(study, {"r4_a8": 0.05, "r8_a8": 0.0})).text
    for path in (*files[:3], study.dataset / "metadata.csv"):
        assert f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" in text
    assert "arms.csv" not in text
    prompts = json.dumps([f"two {HOSTILE}", "three"]).encode()
    assert f"test prompts {hashlib.sha256(prompts).hexdigest()[:12]}" in text


def test_a_judge_that_disagrees_with_clip_score_is_named(study: Study) -> None:
    kinds = (("clip_score", "clip_a"), ("judge", "eyes"))
    table = scores({"r4_a8": 0.05, "r8_a8": 0.05}, kinds=kinds)
    lost = (table["metric"] == "judge") & (table["variant"] == "r8_a8")
    table.loc[lost, "value"] -= 0.1
    text = page_of(study, effect_table(table), tracked=tracking_table(table))
    assert text.count("CLIPScore and the judge DISAGREE on 1 of 2 variants that differ in CLIPScore: r8_a8") == 2
    assert "There is no judge" in page_of(study, effects({"r4_a8": 0.05, "r8_a8": 0.05}))


def test_a_page_without_judge_arms_unrelated_prompts_or_a_second_variant_is_whole(study: Study) -> None:
    write_report(study.report, study, VARIANTS[:1], findings(effects({"r4_a8": 0.05})), {})
    text = Page(study.report.read_text(encoding="utf-8")).text
    assert "No judge knows" in text and "No unrelated prompts" in text
    assert not re.search(r"\bnan\b|None|Undefined", text.split("How to cite it")[0].replace(f"nan {HOSTILE}", ""))


def test_a_page_to_send_on_names_no_folder_of_this_machine(study: Study) -> None:
    page = report(study, {"r4_a8": 0.05, "r8_a8": 0.0})
    assert "Faces are not compared: there was no encoder of faces" in page
    assert str(Path.home() / ".cache") not in page and str(study.path("")) not in page


def test_secondary_suites_are_said_to_be_secondary(study: Study) -> None:
    table = scores({"r4_a8": 0.0, "r8_a8": 0.0}, splits=("development", "test", "edits", "unrelated"))
    text = page_of(study, effect_table(table))
    assert "Other prompts (secondary)" in text
    assert "8 edit prompts × 2 seeds" in text and "8 unrelated prompts × 2 seeds" in text
    assert "Other prompts" not in page_of(study, effects({"r4_a8": 0.0, "r8_a8": 0.0}))


def test_every_figure_has_a_place_and_unknown_ones_stand_at_the_end(study: Study, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    drawn = dict.fromkeys([*FIGURES, "something_else"], tmp_path / "a.png")
    table = ablation_table(scores({"r8_a8": 0.0, "r8_a8_none": -0.1}), {"reviewed": "r8_a8", "none": "r8_a8_none"})
    found = findings(effects({"r4_a8": 0.0}), ablation=table, images=["said"], steps=["said"])
    write_report(study.report, study, VARIANTS, found, drawn)
    page = study.report.read_text(encoding="utf-8")
    assert page.count("<img ") == len(drawn) and "Further figures" in page and "Something else." in page


def test_the_citation_names_version_year_and_the_hash_of_the_study(study: Study) -> None:
    text = page_of(study, effects({"r4_a8": 0.0}))
    settings = json.dumps(as_run(study, "r4_a8").model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(settings.encode()).hexdigest()
    assert f"version = {{{caplora.__version__}}}" in text and f"year = {{{date.today().year}}}" in text
    assert text.count(digest) == 2  # in the citation and among the hashes


@pytest.mark.parametrize(("repository", "times"), [("", 0), ("someone/lora-study", 2)])
def test_the_address_is_that_of_the_setting_and_none_where_it_is_empty(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: str, times: int
) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[tool.caplora]\nrepository = "{repository}"\n')
    monkeypatch.setattr(provenance, "PYPROJECT", tmp_path / "pyproject.toml")
    text = page_of(study, effects({"r4_a8": 0.0}))
    assert text.count("https://github.com/someone/lora-study") == times  # in the citation and in the commands
    assert ("git clone" in text) == ("url = " in text) == bool(times)


def test_method_says_what_variants_differ_in(study: Study, tmp_path: Path) -> None:
    variants = [VARIANTS[0], VARIANTS[0].model_copy(update={"use_rslora": True, "learning_rate": 5e-4})]
    page = write_report(tmp_path / "r.html", study, variants, findings(effects({"r4_a8": 0.1})), {})
    text = page.read_text(encoding="utf-8")
    assert "(α / r) or (α / √r) · B A" in text and " or 0.0005 (" in text


def test_of_very_many_variants_the_page_shows_the_tested_and_the_best_and_says_how_many_there_are() -> None:
    variants = [Variant(rank=i, alpha=8) for i in range(1, ROWS + 21)]
    rows = [{"variant": v.name, "test": None, "development": v.rank / 100} for v in variants]
    rows[0]["test"], rows[2]["development"] = {"adapter": 1.0}, None
    shown = [row["variant"] for row in leading_rows(rows, "r2_a8")]
    assert shown == ["r1_a8", "r2_a8", *(v.name for v in variants[22:])]  # one tested, the best, the best of the rest
    assert leading_rows(rows[:ROWS], "r2_a8") == rows[:ROWS]


def test_learning_rates_are_each_named_or_their_range_is() -> None:
    assert rates_said([1e-4, 5e-5]) == "0.0001 or 5e-05"
    assert rates_said([i / 1000 for i in range(1, 21)]) == "0.001 to 0.02 (20 rates)"
