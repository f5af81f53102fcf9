"""mini/world/: the portrait world shows what its captions say, and the same seed paints the same world."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import BertTokenizer

from caplora.captions.ledger import Row, read_ledger, write_ledger
from caplora.mini.reviewer import review_portraits
from caplora.mini.training.measure import MODELS
from caplora.mini.world.pictures import paint, paint_person, read_pictures
from caplora.mini.world.portraits import COUNT, PORTRAITS, TRUTH, the_person
from caplora.mini.world.styles import render
from caplora.mini.world.words import bert_tokenizer, clip_tokenizer, corpus
from caplora.mini.world.world import (
    ATTRIBUTES,
    BASE_STYLES,
    NEW_STYLE,
    caption,
    change_one,
    clauses,
    draw_person,
    draw_scene,
    truth,
)
from caplora.study.reading import PROJECT
from tests.tiny import tokenizer_once


def test_same_seed_paints_the_same_pixels() -> None:
    (a, labels), (b, _), (c, _) = paint_person(1, 7, 2), paint_person(1, 7, 2), paint_person(1, 8, 2)
    assert np.array_equal(a, b) and not np.array_equal(a, c)
    assert a.shape == (2, 128, 128, 3) and a.dtype == np.uint8 and labels.shape == (2, len(ATTRIBUTES))


@pytest.mark.parametrize("attribute", [a for a in ATTRIBUTES if a != "kind"])
def test_every_attribute_shows_in_the_picture(attribute: str) -> None:
    person = draw_person(np.random.default_rng(0), "woman")
    scene = replace(draw_scene(np.random.default_rng(1), ("cartoon",)), glasses="none", hair="short")
    pictures = [
        render(person, replace(scene, **{attribute: value}), np.random.default_rng(2)).astype(float)
        for value in ATTRIBUTES[attribute]
    ]
    for i, a in enumerate(pictures):
        for b in pictures[:i]:
            assert np.abs(a - b).mean() > 0.3, "two values of an attribute look alike"


def test_changed_attributes_differ_in_exactly_one() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        shown = truth(draw_person(rng), draw_scene(rng))
        changed = change_one(shown, rng)
        assert sum(shown[a] != changed[a] for a in ATTRIBUTES) == 1
        assert caption(shown) != caption(changed)


def test_plain_caption_holds_every_clause() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        shown = truth(draw_person(rng), draw_scene(rng))
        assert all(clause in caption(shown) for clause in clauses(shown).values())


def test_base_styles_lack_the_new_one() -> None:
    assert NEW_STYLE not in BASE_STYLES and set(BASE_STYLES) | {NEW_STYLE} == set(ATTRIBUTES["style"])
    rng = np.random.default_rng(0)
    assert {draw_scene(rng, BASE_STYLES).style for _ in range(200)} == set(BASE_STYLES)


def test_the_shipped_tokenizers_have_the_words_that_the_world_teaches() -> None:
    """CLIP's in any order: where two pairs are as frequent, the library merges now one first and now the other."""
    clip, bert = clip_tokenizer(), bert_tokenizer()
    shipped = BertTokenizer.from_pretrained(MODELS / "blip")
    assert clip.get_vocab().keys() == tokenizer_once().get_vocab().keys() and bert.get_vocab() == shipped.get_vocab()
    for learned, own in ((clip, tokenizer_once()), (bert, shipped)):
        assert (learned.special_tokens_map, learned.model_max_length) == (own.special_tokens_map, own.model_max_length)


def test_any_text_tokenises_and_comes_back() -> None:
    tokenizer = tokenizer_once()
    for text in ("안녕하세요 naïve", "a photo of ☃ & <b>", *corpus(3)):
        ids = tokenizer(text).input_ids
        kept = tokenizer.decode(ids, skip_special_tokens=True)
        assert kept.replace(" ", "") == text.lower().replace(" ", "")
    assert max(len(tokenizer(text).input_ids) for text in corpus(500)) <= 56


def test_captioners_words_cover_the_worlds_captions() -> None:
    tokenizer = BertTokenizer.from_pretrained(MODELS / "blip")
    assert all(tokenizer.unk_token_id not in tokenizer(text).input_ids for text in corpus(200))


def test_painted_world_reads_back(tmp_path: Path) -> None:
    assert list(paint(tmp_path / "world.npz", people=3, each=2, seed=5, processes=1)) == [1, 2, 3]
    pictures = read_pictures(tmp_path / "world.npz")
    assert np.array_equal(pictures.images[2:4], paint_person(5, 1, 2)[0])
    assert pictures.people.tolist() == [0, 0, 1, 1, 2, 2]
    part = pictures.of_styles((pictures.attributes(0)["style"],))
    assert len(part.people) >= 1 and all(
        part.attributes(i)["style"] == part.attributes(0)["style"] for i in range(len(part.people))
    )


def test_shipped_portraits_are_the_ones_that_the_world_draws() -> None:
    files = sorted(PORTRAITS.glob("*.png"))
    assert len(files) == COUNT and TRUTH.is_file() and TRUTH.parent != PORTRAITS
    rng = np.random.default_rng(2026)
    for path in files[:3]:
        assert np.array_equal(np.asarray(Image.open(path)), render(the_person(), draw_scene(rng, (NEW_STYLE,)), rng))


def test_reviewer_keeps_what_is_right_corrects_what_is_not_and_decides_once(tmp_path: Path) -> None:
    (tmp_path / "mini.yaml").write_text((PROJECT / "params/studies/mini.yaml").read_text(encoding="utf-8"))
    folder, shown = tmp_path / "datasets" / "mini", json.loads(TRUTH.read_text(encoding="utf-8"))
    folder.mkdir(parents=True)
    names = sorted(shown)[:3]
    for name in names:
        (folder / name).write_bytes((PORTRAITS / name).read_bytes())
    right = [caption(shown[name]) for name in names]
    said = [Row(n, text=t, machine_text="a cartoon", source=n, suggestion=t) for n, t in zip(names, right, strict=True)]
    write_ledger(
        folder, [said[0], replace(said[1], text="a man", suggestion="a man"), replace(said[2], status="rejected")]
    )
    assert [row.status for row in review_portraits(str(tmp_path / "mini.yaml"))] == ["kept", "edited"]
    rows = read_ledger(folder)
    assert [row.text for row in rows] == right and {row.machine_text for row in rows} == {"a cartoon"}
    assert [row.status for row in rows] == ["kept", "edited", "rejected"]
    assert review_portraits(str(tmp_path / "mini.yaml")) == []
