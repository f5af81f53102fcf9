"""dataset.py: what is cached is what the VAE says, and an edited pixel is noticed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from caplora.base import encode_texts
from caplora.dataset import cached_moments, image_key, pixels_of
from tests.tiny import tiny_inputs, tiny_pipeline


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    made = []
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        made.append(tmp_path / f"{i}.png")
        Image.fromarray(pixels).save(made[-1])
    return made


def test_moments_are_the_vaes_own_in_any_batch(paths: list[Path], tmp_path: Path) -> None:
    vae = tiny_pipeline().vae
    with torch.no_grad():
        expected = torch.cat([vae.encode(pixels_of(Image.open(p))[None]).latent_dist.parameters for p in paths])
    for batch_size in (1, 2):
        made = torch.cat(list(cached_moments(vae, paths, tmp_path / f"cache{batch_size}", batch_size)))
        torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)


def test_cached_moments_are_not_made_again(paths: list[Path], tmp_path: Path) -> None:
    vae = tiny_pipeline().vae
    first = torch.cat(list(cached_moments(vae, paths, tmp_path / "cache")))
    times = {f: f.stat().st_mtime_ns for f in (tmp_path / "cache").iterdir()}
    assert torch.equal(torch.cat(list(cached_moments(vae, paths, tmp_path / "cache"))), first)
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "cache").iterdir()} == times


def test_one_changed_pixel_is_another_image(paths: list[Path]) -> None:
    image = Image.open(paths[0])
    before = image_key(image, "vae")
    image.putpixel((3, 3), tuple(255 - v for v in image.getpixel((3, 3))))
    assert image_key(image, "vae") != before
    assert image_key(Image.open(paths[0]), "another vae") != before


def test_pixels_run_from_minus_one_to_one() -> None:
    x = pixels_of(Image.fromarray(np.array([[[0, 127, 255]]], np.uint8)))
    torch.testing.assert_close(x.flatten(), torch.tensor([-1.0, -1 / 255, 1.0]), rtol=0, atol=1e-6)


def test_inputs_fingerprint_changes_with_any_part() -> None:
    inputs, other = tiny_inputs(), tiny_inputs()
    assert inputs.fingerprint() == other.fingerprint()
    other.texts[0, 0, 0] += 1
    assert inputs.fingerprint() != other.fingerprint()


def test_text_that_does_not_fit_shows_what_would_be_lost() -> None:
    pipeline = tiny_pipeline()
    fits = "hair " * 75
    assert encode_texts(pipeline, [fits]).shape == (1, 77, 24)
    with pytest.raises(ValueError, match=r"77 tokens and 75 fit: 'light shadow' would be lost"):
        encode_texts(pipeline, [fits + "light shadow"])
