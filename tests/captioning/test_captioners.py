"""captioners.py, blip.py: real captioners with random weights say the same of the same pixels, once."""

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import BlipForConditionalGeneration, LlavaForConditionalGeneration, LlavaProcessor

from caplora.captioning.captioners import FAMILIES, TASK, CaptioningError, load_captioner, machine_captions
from caplora.captioning.machine_captions import MEMORY, captioner_mark, captioner_name, captioner_version, captions_of
from caplora.captions.ledger import Said
from caplora.models.devices import DTYPES, precision_of
from caplora.study.settings import Captioning
from caplora.study.study import Study, read_study
from tests.hostile import Trap, lay_code
from tests.tiny_captioners import MAKERS

SETTINGS = Captioning(batch_size=2, num_beams=2, max_new_tokens=6)


def mark_of(study: Study) -> str:
    return captioner_mark(study, captioner_version(study))


def name_of(study: Study) -> str:
    return captioner_name(study, captioner_version(study))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A captioner of every family."""
    made = {kind: tmp_path_factory.mktemp(kind) for kind in MAKERS}
    for kind, folder in made.items():
        MAKERS[kind](folder)
    return made


@pytest.fixture(scope="module")
def blip(folders: dict[str, Path]) -> Path:
    return folders["blip"]


def pictures(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return [Image.fromarray(pixels).resize((96, 96)) for pixels in small]


def copied(folder: Path, to: Path) -> Path:
    to.mkdir()
    for part in folder.iterdir():
        (to / part.name).write_bytes(part.read_bytes())
    return to


def study_of(tmp_path: Path, blip: Path, count: int = 3, beams: int = 2, more: str = "") -> Study:
    captioning = f"{{model: {{path: {blip}}}, batch_size: 2, num_beams: {beams}, max_new_tokens: 6{more}}}"
    rest = "name: faces\nimages: {folder: mine}\nsampling: {development: [a], test: [b, c]}\n"
    (tmp_path / "study.yaml").write_text(f"{rest}captioning: {captioning}\n")
    study = read_study(tmp_path / "study.yaml")
    study.dataset.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(pictures(count)):
        image.save(study.dataset / f"{i}.png")
    return study


def all_captions(study: Study, count: int) -> tuple[dict[str, Said], list[int]]:
    parts = list(captions_of(study, [f"{i}.png" for i in range(count)]))
    return {name: said for part in parts for name, said in part.items()}, [len(part) for part in parts]


@pytest.mark.parametrize("kind", FAMILIES)
def test_captions_come_in_order_a_batch_at_a_time_and_do_not_depend_on_it(folders: dict[str, Path], kind: str) -> None:
    captioner, images = load_captioner(str(folders[kind])), pictures(5)
    images[1] = images[1].resize((96, 48))  # where it takes fewer tokens, the batch is padded
    batches = list(machine_captions(captioner, images, SETTINGS))
    alone = [text for image in images for [text] in machine_captions(captioner, [image], SETTINGS)]
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert [text for batch in batches for text in batch] == alone
    assert len(set(alone)) > 1  # what is seen changes what is said
    assert max(len(text.split()) for text in alone) <= SETTINGS.max_new_tokens  # the prompt is not said again


@pytest.mark.parametrize("beams", [1, 3])
def test_a_quick_blip_says_what_transformers_says(blip: Path, beams: int) -> None:
    captioner, images = load_captioner(str(blip)), pictures(5)
    pixels = captioner.processor(images=images, return_tensors="pt").pixel_values
    plain = BlipForConditionalGeneration.from_pretrained(blip).eval()
    tokens = plain.generate(pixel_values=pixels, num_beams=beams, max_new_tokens=12, do_sample=False)
    said = machine_captions(captioner, images, Captioning(batch_size=5, num_beams=beams, max_new_tokens=12))
    assert next(said) == captioner.processor.batch_decode(tokens, skip_special_tokens=True)
    torch.testing.assert_close(captioner.model.vision_model(pixels)[0], plain.vision_model(pixels)[0])


def test_a_chat_model_is_asked_the_prompt_of_the_study_about_each_image(folders: dict[str, Path]) -> None:
    """One greedy token is the argmax of the logits after the template, the image's tokens and the prompt."""
    folder, prompt = str(folders["llava"]), "hair in a park"
    model = LlavaForConditionalGeneration.from_pretrained(folder).eval()
    processor = LlavaProcessor.from_pretrained(folder)
    texts = [[f"<image> {words} a photo"] for words in (prompt, "light")]
    one = {"num_beams": 1, "max_new_tokens": 1}
    for image in pictures(3):
        first = [model(**processor(image, text, return_tensors="pt")).logits[0, -1].argmax() for text in texts]
        [[said]] = machine_captions(load_captioner(folder), [image], Captioning(prompt=prompt, **one))
        assert said == processor.decode(first[0])
        [[said]] = machine_captions(load_captioner(folder), [image], Captioning(prompt="light", **one))
        assert said == processor.decode(first[1])


@pytest.mark.parametrize(
    ("prompt", "asked"), [(SETTINGS.prompt, TASK), ("<CAPTION>", "<CAPTION>"), ("<OD> a hat", TASK)]
)
def test_florence_is_asked_by_the_token_of_a_task(folders: dict[str, Path], prompt: str, asked: str) -> None:
    captioner = load_captioner(str(folders["florence2"]))
    assert captioner.family.asked(captioner.processor, prompt) == asked


@pytest.mark.parametrize("kind", FAMILIES)
def test_what_a_models_own_settings_say_of_sampling_is_not_followed(
    folders: dict[str, Path], kind: str, tmp_path: Path
) -> None:
    folder = copied(folders[kind], tmp_path / "sampling")
    path = folder / "generation_config.json"
    sampled = {"do_sample": True, "temperature": 9.0, "top_k": 50, "max_length": 3}
    path.write_text(json.dumps(json.loads(path.read_text()) | sampled))
    said = [next(machine_captions(load_captioner(str(f)), pictures(2), SETTINGS)) for f in (folders[kind], folder)]
    assert said[0] == said[1]


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
@pytest.mark.parametrize("kind", FAMILIES)
def test_the_captioner_is_half_precision_on_a_gpu(folders: dict[str, Path], kind: str) -> None:
    captioner = load_captioner(str(folders[kind]), device="cuda")
    assert captioner.model.dtype == DTYPES[precision_of(torch.device("cuda"))] != torch.float32
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
    assert again["1.png"].text != first["1.png"].text
    monkeypatch.setattr(
        "caplora.captioning.machine_captions.load_captioner", None
    )  # everything is known: the model is not even loaded
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
    folder = copied(blip, tmp_path / "blip")
    study = study_of(tmp_path, folder)
    before = mark_of(study)
    assert before == mark_of(study_of(tmp_path, blip))
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert mark_of(study_of(tmp_path, folder)) != before


def test_a_caption_says_who_gave_it_how_and_when(tmp_path: Path, blip: Path) -> None:
    study, before = study_of(tmp_path, blip), datetime.now(UTC).replace(microsecond=0)
    said = all_captions(study, 3)[0]["0.png"]
    assert said.captioner == f"{blip}@{mark_of(study)[:7]} beams 2 tokens 6" == name_of(study)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", said.time)
    assert before <= datetime.fromisoformat(said.time) <= datetime.now(UTC)
    assert asdict(said) in json.loads((study.dataset / MEMORY).read_text()).values()


def test_a_captioner_of_the_hub_is_named_by_its_pinned_revision() -> None:
    assert name_of(read_study("sd15")) == "Salesforce/blip-image-captioning-large@2227ac3 beams 3 tokens 60"


def test_a_memory_of_texts_alone_is_still_read(tmp_path: Path, blip: Path) -> None:
    study = study_of(tmp_path, blip)
    said, _ = all_captions(study, 3)
    entries = json.loads((study.dataset / MEMORY).read_text())
    (study.dataset / MEMORY).write_text(json.dumps({key: entry["text"] for key, entry in entries.items()}))
    again, sizes = all_captions(study, 3)
    assert sizes == [3]
    assert again == {name: Said(caption.text, name_of(study), "") for name, caption in said.items()}


def test_another_prompt_is_another_captioner(tmp_path: Path, blip: Path) -> None:
    plain, asked = study_of(tmp_path, blip), study_of(tmp_path, blip, more=", prompt: the colour of the hair")
    assert mark_of(plain) != mark_of(asked)
    assert re.fullmatch(re.escape(name_of(plain)) + " prompt [0-9a-f]{7}", name_of(asked))


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 3}', '{"a": {"words": "b"}}'])
def test_a_damaged_memory_says_what_to_do(tmp_path: Path, blip: Path, content: str) -> None:
    study = study_of(tmp_path, blip)
    (study.dataset / MEMORY).write_text(content)
    with pytest.raises(CaptioningError, match="delete it"):
        next(captions_of(study, ["0.png"]))


def test_a_missing_captioner_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(CaptioningError, match=r"nowhere.*captioning\.model"):
        load_captioner(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("kind", ["clip", None])
def test_a_captioner_of_no_known_family_is_an_error_that_lists_them(tmp_path: Path, kind: str | None) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(CaptioningError, match=rf"model_type is {kind!r} .*blip, blip-2, florence2, git, .*qwen2_5_vl"):
        load_captioner(str(tmp_path))


@pytest.mark.fault(29)
@pytest.mark.parametrize("kind", FAMILIES)
def test_code_that_comes_with_a_captioner_is_not_run(folders: dict[str, Path], kind: str, tmp_path: Path) -> None:
    folder = copied(folders[kind], tmp_path / "hostile")
    lay_code(folder, tmp_path / "ran")
    classes = ("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoProcessor", "AutoImageProcessor")
    code = {"auto_map": dict.fromkeys(classes, "evil.Evil") | {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}
    for path in folder.glob("*config.json"):
        if path.name != "generation_config.json":
            path.write_text(json.dumps(json.loads(path.read_text()) | code))
    assert next(machine_captions(load_captioner(str(folder)), pictures(1), SETTINGS))
    assert not (tmp_path / "ran").exists()


@pytest.mark.fault(28)
def test_pickled_weights_are_not_loaded(tmp_path: Path, blip: Path) -> None:
    folder = copied(blip, tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    torch.save(Trap(tmp_path / "sprung"), folder / "pytorch_model.bin")
    with pytest.raises(CaptioningError, match="safetensors"):
        load_captioner(str(folder))
    assert not (tmp_path / "sprung").exists()
