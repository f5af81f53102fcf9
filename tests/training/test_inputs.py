"""inputs.py: what is cached is what the models say, and an edited pixel or caption is noticed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from caplora.images.pixels import pixels_hash
from caplora.models.texts import encode_texts
from caplora.study.training_settings import Training
from caplora.training.inputs import Encoders, pixels_of
from tests.tiny import tiny_inputs, tiny_pipeline

PLAIN = Training()
CAPTIONS = {"0.png": "a woman with red hair", "1.png": "a man", "2.png": "a woman with red hair"}
OTHERS = {
    "none": dict.fromkeys(CAPTIONS, ""),
    "shuffled": {"2.png": "a man", "0.png": "a man", "1.png": CAPTIONS["0.png"]},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    return tmp_path


def test_inputs_are_what_the_models_say(folder: Path) -> None:
    pipeline = tiny_pipeline()
    inputs = Encoders(pipeline, folder / "cache", PLAIN).inputs(folder, CAPTIONS.items())
    with torch.no_grad():
        for i, (name, caption) in enumerate(CAPTIONS.items()):
            x = pixels_of(Image.open(folder / name))[None]
            assert torch.equal(inputs.moments[i, 0], pipeline.vae.encode(x).latent_dist.parameters[0])
            assert torch.equal(inputs.texts[i], encode_texts(pipeline, [caption])[0])
        assert torch.equal(inputs.empty, encode_texts(pipeline, [""])[0])
    assert len(inputs) == 3 and inputs.moments.shape[1] == 1
    assert [s["caption"] for s in inputs.sources.values()] == list(CAPTIONS.values())


def test_order_of_the_captions_changes_nothing(folder: Path) -> None:
    pipeline = tiny_pipeline()
    one = Encoders(pipeline, folder / "cache", PLAIN).inputs(folder, CAPTIONS.items())
    other = Encoders(pipeline, folder / "cache", PLAIN).inputs(folder, reversed(CAPTIONS.items()))
    assert torch.equal(one.moments, other.moments) and list(one.sources) == list(other.sources)


def test_nothing_is_encoded_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = tiny_pipeline()
    first = Encoders(pipeline, folder / "cache", PLAIN).inputs(folder, CAPTIONS.items())
    assert len(list((folder / "cache").iterdir())) == 3 + 3  # images; two captions and the empty one
    encoders = Encoders(pipeline, folder / "cache", PLAIN)
    monkeypatch.setattr(pipeline.vae, "encode", None)
    monkeypatch.setattr(pipeline.text_encoder, "forward", None)
    again = encoders.inputs(folder, CAPTIONS.items())
    assert torch.equal(first.moments, again.moments) and torch.equal(first.texts, again.texts)


@pytest.mark.fault(16)
def test_an_edited_pixel_or_caption_is_another_input(folder: Path) -> None:
    pipeline = tiny_pipeline()
    encoders = Encoders(pipeline, folder / "cache", PLAIN)
    before = encoders.inputs(folder, CAPTIONS.items())
    image = Image.open(folder / "0.png")
    image.putpixel((3, 3), tuple(255 - v for v in image.getpixel((3, 3))))
    image.save(folder / "0.png")
    after = encoders.inputs(folder, (CAPTIONS | {"1.png": "a man, smiling"}).items())
    assert not torch.equal(before.moments[0], after.moments[0]) and torch.equal(before.moments[1:], after.moments[1:])
    assert not torch.equal(before.texts[1], after.texts[1]) and torch.equal(before.texts[2], after.texts[2])
    assert before.sources["0.png"]["pixels"] != after.sources["0.png"]["pixels"]


@pytest.mark.fault(16)
@pytest.mark.parametrize("part", ["vae", "text_encoder"])
def test_another_model_or_precision_is_another_cache(part: str, folder: Path) -> None:
    pipeline = tiny_pipeline()
    before = Encoders(pipeline, folder / "cache", PLAIN).inputs(folder, CAPTIONS.items())
    weights = list(getattr(pipeline, part).parameters())
    weights[0 if part == "vae" else -1].data.view(-1)[0] += 1  # the first layer of one, the last of the other
    after = Encoders(pipeline, folder / "cache", PLAIN).inputs(folder, CAPTIONS.items())
    assert torch.equal(before.moments, after.moments) == (part != "vae")
    assert torch.equal(before.texts, after.texts) == (part != "text_encoder")
    hashes = Encoders(pipeline, folder, PLAIN)
    getattr(pipeline, part).to(torch.float16)
    halved = Encoders(pipeline, folder, PLAIN)
    assert (hashes.vae_hash, hashes.text_hash) != (halved.vae_hash, halved.text_hash)


@pytest.mark.fault(16)
def test_flips_add_the_mirror_image(folder: Path) -> None:
    pipeline = tiny_pipeline()
    inputs = Encoders(pipeline, folder / "cache", Training(random_flip=True)).inputs(folder, CAPTIONS.items())
    mirrored = pixels_of(ImageOps.mirror(Image.open(folder / "1.png")))[None]
    with torch.no_grad():
        assert torch.equal(inputs.moments[1, 1], pipeline.vae.encode(mirrored).latent_dist.parameters[0])
    assert not torch.equal(inputs.moments[1, 0], inputs.moments[1, 1])


def test_trained_text_encoder_is_given_tokens(folder: Path) -> None:
    pipeline = tiny_pipeline()
    inputs = Encoders(pipeline, folder, Training(train_text_encoder=True)).inputs(folder, CAPTIONS.items())
    assert inputs.texts.shape == (3, 77) and not inputs.texts.is_floating_point()
    assert torch.equal(inputs.texts[0], inputs.texts[2]) and not torch.equal(inputs.texts[0], inputs.empty)


def test_class_images_follow_the_others() -> None:
    both = tiny_inputs(5).with_class_images(tiny_inputs(2, seed=1))
    assert len(both) == 5 and both.class_images == 2 and len(both.moments) == 7
    assert list(both.sources)[-1] == "class/1.png"


def test_pixels_run_from_minus_one_to_one() -> None:
    x = pixels_of(Image.fromarray(np.array([[[0, 127, 255]]], np.uint8)))
    torch.testing.assert_close(x.flatten(), torch.tensor([-1.0, -1 / 255, 1.0]), rtol=0, atol=1e-6)
    assert pixels_hash(Image.new("RGB", (2, 3))) != pixels_hash(Image.new("RGB", (3, 2)))


@pytest.mark.fault(11)
def test_text_that_does_not_fit_shows_what_would_be_lost() -> None:
    pipeline = tiny_pipeline()
    fits = "hair " * 75
    assert encode_texts(pipeline, [fits]).shape == (1, 77, 24)
    with pytest.raises(ValueError, match=r"77 tokens and 75 fit: 'light shadow' would be lost"):
        encode_texts(pipeline, [fits + "light shadow"])


def test_other_captions_are_texts_of_the_same_images(folder: Path) -> None:
    pipeline = tiny_pipeline()
    inputs = Encoders(pipeline, folder / "cache", PLAIN).inputs(folder, reversed(CAPTIONS.items()), OTHERS)
    assert len(inputs) == 3 and len(inputs.texts) == 9
    with torch.no_grad():
        for kind, captions in {None: CAPTIONS, **OTHERS}.items():
            for i, name in enumerate(sorted(CAPTIONS)):
                expected = encode_texts(pipeline, [captions[name]])[0]
                assert torch.equal(inputs.texts[inputs.first_text(kind) + i], expected)
            assert {name: s["caption"] for name, s in inputs.sources_of(kind).items()} == captions
    assert inputs.sources_of(None) == inputs.sources
    assert len(list((folder / "cache").iterdir())) == 3 + 3  # other kinds are made of the same texts


def test_other_captions_are_tokens_where_the_text_encoder_is_trained(folder: Path) -> None:
    encoders = Encoders(tiny_pipeline(), folder, Training(train_text_encoder=True))
    inputs = encoders.inputs(folder, CAPTIONS.items(), OTHERS)
    assert inputs.texts.shape == (9, 77) and not inputs.texts.is_floating_point()
    assert torch.equal(inputs.texts[inputs.first_text("none")], inputs.empty)


def test_captions_that_the_inputs_lack_are_named() -> None:
    for ask in (tiny_inputs().first_text, tiny_inputs().sources_of):
        with pytest.raises(ValueError, match="captions of the kind 'machine' and these inputs have none"):
            ask("machine")


def test_class_images_have_their_own_caption_whatever_the_others_are(folder: Path) -> None:
    encoders = Encoders(tiny_pipeline(), folder / "cache", PLAIN)
    own, of_class = encoders.inputs(folder, CAPTIONS.items(), OTHERS), encoders.inputs(folder, [("1.png", "a face")])
    both = own.with_class_images(of_class)
    for kind in (None, *OTHERS):
        first = both.first_text(kind)
        assert torch.equal(both.texts[first : first + 3], own.texts[own.first_text(kind) :][:3])
        assert torch.equal(both.texts[first + 3], of_class.texts[0])
        assert both.sources_of(kind)["class/1.png"]["caption"] == "a face"


@pytest.mark.parametrize("left", [0, 20, -3])
def test_what_is_damaged_in_the_cache_is_made_anew(left: int, folder: Path) -> None:
    pipeline = tiny_pipeline()
    before = Encoders(pipeline, folder / "cache", PLAIN).inputs(folder, CAPTIONS.items())
    for file in (folder / "cache").iterdir():
        file.write_bytes(file.read_bytes()[:left])
    after = Encoders(pipeline, folder / "cache", PLAIN).inputs(folder, CAPTIONS.items())
    assert torch.equal(before.moments, after.moments) and torch.equal(before.texts, after.texts)
