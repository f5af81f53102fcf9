"""captioning.py: a real BLIP with random weights says the same of the same pixels, once."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from caplora.captioning import MEMORY, CaptioningError, captioner_mark, captions_of, load_captioner, machine_captions
from caplora.mini.blip import new_blip, processor_of
from caplora.mini.words import bert_tokenizer
from caplora.settings import Captioning
from caplora.study import Study, read_study

SETTINGS = Captioning(batch_size=2, num_beams=2, max_new_tokens=6)


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BLIP that sees: random weights, its last layer made loud enough that pictures change the words."""
    folder = tmp_path_factory.mktemp("blip")
    tokenizer = bert_tokenizer()
    model = new_blip(tokenizer)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if weights.ndim > 1:
                scale = 6.0 if "crossattention" in name or "decoder.weight" in name else 1.0
                weights.copy_(scale * torch.randn(weights.shape, generator=generator) / weights[0].numel() ** 0.5)
    model.save_pretrained(folder)
    processor_of(tokenizer).save_pretrained(folder)
    return folder


def pictures(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return [Image.fromarray(pixels).resize((96, 96)) for pixels in small]


def study_of(tmp_path: Path, blip: Path, count: int = 3, beams: int = 2) -> Study:
    captioning = f"{{model: {{path: {blip}}}, batch_size: 2, num_beams: {beams}, max_new_tokens: 6}}"
    rest = "name: faces\nimages: {folder: mine}\nsampling: {development: [a], test: [b, c]}\n"
    (tmp_path / "study.yaml").write_text(f"{rest}captioning: {captioning}\n")
    study = read_study(tmp_path / "study.yaml")
    study.dataset.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(pictures(count)):
        image.save(study.dataset / f"{i}.png")
    return study


def all_captions(study: Study, count: int) -> tuple[dict[str, str], list[int]]:
    parts = list(captions_of(study, [f"{i}.png" for i in range(count)]))
    return {name: text for part in parts for name, text in part.items()}, [len(part) for part in parts]


def test_captions_come_in_order_a_batch_at_a_time_and_do_not_depend_on_it(blip: Path) -> None:
    captioner, images = load_captioner(str(blip)), pictures(5)
    batches = list(machine_captions(captioner, images, SETTINGS))
    alone = [text for image in images for [text] in machine_captions(captioner, [image], SETTINGS)]
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert [text for batch in batches for text in batch] == alone
    assert len(set(alone)) > 1  # what is seen changes what is said


def test_captions_are_deterministic_and_leave_the_random_state_alone(blip: Path) -> None:
    captioner, images = load_captioner(str(blip)), pictures(2)
    torch.manual_seed(1)
    first, state = next(machine_captions(captioner, images, SETTINGS)), torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert next(machine_captions(captioner, images, SETTINGS)) == first


def test_the_captioner_is_whole_precision_on_a_cpu_and_does_not_train(blip: Path) -> None:
    model = load_captioner(str(blip)).model
    assert model.dtype == torch.float32
    assert not model.training


@pytest.mark.gpu
def test_the_captioner_is_half_precision_on_a_gpu(blip: Path) -> None:
    captioner = load_captioner(str(blip), device="cuda")
    assert captioner.model.dtype == torch.float16
    assert len(next(machine_captions(captioner, pictures(2), SETTINGS))) == 2


def test_the_same_pixels_are_captioned_once(tmp_path: Path, blip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_of(tmp_path, blip)
    first, sizes = all_captions(study, 3)
    assert sizes == [0, 2, 1]
    pictures(4)[3].save(study.dataset / "1.png")  # another picture under a known name
    pictures(1)[0].save(study.dataset / "3.png")  # a known picture under another name
    again, sizes = all_captions(study, 4)
    assert sizes == [3, 1]
    assert (again["0.png"], again["2.png"], again["3.png"]) == (first["0.png"], first["2.png"], first["0.png"])
    monkeypatch.setattr("caplora.captioning.load_captioner", None)  # everything is known: the model is not even loaded
    assert all_captions(study, 4) == (again, [4])


def test_after_a_crash_only_the_rest_is_captioned(tmp_path: Path, blip: Path) -> None:
    study = study_of(tmp_path, blip, count=5)
    parts = captions_of(study, [f"{i}.png" for i in range(5)])
    assert [len(next(parts)), len(next(parts))] == [0, 2]
    parts.close()
    assert all_captions(study, 5)[1] == [2, 2, 1]


def test_another_captioner_captions_anew(tmp_path: Path, blip: Path) -> None:
    all_captions(study_of(tmp_path, blip), 3)
    assert all_captions(study_of(tmp_path, blip, beams=1), 3)[1] == [0, 2, 1]


def test_the_mark_of_a_local_captioner_is_its_weights(tmp_path: Path, blip: Path) -> None:
    folder = tmp_path / "blip"
    folder.mkdir()
    for part in blip.iterdir():
        (folder / part.name).write_bytes(part.read_bytes())
    study = study_of(tmp_path, folder)
    before = captioner_mark(study)
    assert before == captioner_mark(study_of(tmp_path, blip))
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert captioner_mark(study_of(tmp_path, folder)) != before


def test_a_damaged_memory_says_what_to_do(tmp_path: Path, blip: Path) -> None:
    study = study_of(tmp_path, blip)
    (study.dataset / MEMORY).write_text("{")
    with pytest.raises(CaptioningError, match="delete it"):
        next(captions_of(study, ["0.png"]))


def test_a_missing_captioner_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(CaptioningError, match=r"nowhere.*captioning\.model"):
        load_captioner(str(tmp_path / "nowhere"))


def test_pickled_weights_are_not_loaded(tmp_path: Path, blip: Path) -> None:
    for part in blip.iterdir():
        if part.suffix != ".safetensors":
            (tmp_path / part.name).write_bytes(part.read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CaptioningError, match="safetensors"):
        load_captioner(str(tmp_path))
