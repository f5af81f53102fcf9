"""The table of what reads files and words of others: where each begins, how its input is changed, how a user reaches it.

`run` takes a folder of its own and an input, and goes the way of a user as far as the input decides it. `ours` are the
errors that it may end with, whose message must hold one of `named`: the file's name, or for words any at all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zlib import crc32

import pandas as pd

from caplora.captions import Ledger, LedgerError, imported, own_words, read_captions, restore_ledger, stacks
from caplora.captions.ledger import COLUMNS, SPLITS, STATUSES, Row
from caplora.images import Refused, image_table, import_images, is_picture
from caplora.lora import read_adapter
from caplora.playground.pictures import Pictures
from caplora.playground.recalling import recall
from caplora.rating import RatingError, answers_said, read_answers, read_opinions, take_answers
from caplora.rating.design import Pair, plan, plan_id
from caplora.rating.page import page_plans
from caplora.rating.preferences import counted_answers, preference_table
from caplora.rating.seat import Seat
from caplora.review.filters import NUMBERS, TEXTS, WORDS, Entry, FilterError, parsed
from caplora.sampling import asked_of
from caplora.study import Study, StudyError, read_study, read_variants
from tests.fuzzing import seeds
from tests.fuzzing.formats import adapter_mutated, image_mutated, text_mutated
from tests.fuzzing.mutations import Mutate, json_mutated, lines_mutated, table_mutated, words_mutated, yaml_mutated

CELLS = (*COLUMNS, *STATUSES, *SPLITS, "caption", "tags", "image", "prompt", "a.png", "b.png", "x/../a.png", "..")
CHANGES = (*CELLS, "number", "rows", "kind", "of", "undo", "redo", "change", "time", "who", "why")
ANSWERS = ("rater", "plan", "order", "question", "answer", "seconds", "undo", "words", "person", "left", "right", "equal",
           "skipped", "kind", "pair", "repeat", "simulated", "baseline", "r4_a8", "Mina")  # fmt: skip
KEYS = tuple(
    form.format(layer if "." in form[:6] else layer.replace(".", "_"))
    for layer in (*seeds.LAYERS, "x.y", "input_blocks.4.1.proj_in", "text_model.encoder.layers.0.self_attn.q_proj")
    for form in (
        "unet.{}.lora_A.weight", "unet.{}.lora_B.weight", "unet.{}.alpha", "lora_unet_{}.lora_down.weight",
        "lora_unet_{}.lora_mid.weight", "lora_unet_{}.alpha", "base_model.model.{}.lora_A.weight", "lora_te1_{}.alpha",
        "unet.{}.hada_w1_a", "unet.{}.lora.down.weight",
    )
)  # fmt: skip
STATED = (*seeds.config(), "unet.r", "(a+)+$", ".*.*.*.*x", "(a|a)*", "DORA", "__metadata__", "lora_adapter_metadata")
SAYS = (
    "<lora:a:1>", "Steps: 20, ", "Negative prompt: ", "Sampler: Euler a", "CFG scale: x", "Size: 1x1", 'x: "', "\\", "RNG",
    "recipe", "made", "adapter", "adapters", "sampling", "noise", "together", "x", "y", "setting", "values", "scale", "seed",
    "prompt", "flag", "variant", "(a:1)", "r4_a8",
)  # fmt: skip
LANGUAGE = ("OR", "AND", "NOT", "(", ")", "-(", "-", '"', '""', ":", *(f"{f}:" for f in (*WORDS, *TEXTS, *NUMBERS)),
            "tokens:>75", "words:<=٣", "agreement:=-0.5", "status:kept", "\u3000", "é")  # fmt: skip


@dataclass(frozen=True)
class Parser:
    """What reads an input, and what is known of its inputs."""

    run: Callable[[Path, bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    mutate: Mutate
    ours: tuple[type[Exception], ...]
    named: tuple[str, ...]
    longest: int = 4096  # bytes of an input
    examples: int = 300  # that the suite tries
    ready: Callable[[Path], object] = lambda folder: None  # lays into a folder what all cases need

    def names(self, message: str) -> bool:
        """Whether a message names what is wrong."""
        return any(name in message for name in self.named)


def laid(path: Path, content: bytes, *gone: str) -> Path:
    """The file with this content, and without those beside it that an earlier case has left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    for name in gone:
        path.with_name(name).unlink(missing_ok=True)
    return path


@cache
def study_in(folder: Path) -> Study:
    """A study with two small images of its own in a folder, and a ledger of them."""
    text = (
        "name: lab\nimages: {folder: own, resolution: 64, smallest: 4, largest: 1000000, photographs: false}\n"
        "sampling: {development: [a], test: [b, c]}\n"
    )
    study = read_study(laid(folder / "lab.yaml", text.encode()))
    for name in ("a.png", "b.png"):
        laid(study.dataset / name, seeds.images()[0])
        laid(folder / "captioned" / name, seeds.images()[0])
    study.images_folder.mkdir()
    return study


def image(folder: Path, data: bytes) -> str | None:
    """A file among a person's images, as notebook 01 takes it in; the reason where it is refused."""
    study = study_in(folder)
    path = laid(study.images_folder / "c.png", data)
    is_picture(laid(folder / "c", data))
    [item] = import_images(study)
    path.unlink()
    if isinstance(item, Refused):
        assert item.reason and item.source == Path("c.png")
        return item.reason
    assert len(image_table([item], study.images.curation)) == 1
    return None


def ledger(folder: Path, data: bytes) -> None:
    """The ledger as a person, a spreadsheet or a crash left it, opened and changed."""
    dataset = study_in(folder).dataset
    laid(dataset / "metadata.csv", data, "history.jsonl")
    opened = Ledger(dataset, "Mina")
    if opened.rows:
        name, row = next(iter(opened.rows.items()))
        opened.change({name: Row(name, f"{row.text}.")}, "typed")
        assert Ledger(dataset, "Mina").rows == opened.rows


def captions(ending: str) -> Callable[[Path, bytes], None]:
    """A file of captions of this ending: among a person's images, and imported into the ledger."""

    def run(folder: Path, data: bytes) -> None:
        dataset = study_in(folder).dataset
        laid(dataset / "metadata.csv", seeds.ledgers()[1], "history.jsonl")
        path = laid(folder / "captioned" / f"captions.{ending}", data)
        cells = read_captions(path)
        Ledger(dataset, "Mina").amend(lambda rows: imported(rows, cells, str(path), partial=True), "import")
        own_words(path.parent)

    return run


def history(folder: Path, data: bytes) -> None:
    """The history of a ledger: opened with it, undone, done again, and the ledger written anew from it."""
    dataset = study_in(folder).dataset
    laid(dataset / "metadata.csv", seeds.ledgers()[1])
    laid(dataset / "history.jsonl", data)
    opened = Ledger(dataset, "Mina")
    stacks(opened.history)
    opened.undo()
    opened.redo()
    alone = laid(folder / "alone" / "history.jsonl", data, "metadata.csv").parent
    if data.strip():
        restore_ledger(alone)


def study(folder: Path, data: bytes) -> None:
    """A study file, read as it is and with settings that flags replace, and its paths."""
    laid(folder / "base.yaml", seeds.studies()[0])
    path = laid(folder / "x.yaml", data)
    read = read_study(path)
    read_study(path, training={"batch_size": 2}, sampling={"num_inference_steps": 3})
    assert read.images_folder and read.dataset.is_relative_to(folder) and read.training.unreached == ""
    [read.clip_name(clip) for clip in read.scoring.clips]


def variants(folder: Path, data: bytes) -> None:
    """A file of variants and their names."""
    read = read_variants(str(laid(folder / "v.yaml", data)))
    assert len({v.name for v in read}) == len(read)


def adapter(folder: Path, data: bytes) -> None:
    """Somebody's adapter, beside peft's settings."""
    laid(folder / "adapter_config.json", b'{"r": 2, "lora_alpha": 4}')
    read_adapter(laid(folder / "adapter.safetensors", data)).parameters()


def config(folder: Path, data: bytes) -> None:
    """Peft's settings beside an adapter."""
    laid(folder / "adapter_config.json", data)
    read_adapter(laid(folder / "adapter_model.safetensors", seeds.adapters()[-1]))


@cache
def pictures_in(folder: Path) -> Pictures:
    from tests.tiny import tiny_pipeline  # seconds

    pictures = Pictures(study_in(folder), [], tiny_pipeline())
    assert pictures.base  # hashed once
    return pictures


def picture(folder: Path, data: bytes) -> None:
    """A picture that is dropped on the playground, and asked for its prompt."""
    path = laid(folder / "p.png", data)
    asked_of(path)
    recall(path, pictures_in(folder))


ENTRIES = (Entry(seeds.ROW, 7, ("empty",), 0.1), Entry(Row("b.png", "가 glasses")))


def words(folder: Path, data: bytes) -> None:
    """What is typed to find captions."""
    test = parsed(data.decode("utf-8", "replace"))
    assert all(test(entry) in (True, False) for entry in ENTRIES)


@cache
def rated_in(folder: Path) -> tuple[Study, list[Pair]]:
    """A study with pictures to compare, and the pairs of them."""
    from tests.rating.killing import pairs
    from tests.rating.small import small_study

    rated = small_study(folder)
    return rated, pairs(rated)


def rating(folder: Path, data: bytes) -> None:
    """The file of a rater: counted, and gone on with."""
    rated, pairs = rated_in(folder)
    laid(rated.dataset / "ratings" / "Mina.jsonl", data)
    answers, _ = read_answers(rated), answers_said(rated)
    if len(answers) and crc32(data) % 16 == 0:  # takes longer than all else
        preference_table(counted_answers(answers))
        read_opinions(rated, pd.DataFrame())
    if crc32(data) % 4 == 0:
        Seat(rated, pairs, ["words", "person"], "Mina").leave()


def page(folder: Path, data: bytes) -> None:
    """The file that a rater downloaded from the page."""
    rated, pairs = rated_in(folder)
    laid(rated.dataset / "ratings" / "Mina.jsonl", b"")
    take_answers(rated, pairs, laid(folder / "down.jsonl", data))


def _plan() -> str:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        return plan_id(plan(rated_in(Path(folder))[1], "Mina"))


def _page() -> str:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        return plan_id(page_plans(rated_in(Path(folder))[1])[0])


LEDGER = ((LedgerError,), ("metadata.csv", "captions.", "history.jsonl", "captioned", "lab", "alone", "another hand"))
PARSERS = {
    "images": Parser(image, seeds.images, image_mutated, (), (), 4096, 250, study_in),
    "metadata_csv": Parser(ledger, seeds.ledgers, table_mutated(CELLS), *LEDGER, ready=study_in),
    "captions_json": Parser(captions("json"), lambda: seeds.captions()["json"], json_mutated(CELLS), *LEDGER, ready=study_in),
    "captions_jsonl": Parser(captions("jsonl"), lambda: seeds.captions()["jsonl"], lines_mutated(CELLS), *LEDGER, ready=study_in),
    "captions_csv": Parser(captions("csv"), lambda: seeds.captions()["csv"], table_mutated(CELLS), *LEDGER, ready=study_in),
    "history_jsonl": Parser(history, seeds.histories, lines_mutated(CHANGES), *LEDGER, ready=study_in),
    "study_yaml": Parser(study, seeds.studies, yaml_mutated(seeds.tags()), (StudyError,), ("x.yaml", "study x")),
    "variants_yaml": Parser(variants, seeds.variants, yaml_mutated(seeds.tags()), (StudyError,), ("v.yaml",)),
    "adapters": Parser(adapter, seeds.adapters, adapter_mutated(KEYS, STATED), (ValueError,), ("adapter",), 16384),
    "adapter_config": Parser(
        config, lambda: [seeds_config()], json_mutated(STATED), (ValueError,), ("adapter_config.json", "adapter_model")
    ),
    "png_text": Parser(picture, seeds.pictures, text_mutated(SAYS), (ValueError,), ("p.png",), ready=pictures_in),
    "filters": Parser(words, lambda: [f.encode() for f in seeds.FILTERS], words_mutated(LANGUAGE), (FilterError,), ("",)),
    "ratings": Parser(rating, lambda: seeds.answers(_plan()), lines_mutated(ANSWERS), (), (), ready=rated_in),
    "rating_page": Parser(page, lambda: seeds.answers(_page()), lines_mutated(ANSWERS), (RatingError,), ("down.jsonl",), ready=rated_in),
}  # fmt: skip


def seeds_config() -> bytes:
    """Peft's settings as a file has them."""
    import json

    return json.dumps(seeds.config()).encode()
