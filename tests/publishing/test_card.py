"""card.py and facts.py: a card says what the study says, what it does not know it says so, and text stays text."""

import ast
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from PIL import Image, ImageChops
from safetensors import safe_open
from safetensors.torch import load_file

from caplora.lora.adapter_files import deltas_of, weights_file
from caplora.lora.formats import DIFFUSERS
from caplora.publishing.facts import Facts, opening
from caplora.publishing.folder import PublishError, write_folder
from caplora.publishing.metrics import _arm_row
from caplora.publishing.pictures import chosen_pictures
from caplora.sampling.arms import claim, study_arms
from caplora.sampling.jobs import plan_jobs, sample
from caplora.sampling.samples import named_sample
from caplora.sampling.solvers import SOLVERS
from caplora.study.files import file_hash
from caplora.study.numbers import number, signed
from caplora.study.variants import BASELINE
from tests.tiny import tiny_pipeline

from .small import (
    CAPTIONS,
    HOSTILE,
    OTHER,
    PRIVATE,
    SUBJECT,
    VARIANT,
    draw,
    findings,
    finished,
    small_facts,
    small_study,
    train,
)

MARKDOWN = MarkdownIt("gfm-like", {"html": True, "linkify": False})


def card_of(facts: Facts, repository: str = "") -> str:
    """The README.md of the folder that is written."""
    return (write_folder(facts, repository).path / "README.md").read_text(encoding="utf-8")


def words(card: str) -> str:
    """The page of a card as a reader sees it, in one line."""
    page = re.sub(r"<[^>]*>", " ", MARKDOWN.render(card.split("\n---\n", 1)[1]))
    return " ".join(page.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&").split())


def test_metadata_is_what_the_hub_reads(tmp_path: Path) -> None:
    facts = finished(tmp_path)
    data = ModelCard(card_of(facts)).data.to_dict()
    assert data["base_model"] == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert (data["library_name"], data["pipeline_tag"]) == ("diffusers", "text-to-image")
    assert (data["license"], data["instance_prompt"]) == ("creativeml-openrail-m", SUBJECT)
    assert {"lora", "text-to-image", "stable-diffusion", "diffusers"} <= {*data["tags"]}
    assert [w["output"]["url"] for w in data["widget"]] == [
        f"images/{named_sample(prompt, 0, 'test').file_name}" for prompt in facts.study.sampling.test
    ]
    [result] = ModelCard(card_of(facts)).data.eval_results
    e = facts.found.headline
    assert result.metric_value == f"{signed(e['difference'])} (95 % interval {signed(e['low'])} to {signed(e['high'])})"


@pytest.mark.fault(30)
def test_hostile_text_makes_no_metadata_no_html_and_no_links(tmp_path: Path) -> None:
    card = card_of(finished(tmp_path))
    data = ModelCard(card).data.to_dict()
    assert data["license"] == "creativeml-openrail-m" and "evil" not in json.dumps(list(data))
    assert len(re.findall(r"^---$", card, re.M)) == 2
    page = MARKDOWN.render(card.split("\n---\n", 1)[1])
    assert {*re.findall(r"<(\w+)", page)} <= {
        "h1", "h2", "p", "strong", "a", "code", "pre", "table", "thead", "tbody", "tr", "th", "td", "img", "ul", "li",
        "details", "summary", "Gallery",
    }  # fmt: skip
    assert all(to.startswith("https://huggingface.co/") for to in re.findall(r'href="([^"]*)"', page))
    assert all(src.startswith("images/") for src in re.findall(r'src="([^"]*)"', page))
    assert "<img src=x onerror=alert(1)>" in words(card) and "{{ 7 * 7 }}" in words(card)


def test_nothing_private_is_in_any_file(tmp_path: Path) -> None:
    folder = write_folder(finished(tmp_path))
    for path in folder.files:
        content = path.read_bytes()
        if path.name == "small_r4_a8.safetensors":
            with safe_open(path, framework="pt") as file:
                assert "ss_tag_frequency" not in file.metadata()  # phrases of captions, names among them
        assert [text for text in (*PRIVATE, str(tmp_path), "anna_") if text.encode() in content] == [], path
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert image.info == {} and not image.getexif()


def test_the_files_of_the_adapter_are_those_that_were_trained(tmp_path: Path) -> None:
    facts = finished(tmp_path)
    train(facts.study, VARIANT, captions=[SUBJECT, f"{SUBJECT}, smiling"])
    folder = write_folder(facts)
    kohya, card = weights_file(facts.study, VARIANT), (folder.path / "README.md").read_text(encoding="utf-8")
    assert (folder.path / DIFFUSERS).read_bytes() == kohya.with_name(DIFFUSERS).read_bytes()
    own, shared = load_file(kohya), load_file(folder.path / kohya.name)  # whose metadata is another
    assert own.keys() == shared.keys() and all(torch.equal(own[key], shared[key]) for key in own)
    assert all(file_hash(folder.path / name) in card for name in (DIFFUSERS, kohya.name))


@pytest.mark.parametrize("said", ["no", "Refused", "pending", "-"])
def test_a_denied_or_open_consent_is_none(tmp_path: Path, said: str) -> None:
    facts = finished(tmp_path)
    provenance = facts.study.images.provenance.model_copy(update={"consent": said})
    study = facts.study.model_copy(update={"images": facts.study.images.model_copy(update={"provenance": provenance})})
    (study.dataset / "metadata.csv").unlink(missing_ok=True)
    assert not replace(facts, study=study).consent


def test_an_adapter_that_did_not_draw_the_samples_has_no_card(tmp_path: Path) -> None:
    facts = finished(tmp_path)
    made = facts.study.samples(VARIANT.name) / "settings.json"
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_text(json.dumps({"adapter": {"name": "x", "scale": 1.0, "sha256": "0" * 64}}))
    with pytest.raises(PublishError, match="samples of r4_a8 are of an earlier training"):
        write_folder(facts)


def test_a_folder_of_this_machine_is_not_in_the_file_of_the_adapter(tmp_path: Path) -> None:
    study = small_study(tmp_path, base={"path": "/home/someone/models/my_base"})
    train(study, VARIANT, "/home/someone/models/my_base")
    folder = write_folder(small_facts(study))
    own = folder.path / weights_file(study, VARIANT).name
    with safe_open(own, framework="pt") as file:
        assert file.metadata()["ss_sd_model_name"] == "my_base"
    before, after = deltas_of(weights_file(study, VARIANT)), deltas_of(own)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    card = (folder.path / "README.md").read_text(encoding="utf-8")
    assert file_hash(own) in card and "base_model" not in ModelCard(card).data.to_dict() and "someone/" not in card


def test_numbers_of_the_card_are_those_of_the_effects(tmp_path: Path) -> None:
    facts = finished(tmp_path)
    said = words(card_of(facts)).replace("\u00a0", " ")
    own = facts.found.effects.query("variant == 'r4_a8' and split == 'test'")
    assert len(own) == 3
    for e in own.to_dict("records"):
        row = [number(e["baseline"]), number(e["adapter"]), signed(e["difference"])]
        assert " ".join([*row, f"{signed(e['low'])} to {signed(e['high'])}"]) in said
    for e in facts.found.effects.query(
        "split == 'development' and model == 'clip_a' and metric == 'clip_score'"
    ).to_dict("records"):
        assert f"{signed(e['difference'])} {signed(e['low'])} to {signed(e['high'])}" in said


@pytest.mark.parametrize(
    ("gain", "verdict"), [(0.05, "beats"), (0.0, "cannot be told from"), (-0.05, "falls short of")]
)
def test_a_null_reads_as_one_and_a_loss_as_a_loss(gain: float, verdict: str, tmp_path: Path) -> None:
    said = words(card_of(finished(tmp_path, gain)))
    assert f"r4_a8 {verdict} the baseline: CLIPScore" in said
    assert said.count(" beats the baseline") == (1 if gain > 0 else 0)


def test_what_was_not_measured_is_said_with_its_reason(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    card = card_of(small_facts(study, why="notebook 03, which draws samples, has not run"))
    said, data = words(card), ModelCard(card).data.to_dict()
    assert "was not measured: notebook 03, which draws samples, has not run" in said
    assert "widget" not in data and "model-index" not in data and "What it draws" not in said
    assert not re.search(r"beats|falls short|cannot be told|\bnan\b|None(?! of them)", said)


def test_a_variant_spared_the_test_prompts_says_so_and_shows_the_development_prompts(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    draw(study, BASELINE, VARIANT.name)
    train(study, OTHER)
    draw(study, OTHER.name, splits=("development",))
    found = findings({VARIANT.name: 0.05, OTHER.name: 0.0}, spared=[OTHER.name])
    table = found.effects[(found.effects["variant"] == VARIANT.name) | (found.effects["split"] == "development")]
    object.__setattr__(found, "effects", table)
    said = words(card_of(small_facts(study, found, OTHER)))
    assert "was not measured on the test prompts: the study spent its test prompts on r4_a8" in said
    assert "by which the study chose; they are no test" in said and "Nothing was measured" not in said
    assert "The first 2 development prompts" in said and "this one was chosen by hand" in said


def test_consent_and_licence_that_are_not_stated_are_said_not_to_be(tmp_path: Path) -> None:
    study = small_study(tmp_path, publishing={}, images={"folder": "faces"})
    facts = small_facts(study)
    said, data = words(card_of(facts)), ModelCard(card_of(facts)).data.to_dict()
    assert "license" not in data and "nobody has been given a right to use it" in said
    assert "Consent of the person they show: not recorded (3)" in said and not facts.consent


def test_what_the_ledger_leaves_open_the_study_states(tmp_path: Path) -> None:
    study = small_study(tmp_path, images={"folder": "faces", "provenance": {"consent": "signed"}})
    ledger = pd.read_csv(study.dataset / "metadata.csv", dtype=str)
    ledger.assign(consent=["by letter", "", ""]).to_csv(study.dataset / "metadata.csv", index=False)
    facts = small_facts(study)
    assert facts.rights["consent"] == {"signed": 2, "by letter": 1} and facts.consent
    assert facts.rights["origin"] == {"not recorded": 3}


@pytest.mark.parametrize(
    ("captions", "trigger"),
    [
        (CAPTIONS, SUBJECT),
        (["ink drawing of bob, smiling", "ink drawing of bob in a hat"], "ink drawing of bob"),
        (["ink drawings of bob", "ink drawing of bob"], "ink"),
        (["ink drawing of bob with a hat", "ink drawing of bob with the sun"], "ink drawing of bob"),
        (["a man", "the man"], ""),
        (["Jane Doe by her house"] * 3, ""),  # a caption is not what asks for anything else
        (["ink, Jane Doe by her house", "ink, Jane Doe by her car"], "ink"),
        (["", ""], ""),
    ],
)
def test_the_trigger_is_what_the_captions_open_with(captions: list[str], trigger: str, tmp_path: Path) -> None:
    study = small_study(tmp_path)
    path = study.adapter(VARIANT) / "training.json"
    path.write_text(json.dumps({"images": {str(i): {"caption": c} for i, c in enumerate(captions)}}))
    facts = small_facts(study)
    assert facts.trigger == trigger
    assert ("could be derived" in words(card_of(facts))) == (not trigger)
    assert ("instance_prompt" in ModelCard(card_of(facts)).data.to_dict()) == bool(trigger)
    assert opening(captions) in captions[0]


@pytest.mark.filterwarnings("ignore:`torch_dtype` is deprecated:FutureWarning")  # older ones know no other word
@pytest.mark.parametrize("solver", ["dpmsolver++_karras", "euler_a"])
def test_the_example_of_the_card_draws_the_picture_above_it(
    solver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = tiny_pipeline()
    pipeline.save_pretrained(tmp_path / "base")
    asked = {
        "development": ["a lake"],
        "test": ["a photo of a man", "a bowl"],
        "num_inference_steps": 3,
        "guidance_scale": 3.0,
    }
    study = small_study(tmp_path, base={"path": "base"}, sampling=asked | {"solver": solver})
    train(study, VARIANT, "base")
    arms = study_arms(study, [VARIANT], pipeline)
    claim(arms)
    list(sample(pipeline, plan_jobs(arms, study.sampling), study.sampling))
    folder = write_folder(small_facts(study))
    [example] = re.findall(r"```python\n(.*?)```", (folder.path / "README.md").read_text(encoding="utf-8"), re.S)
    here = example.replace("'base'", repr(str(tmp_path / "base"))).replace('.to("cuda")', "")
    monkeypatch.chdir(folder.path)
    drawn: dict[str, Any] = {}
    exec(here.replace("float16", "float32"), drawn)
    with Image.open(folder.path / "images" / named_sample("a photo of a man", 0, "test").file_name) as ours:
        assert max(high for _, high in ImageChops.difference(ours, drawn["picture"]).getextrema()) <= 1


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_example_of_a_variant_that_drew_nothing_is_python_too(solver: str, tmp_path: Path) -> None:
    asked = {"development": ["a lake"], "test": ["a photo of a man", "a bowl"], "solver": solver}
    card = card_of(small_facts(small_study(tmp_path, sampling=asked, images={"folder": "faces", "resolution": 384})))
    [example] = re.findall(r"```python\n(.*?)```", card, re.S)
    ast.parse(example)
    assert SOLVERS[solver].kind.__name__ in example and "height=384, width=384" in example


def test_pictures_are_the_first_prompts_whatever_they_score_and_copies_are_left_out(tmp_path: Path) -> None:
    facts = finished(tmp_path)
    study, prompts = facts.study, facts.study.sampling.test
    assert [pair.prompt for pair in chosen_pictures(study, VARIANT.name).pairs] == list(prompts)
    scored(facts, 0.5, 0.99, 0.5)
    chosen = chosen_pictures(study, VARIANT.name)
    assert [pair.prompt for pair in chosen.pairs] == [prompts[0], prompts[2]]
    assert (chosen.left_out, chosen.unchecked) == (1, 0)


def scored(facts: Facts, *values: float, split: str = "test", limit: float | str = 0.9) -> None:
    """Leave how near the first samples of a suite are to a training image, as 04 does."""
    study = facts.study
    columns = ["variant", "prompt", "seed", "split", "metric", "model", "value"]
    rows = [(VARIANT.name, prompt, 0, split, "memorisation", "eyes", value) for prompt, value in
            zip(study.sampling.suites[split], values, strict=False)]  # fmt: skip
    before = pd.read_csv(study.scores) if study.scores.is_file() else pd.DataFrame(columns=columns)
    after = pd.DataFrame([*before.itertuples(index=False, name=None), *rows], columns=columns)
    after.to_csv(study.scores, index=False)
    pd.DataFrame({"variant": [VARIANT.name], "similarity": [0.99], "limit": [limit]}).to_csv(study.closest, index=False)


def test_near_copies_of_a_suite_that_shows_nothing_are_counted_too(tmp_path: Path) -> None:
    facts = finished(tmp_path)
    scored(facts, 0.99, 0.99, 0.99)
    scored(facts, 0.5, 0.5, split="development")
    assert "Left out before them: 3 samples" in words(card_of(facts)) and "Not checked" not in words(card_of(facts))
    scored(facts, 0.99, 0.99, split="development")  # the last counts
    assert "No picture is shown: all 5 samples of the first seed are" in words(card_of(facts))


@pytest.mark.parametrize(
    ("values", "limit", "said"),
    [
        ((), 0.9, "all of them"),  # scored before there was this check
        ((0.5, 0.5, 0.5), "nan", "all of them"),  # no portrait was held out
        ((0.5, 0.5), 0.9, "1 of them"),
    ],
)
def test_pictures_that_nobody_compared_with_the_training_images_say_so(
    values: tuple[float, ...], limit: float | str, said: str, tmp_path: Path
) -> None:
    facts = finished(tmp_path)
    scored(facts, *values, limit=limit)
    assert f"Not checked for being as near to a training image as a copy of it: {said}." in words(card_of(facts))


def test_captions_are_counted_among_the_portraits_that_trained(tmp_path: Path) -> None:
    facts = finished(tmp_path)
    ledger = pd.read_csv(facts.study.dataset / "metadata.csv", dtype=str)
    others = ledger.assign(file_name=[f"other_{i}.png" for i in range(3)], status="pending", split="held_out")
    pd.concat([ledger, others]).to_csv(facts.study.dataset / "metadata.csv", index=False)
    said = words(card_of(facts))
    assert "1 caption had not been reviewed" in said and "1 not reviewed by anybody" in said


@pytest.mark.parametrize(("consent", "likeness"), [("nobody is shown", False), ("signed", True), ("", True)])
def test_a_likeness_is_warned_of_where_somebody_is_shown(consent: str, likeness: bool, tmp_path: Path) -> None:
    study = small_study(tmp_path, images={"folder": "faces", "provenance": {"consent": consent}})
    assert ("person’s likeness" in words(card_of(small_facts(study)))) == likeness


def test_every_metric_of_the_table_is_explained_and_p_is_corrected_where_several_were_tested(tmp_path: Path) -> None:
    facts = finished(tmp_path)
    said = words(card_of(facts))
    assert "corrected over the 2 variants that were tested" in said
    assert "identity: the cosine to the held-out portraits" in said
    alone = small_facts(facts.study, findings({VARIANT.name: 0.05}))
    assert "one variant was tested, so there is nothing to correct for" in words(card_of(alone))


def test_the_ratio_of_diversities_says_of_what_it_is_a_share() -> None:
    row = {"metric": "diversity", "model": "c", "baseline": 1.0, "value": 1.2, "difference": 0.2, "p_corrected": 0.1}
    [shown] = map(_arm_row, [row | {"n": 8}])
    assert shown["means"] == "diversity: diversity over the baseline’s"


def test_a_portrait_among_the_samples_is_not_shown(tmp_path: Path) -> None:
    facts = finished(tmp_path)
    path = facts.study.samples(VARIANT.name) / named_sample(facts.study.sampling.test[0], 0, "test").file_name
    Image.new("RGB", (16, 16), "red").save(path)
    assert path not in [pair.adapter for pair in chosen_pictures(facts.study, VARIANT.name).pairs]


@pytest.mark.parametrize("which", [DIFFUSERS, "small_r4_a8.safetensors"])
@pytest.mark.parametrize("wrong", ["changed", "gone", "nan"])
def test_an_adapter_that_is_not_what_was_trained_is_not_published(which: str, wrong: str, tmp_path: Path) -> None:
    facts = finished(tmp_path)
    path = facts.study.adapter(VARIANT) / which
    if wrong == "gone":
        path.unlink()
    elif wrong == "changed":
        path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    else:
        spoilt(path, facts)
    said = {"changed": "not the file that its training left", "gone": "is not there", "nan": "not finite"}[wrong]
    with pytest.raises(PublishError, match=said) as caught:
        write_folder(facts)
    assert which in str(caught.value) and "run 02_train_lora again" in str(caught.value)


def spoilt(path: Path, facts: Facts) -> None:
    """Have a file hold a NaN, and its training say that it left it so."""
    from safetensors.torch import load_file, save_file

    state = load_file(path)
    first = next(key for key in state if "alpha" not in key)
    state[first][0, 0] = float("nan")
    save_file(state, path)
    record = path.with_name("settings.json")
    said = json.loads(record.read_text())
    said["sha256"][path.name] = file_hash(path)
    record.write_text(json.dumps(said))
    facts.__dict__.pop("record", None)


def test_a_card_written_twice_is_the_same_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    facts = finished(tmp_path)
    once = {p.name: p.read_bytes() for p in write_folder(facts).files}
    (facts.study.run / "card" / VARIANT.name / "images" / "old.png").write_bytes(b"old")
    again = write_folder(facts)
    assert {p.name: p.read_bytes() for p in again.files} == once
    assert list(again.path.parent.glob("*.part")) == list(again.path.parent.glob(".*.part")) == []


def test_hostile_is_hostile() -> None:
    assert all(text in HOSTILE for text in PRIVATE)


def test_the_card_of_a_kept_step_is_of_its_training_and_says_its_step(tmp_path: Path) -> None:
    study, kept = small_study(tmp_path), VARIANT.model_copy(update={"step": 150})
    for variant in (VARIANT, kept):
        train(study, variant)
    (study.adapter(kept) / "training.json").unlink()  # 02 writes one for the whole training
    facts = small_facts(study, variant=kept)
    assert facts.captions == Facts(study, VARIANT, facts.measured).captions != []
    assert "150 steps of" in words(card_of(facts))
