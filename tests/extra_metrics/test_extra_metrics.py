"""extra_metrics: the numbers are those of a direct call of the model, for any batch; what is kept is not made again."""

import shutil
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from caplora.captioning.captioners import CaptioningError
from caplora.extra_metrics import quality
from caplora.extra_metrics.about import ABOUT
from caplora.extra_metrics.asked import METRICS, Extra, Extras
from caplora.extra_metrics.pick_score import PickEncoder
from caplora.extra_metrics.quality import Musiq, weights_of
from caplora.extra_metrics.vqa import QUESTION, Asked, Vqa, phrases_of
from caplora.mini.training.identity import new_encoder
from caplora.sampling.samples import Sample
from caplora.scoring.scores import COLUMNS
from caplora.study.reading import StudyError
from caplora.study.settings import EXTRA_METRICS, Model
from caplora.study.study import Study, read_study
from tests.tiny import tokenizer_once
from tests.tiny_captioners import MAKERS

CPU = torch.device("cpu")
CHATS = ("idefics3", "llava", "qwen2_5_vl")
PROMPTS = ("an ink drawing of a woman with long red hair, smiling", "a photo of a man, sad, by the sea", "a city")


def tiny_pick_score(folder: Path) -> Path:
    """A CLIPModel with random weights, as PickScore is one; its scale is that of a trained CLIP."""
    tokenizer = tokenizer_once()
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0}
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={**size, "vocab_size": len(tokenizer), **ends},
        vision_config={**size, "image_size": 32, "patch_size": 8},
        projection_dim=12,
        logit_scale_init_value=4.6,
    )
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny models: pick_score, and a chat model of each family."""
    folder = tmp_path_factory.mktemp("models")
    tiny_pick_score(folder / "pick_score")
    for kind in (*CHATS, "blip"):
        (folder / kind).mkdir()
        MAKERS[kind](folder / kind)
    return folder


@pytest.fixture
def study(tmp_path: Path, models: Path) -> Callable[..., Study]:
    """A study that asks for some metrics, with the chat model of a family."""

    def made(extra: str = "", chat: str = "idefics3", batch: int = 4) -> Study:
        scoring = f"{{extra: [{extra}], batch_size: {batch}, pick_score: {{path: {models / 'pick_score'}}}"
        (tmp_path / "s.yaml").write_text(
            f"name: s\nimages: {{folder: mine}}\nsampling: {{development: [a], test: [b, c]}}\n"
            f"captioning: {{batch_size: {batch}}}\nscoring: {scoring}, vqa: {{path: {models / chat}}}}}\n"
        )
        return read_study(tmp_path / "s.yaml")

    return made


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    folder, rng = tmp_path_factory.mktemp("samples"), np.random.default_rng(0)
    made = []
    for i, prompt in enumerate(PROMPTS * 2):
        path = folder / f"{i}.png"
        Image.fromarray(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)).resize((32, 32)).save(path)
        made.append(Sample("baseline" if i < 3 else "r4_a4", path, prompt, 0, "test"))
    return made


def load_extra(study: Study) -> list[Extra]:
    return [METRICS[name](study, CPU) for name in study.scoring.extra]


def values(metric: Extra, samples: list[Sample]) -> list[float]:
    for _ in metric.embed(samples):
        pass
    table = metric.table(samples)
    assert list(table.columns) == list(COLUMNS) and set(table["metric"]) == {metric.metric}
    return table["value"].tolist()


@pytest.mark.parametrize("batch", [1, 4])
def test_pick_score_is_the_scaled_cosine_of_the_model_itself(
    study: Callable[..., Study], samples: list[Sample], models: Path, batch: int
) -> None:
    [metric] = load_extra(study("pick_score", batch=batch))
    model = CLIPModel.from_pretrained(models / "pick_score").eval()
    images = CLIPImageProcessor.from_pretrained(models / "pick_score")
    for sample, value in zip(samples, values(metric, samples), strict=True):
        pixels = images(Image.open(sample.path), return_tensors="pt").pixel_values
        words = tokenizer_once()([sample.prompt], return_tensors="pt")
        with torch.no_grad():
            whole = model(pixel_values=pixels, **words)  # its own logits: exp(logit_scale) · cosine
        a, b = whole.image_embeds[0].double().numpy(), whole.text_embeds[0].double().numpy()
        by_hand = np.exp(float(model.logit_scale.detach())) * (a @ b) / np.sqrt((a @ a) * (b @ b))
        assert value == pytest.approx(float(whole.logits_per_image), abs=1e-4)
        assert value == pytest.approx(by_hand, abs=1e-4)


def test_a_long_prompt_is_cut_where_the_model_ends(study: Callable[..., Study], samples: list[Sample]) -> None:
    [metric] = load_extra(study("pick_score"))
    longer = Sample("baseline", samples[0].path, "hair " * 200, 0, "test")
    assert np.isfinite(values(metric, [longer])).all()


@pytest.mark.parametrize("chat", CHATS)
def test_vqa_is_yes_against_no_after_the_question_and_the_mean_over_phrases(
    study: Callable[..., Study], samples: list[Sample], chat: str
) -> None:
    """Each picture and phrase alone in a direct call of the model, against batches of four."""
    asking = study("vqa", chat)
    [metric] = load_extra(asking)
    found = values(metric, samples)
    captioner = Asked(asking, CPU).captioner
    words = captioner.processor.tokenizer.convert_tokens_to_ids(["yes", "no"])
    for sample, value in zip(samples, found, strict=True):
        means = []
        for phrase in sample.prompt.split(", "):
            said = captioner.family.asked(captioner.processor, QUESTION.format(phrase))
            inputs = captioner.processor(images=[[Image.open(sample.path)]], text=[said], return_tensors="pt")
            with torch.no_grad():
                yes, no = captioner.model(**inputs).logits[0, -1].softmax(0)[words].tolist()
            means.append(yes / (yes + no))
        assert value == pytest.approx(np.mean(means), abs=1e-3)
    assert len({round(value, 4) for value in found}) > 1 and all(0 <= value <= 1 for value in found)


def test_a_prompt_is_asked_for_phrase_by_phrase() -> None:
    assert phrases_of(PROMPTS[0]) == ["an ink drawing of a woman with long red hair", "smiling"]
    assert phrases_of(" a city,, ") == ["a city"] and phrases_of(", ,") == [", ,"]


def test_what_was_asked_is_kept_and_not_asked_again(
    study: Callable[..., Study], samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = study("vqa, pick_score")
    first = load_extra(asking)
    assert first[0].batches(asking, samples) == 3 == len(list(first[0].embed(samples)))  # 12 phrases, four at a time
    once = [values(metric, samples) for metric in first]
    for kind, name in ((Asked, "probabilities"), (PickEncoder, "embed_pixels"), (PickEncoder, "embed_tokens")):
        monkeypatch.setattr(kind, name, lambda *_: pytest.fail("asked again"))
    again = load_extra(asking)
    assert [values(metric, samples) for metric in again] == once


def test_what_was_asked_in_other_words_is_asked_again(study: Callable[..., Study]) -> None:
    """The chat template and the tokenizer stand in no config of the model, and decide what it reads."""
    asking = study("vqa", "llava")
    plain = Asked(asking, CPU)
    template = Path(asking.model_path(asking.scoring.vqa)) / "chat_template.jinja"
    before = template.read_text()
    template.write_text(before.replace(" a photo ", " a city "))
    try:
        assert Asked(asking, CPU).fingerprint != plain.fingerprint
    finally:
        template.write_text(before)
    assert Asked(asking, CPU).fingerprint == plain.fingerprint


def test_questions_that_do_not_fit_are_asked_in_halves(
    study: Callable[..., Study], samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    asking, whole, counts = study("vqa"), Asked.probabilities, []

    def small(self: Asked, images: list, phrases: list[str], most: int = 1) -> torch.Tensor:
        counts.append(len(phrases))
        if len(phrases) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, images, phrases)

    monkeypatch.setattr(Asked, "probabilities", small)
    [metric] = load_extra(asking)
    found = values(metric, samples)
    assert counts == [4, 2] + [1] * 12  # and what is known not to fit is not tried again
    monkeypatch.setattr(Asked, "probabilities", whole)
    [anew] = load_extra(asking.model_copy(update={"name": "t"}))
    assert found == pytest.approx(values(anew, samples), abs=1e-5)
    monkeypatch.setattr(Asked, "probabilities", lambda *given: small(*given, most=0))
    [never] = load_extra(asking.model_copy(update={"name": "u"}))
    with pytest.raises(torch.OutOfMemoryError, match=r"a single question .* smaller model in scoring\.vqa"):
        never.table(samples)


@pytest.mark.parametrize("chat", CHATS)
def test_logits_are_made_for_the_answer_alone_and_nothing_for_a_next_word(
    study: Callable[..., Study], samples: list[Sample], chat: str
) -> None:
    """Logits, keys and values of every token of a prompt in pictures are gigabytes."""
    asked = Asked(study("vqa", chat), CPU)
    seen: list[tuple[int, ...]] = []
    asked.captioner.model.lm_head.register_forward_hook(lambda _, given, made: seen.append(tuple(made.shape[:2])))
    kept: list[object] = []
    asked.captioner.model.register_forward_hook(lambda _, given, made: kept.append(made.past_key_values))
    asked.probabilities([Image.open(samples[0].path)] * 2, ["a city", "a woman with long red hair"])
    assert seen == [(2, 1)] and kept == [None]


def test_a_captioner_that_takes_no_questions_is_refused_by_name(
    study: Callable[..., Study],
) -> None:
    with pytest.raises(CaptioningError, match=r"scoring\.vqa: Blip.*takes no questions.*idefics3, llava, qwen2_5_vl"):
        load_extra(study("vqa", "blip"))


def test_a_model_that_is_missing_is_named_with_its_setting(study: Callable[..., Study], models: Path) -> None:
    asking = study("vqa")
    (models / "empty").mkdir(exist_ok=True)
    nothing = asking.scoring.vqa.model_copy(update={"path": str(models / "empty")})
    scoring = asking.scoring.model_copy(update={"vqa": nothing})
    with pytest.raises(CaptioningError, match=r"scoring\.vqa"):
        load_extra(asking.model_copy(update={"scoring": scoring}))


def test_a_model_that_cannot_be_loaded_is_named_with_its_setting(
    study: Callable[..., Study], models: Path, tmp_path: Path
) -> None:
    """Nothing is there; the weights are of another kind, which transformers would make up; there is no tokenizer."""
    asking = study("pick_score")

    def of(folder: Path) -> Study:
        scoring = asking.scoring.model_copy(update={"pick_score": Model(path=str(folder))})
        return asking.model_copy(update={"scoring": scoring})

    (tmp_path / "empty").mkdir()
    new_encoder().save_pretrained(tmp_path / "other")
    shutil.copytree(models / "pick_score", tmp_path / "mute", ignore=shutil.ignore_patterns("*token*"))
    for folder, said in (
        ("empty", "no file named model.safetensors"),
        ("other", "lacks weights of CLIPModel: "),
        ("mute", r"its tokenizer knows \d tokens and its model \d+"),
    ):
        with pytest.raises(OSError, match=rf"^scoring\.pick_score: '.*{folder}' cannot be loaded: .*{said}"):
            load_extra(of(tmp_path / folder))


def test_nothing_is_loaded_where_nothing_is_asked(study: Callable[..., Study]) -> None:
    nothing = Extras(study(), [], CPU)
    assert nothing.batches == 0 and list(nothing.embed()) == [] == nothing.tables()
    assert read_study("mini").scoring.extra == ()


def test_one_model_is_let_go_of_before_the_next_is_loaded(
    study: Callable[..., Study], samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of their models at once do not fit a card of 16 GB."""
    loaded: list[weakref.ref] = []

    def watched(kind: type) -> type[Extra]:
        class Watched(kind):
            def __init__(self, *given: object) -> None:
                assert not [model for model in loaded if model() is not None] and places == ["cpu"]
                super().__init__(*given)
                loaded.append(weakref.ref(self.by.captioner.model if kind is Vqa else self.encoder.model))

        return Watched

    for name in ("pick_score", "vqa"):
        monkeypatch.setitem(METRICS, name, watched(METRICS[name]))
    places: list[str] = []
    aside = torch.nn.Identity()
    monkeypatch.setattr(aside, "to", lambda device: places.append(device.type))
    extras = Extras(study("pick_score, vqa"), samples, CPU, [aside])
    assert len(list(extras.embed())) == extras.batches == 2 + 3
    assert [set(table["metric"]) for table in extras.tables()] == [{"pick_score"}, {"vqa"}]
    assert len(loaded) == 2 and places == ["cpu", "cpu"]


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("pickscore", "'pickscore': did you mean 'pick_score'"),
        ("zzz", "there are pick_score, vqa, quality"),
        ("vqa, vqa", "'vqa' stands twice"),
    ],
)
def test_a_metric_that_is_not_known_is_named_with_the_nearest(
    study: Callable[..., Study], extra: str, said: str
) -> None:
    with pytest.raises(StudyError, match=said):
        study(extra)


def test_every_metric_has_its_loader_and_is_told_of() -> None:
    assert set(EXTRA_METRICS) == set(METRICS) == set(ABOUT)
    assert all(all(told) for told in ABOUT.values())


def test_without_pyiqa_the_error_says_what_to_install(
    study: Callable[..., Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(quality, "import_module", absent)
    with pytest.raises(ImportError, match=r"pip install pyiqa.*take quality out"):
        load_extra(study("quality"))


def test_other_weights_than_those_known_are_refused(study: Callable[..., Study], tmp_path: Path) -> None:
    (tmp_path / "musiq").mkdir()
    (tmp_path / "musiq" / quality.FILE).write_bytes(b"another")
    asking = study("quality")
    folder = asking.scoring.quality.model_copy(update={"path": str(tmp_path / "musiq")})
    with pytest.raises(ValueError, match=rf"has the hash .* and should have {quality.SHA256}"):
        weights_of(asking, folder)


def test_quality_is_what_pyiqa_itself_says(
    study: Callable[..., Study], samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MUSIQ with random weights, written and read as the published ones are."""
    pyiqa = pytest.importorskip("pyiqa", reason="pip install pyiqa")
    torch.manual_seed(0)
    theirs = pyiqa.create_metric("musiq", pretrained=False, device="cpu")
    (tmp_path / "musiq").mkdir()
    file = tmp_path / "musiq" / quality.FILE
    torch.save(theirs.net.state_dict(), file)
    monkeypatch.setattr(quality, "SHA256", quality.file_hash(file))
    asking = study("quality")
    folder = asking.scoring.quality.model_copy(update={"path": str(file.parent)})
    scoring = asking.scoring.model_copy(update={"quality": folder})
    [metric] = load_extra(asking.model_copy(update={"scoring": scoring}))
    direct = [float(theirs(str(sample.path))) for sample in samples]
    assert values(metric, samples) == pytest.approx(direct, abs=1e-4)
    assert len({round(value, 4) for value in direct}) > 1


def test_quality_is_shown_pictures_as_they_are(samples: list[Sample]) -> None:
    shown = Musiq.pixels(object.__new__(Musiq), [Image.open(sample.path) for sample in samples])
    assert torch.equal(
        (shown[2] * 255).round().byte().permute(1, 2, 0), torch.tensor(np.asarray(Image.open(samples[2].path)))
    )
