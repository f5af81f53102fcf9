"""doubts.py and tokens.py: what is wrong with a caption is found, what is there is never reported missing."""

import csv
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from caplora.captions.doubts import DOUBTS, FACETS, RULES, SPACES, Finding, doubt, findings_table, identity_words, lint
from caplora.captions.tokens import load_tokenizer, lost_words, token_count
from caplora.mini.world.world import caption, clauses, draw_person, draw_scene, truth
from caplora.study.reading import PROJECT
from caplora.study.settings import Captioning
from caplora.study.study import read_study

TOKENIZER = load_tokenizer(read_study("mini"))
NO_FACETS = Captioning(facets=())
WHOLE = "a photo of a person with long red hair, smiling, in soft light, in a park, in a blue coat"


def found(text: str, captioning: Captioning = NO_FACETS) -> dict[str, str]:
    """Rule → message for one caption."""
    return {finding.rule: finding.message for finding in lint({"a.png": text}, TOKENIZER, captioning)}


def lacking(text: str) -> set[str]:
    """The facets that are reported missing."""
    return {rule.removeprefix("lacks_") for rule in found(text, Captioning()) if rule.startswith("lacks_")}


def test_a_whole_caption_has_no_findings() -> None:
    assert found(WHOLE, Captioning()) == {}


def test_every_rule_can_be_found_and_findings_come_by_file_and_in_their_order() -> None:
    captions = {"a.png": "", "b.png": "a young\u200b person" + " in red" * 80, "c.png": "x y", "d.png": "X  y"}
    agreement = {f"{i}.png": 0.3 + i / 1000 for i in range(9)} | {"d.png": -0.9}
    findings = lint(captions, TOKENIZER, Captioning(), agreement)
    assert {finding.rule for finding in findings} == set(RULES)
    assert list(dict.fromkeys(finding.file_name for finding in findings)) == list(captions)
    for name in captions:
        rules = [finding.rule for finding in findings if finding.file_name == name]
        assert rules == sorted(rules, key=RULES.index)


def test_what_a_mini_caption_says_is_never_reported_missing_and_what_it_leaves_out_is() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        attributes = truth(draw_person(rng), draw_scene(rng))
        assert found(caption(attributes, rng), Captioning()) == {}
        parts = clauses(attributes, rng)
        for facet in FACETS:
            rest = ", ".join(text for name, text in parts.items() if name != facet and text)
            assert lacking(rest) == {facet}, rest


def test_the_example_ledger_is_clean() -> None:
    with (PROJECT / "datasets" / "metadata_example.csv").open(encoding="utf-8-sig", newline="") as file:
        captions = {row["file_name"]: row["text"] for row in csv.DictReader(file)}
    assert captions
    assert lint(captions, TOKENIZER, read_study("mini").captioning) == []


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("a blonde woman with a smile wearing a tank top on a sunny beach", set()),
        ("a bald man laughing in a suit by a window, backlit", set()),
        ("there is a woman that is standing in front of a wall with her hair blowing",
         {"expression", "lighting", "clothes"}),
        ("a woman with a ponytail and a serious expression in a dimly lit room, leather jacket", set()),
        ("a close up of a person looking at the camera", {*FACETS}),
        ("a red-haired girl, frowning, neon lights of a city, hoodie", set()),
        ("light brown eyes and light blue sleeves", {"hair", "expression", "lighting", "background"}),
        ("in front of the camera, sky-blue scarf", {"hair", "expression", "lighting", "background"}),
        ("wearing black glasses", {*FACETS}),
        ("dressed in black", {*FACETS} - {"clothes"}),
        ("studio light", {*FACETS} - {"lighting"}),
    ],
)  # fmt: skip
def test_facets_are_read_in_the_words_of_captioners(text: str, lacks: set[str]) -> None:
    assert lacking(text) == lacks


def test_only_the_facets_of_the_study_are_asked_for() -> None:
    assert set(found("a person", Captioning(facets=("hair", "clothes")))) == {"lacks_hair", "lacks_clothes"}
    assert found("a person") == {}


@pytest.mark.fault(12)
@pytest.mark.parametrize("text", ["", " \n", "…", ", ,"])
def test_no_words_is_the_only_finding_of_an_empty_caption(text: str) -> None:
    findings = lint({"a.png": text, "b.png": text}, TOKENIZER, Captioning())
    assert [(finding.file_name, finding.rule) for finding in findings] == [("a.png", "empty"), ("b.png", "empty")]


@pytest.mark.fault(11)
@pytest.mark.parametrize("words", [74, 75, 76, 77, 90])
def test_the_words_that_do_not_fit_are_named(words: int) -> None:
    """Each of these words is one token, and 75 fit between start and end."""
    text = " ".join(["red", "hair", "in", "a", "park"] * 18).split()[:words]
    lost = text[75:]
    assert lost_words(" ".join(text), TOKENIZER) == " ".join(lost)
    said = found(" ".join(text)).get("long")
    assert said == (f"{words} tokens and 75 fit: “{' '.join(lost)}” is lost" if lost else None)


def test_a_word_that_fits_in_part_is_lost_whole() -> None:
    text = "red " * 74 + "xylophones, red"
    assert token_count("xylophones", TOKENIZER) > 1
    assert lost_words(text, TOKENIZER) == "xylophones, red"


@pytest.mark.fault(11)
@given(st.text(max_size=200), st.integers(0, 90))
def test_what_is_not_lost_fits_and_a_word_more_would_not(tail: str, reds: int) -> None:
    text = "red " * reds + tail
    count = len(TOKENIZER(text.encode("utf-8", "replace").decode(), add_special_tokens=False).input_ids)
    lost = lost_words(text, TOKENIZER)
    assert token_count(text, TOKENIZER) == count
    assert text.endswith(lost)
    assert bool(lost) == (count > 75)
    assert token_count(text.removesuffix(lost) if lost else text, TOKENIZER) <= 75


def test_counting_keeps_up_with_typing() -> None:
    text = "an ink drawing of a woman with long red hair, smiling, in soft light, " * 8
    times = []
    for _ in range(20):
        began = time.perf_counter()
        lost_words(text, TOKENIZER)
        token_count(text, TOKENIZER)
        times.append(time.perf_counter() - began)
    assert sorted(times)[10] < 0.005  # seconds; the median, as the machine may be busy


def test_captions_of_the_same_words_name_each_other() -> None:
    findings = lint({"a.png": "Red  hair", "b.png": "blue", "c.png": "red hair", "d.png": "red hair "},
                    TOKENIZER, NO_FACETS)  # fmt: skip
    assert [(f.file_name, f.rule) for f in findings] == [("a.png", "same"), ("c.png", "same"), ("d.png", "same")]
    assert findings[1].message == "the same words as a.png and d.png"


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("a young asian woman with red hair", ["young", "asian"]),
        ("a black woman beside a white man", ["black", "white"]),
        ("a 25 year old man in his late twenties", ["25 year old", "in his late twenties"]),
        ("an old man, an elderly lady", ["old", "elderly"]),
        ("a beautiful blue-eyed woman, very pretty", ["beautiful", "very pretty"]),
        ("a korean actress, a K-pop idol, a fashion model", ["korean", "actress", "K-pop", "idol", "model"]),
        ("a woman named jenny", ["named jenny"]),
        ("a photo of Taylor Swift on stage", ["Taylor Swift"]),
        ("a portrait of Madonna", ["Madonna"]),
        ("Jean-Luc de la Tour and Kim Min-ji", ["Jean-Luc de la Tour", "Kim Min-ji"]),
        ("an old wooden house, a beautiful sunset behind a woman", []),
        ("a black haired woman, a black-and-white dog, french braids", []),
        ("A Woman in New York City, near the Golden Gate Bridge", []),
        ("a woman in a T-shirt. She is smiling, with a supermodern lamp", []),
    ],
)
def test_words_for_who_it_is_are_found_and_words_for_how_it_looks_are_not(text: str, who: list[str]) -> None:
    assert identity_words(text) == who
    assert ("identity" in found(text)) == bool(who)


@pytest.mark.parametrize("subject", ["a photo of Jane Doe", "a photo of jane, a young doe woman"])
def test_the_words_of_the_studys_subject_are_never_reported(subject: str) -> None:
    captioning = Captioning(subject=subject, facets=())
    assert found(f"{subject} with red hair", captioning) == {}
    assert found("a portrait of Jane Doe", captioning) == {}
    assert found(f"{subject} beside John Smith", captioning) == {"identity": "says who it is: John Smith"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("long\u200b hair", "U+200B"),
        ("long\x1chair", "U+001C"),
        ("half \ud800", "U+D800"),
        ("a caf\N{REPLACEMENT CHARACTER}", "broken letters"),
        ("a cafÃ©", "broken letters Ã©"),
        ("itâ€™s", "broken letters â€™"),
        ("a cafe\u0301", "normalise to NFC"),
        ("red <|endoftext|> hair", "<|endoftext|> is a mark of the tokenizer"),
        ("긴 머리", "no token for 긴 머 리: read as bytes"),
    ],
)
def test_what_the_tokenizer_does_not_read_as_it_is_meant_is_found(text: str, says: str) -> None:
    assert says in found(text)["unknown"]


@pytest.mark.parametrize("space", SPACES)
def test_what_the_tokenizer_reads_as_a_space_is_no_doubt(space: str) -> None:
    assert TOKENIZER(f"long{space}hair").input_ids == TOKENIZER("long hair").input_ids
    assert "unknown" not in found(f"long{space}hair")


def test_plain_english_is_known() -> None:
    assert "unknown" not in found('it\'s a t-shirt; 3.5 cm wide (red & blue), "hello!"')


def test_agreement_far_below_the_rest_is_found_by_the_robust_z_score() -> None:
    rng = np.random.default_rng(0)
    agreement = {f"{i}.png": float(value) for i, value in enumerate(rng.normal(0.3, 0.02, 60))}
    agreement |= {"far.png": 0.1, "high.png": 0.9}
    values = np.array(list(agreement.values()))
    z = (values - np.median(values)) / stats.median_abs_deviation(values, scale="normal")
    far = {name for name, score in zip(agreement, z, strict=True) if score < -2}
    findings = lint(dict.fromkeys(agreement, WHOLE), TOKENIZER, Captioning(), agreement)
    assert {f.file_name for f in findings if f.rule == "disagrees"} == far
    assert "far.png" in far and "high.png" not in far
    [message] = [f.message for f in findings if (f.file_name, f.rule) == ("far.png", "disagrees")]
    assert "0.100" in message and f"z {z[60]:.1f}" in message


@pytest.mark.parametrize("agreement", [None, {}, {"a.png": 0.1}, {"a.png": 0.1, "b.png": 0.1, "c.png": -1.0}])
def test_agreement_without_spread_says_nothing(agreement: dict[str, float] | None) -> None:
    assert lint({"a.png": WHOLE}, TOKENIZER, Captioning(), agreement) == []


def test_doubt_adds_up_and_comes_most_doubtful_first() -> None:
    findings = [Finding("a", "lacks_hair", ""), Finding("b", "identity", ""), Finding("b", "lacks_hair", "")]
    queue = doubt(findings, ["c", "a"])
    assert queue == {"b": DOUBTS["identity"] + 1, "a": 2.0, "c": 1.0}
    assert list(queue) == ["b", "a", "c"]
    assert doubt([]) == {}


def test_findings_make_a_table() -> None:
    table = findings_table(lint({"a.png": ""}, TOKENIZER, Captioning()))
    assert table.to_dict("list") == {"file_name": ["a.png"], "rule": ["empty"], "message": ["there are no words"]}
    assert list(findings_table([]).columns) == ["file_name", "rule", "message"]


def test_the_rules_are_the_settings_facets_and_the_rest() -> None:
    assert {f"lacks_{facet}" for facet in Captioning().facets} <= set(RULES)
    assert set(DOUBTS) <= set(RULES)
