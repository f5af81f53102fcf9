"""The ways on which a user brings an input to what reads it: each goes as far as the input decides it.

A way takes a folder, which `study_in`, `rated_in` or `pictures_in` has made ready, and the bytes of an input.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from zlib import crc32

import pandas as pd

from caplora.captions import Ledger, imported, own_words, read_captions, restore_ledger, stacks
from caplora.captions.ledger import Row
from caplora.images import Refused, image_table, import_images, is_picture
from caplora.lora import read_adapter
from caplora.playground.pictures import Pictures
from caplora.playground.recalling import recall
from caplora.rating import answers_said, read_answers, read_opinions, take_answers
from caplora.rating.design import Pair, plan, plan_id
from caplora.rating.page import page_plans
from caplora.rating.preferences import counted_answers, preference_table
from caplora.rating.seat import Seat
from caplora.review.filters import Entry, parsed
from caplora.sampling import asked_of
from caplora.study import Study, read_study, read_variants
from tests.fuzzing import seeds
from tests.rating.killing import pairs
from tests.rating.small import small_study
from tests.tiny import tiny_pipeline


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
    rated = small_study(folder)
    return rated, pairs(rated)


def rating(folder: Path, data: bytes) -> None:
    """The file of a rater: counted, and gone on with."""
    rated, own = rated_in(folder)
    laid(rated.dataset / "ratings" / "Mina.jsonl", data)
    answers, _ = read_answers(rated), answers_said(rated)
    if len(answers) and crc32(data) % 16 == 0:  # takes longer than all else
        preference_table(counted_answers(answers))
        read_opinions(rated, pd.DataFrame())
    if crc32(data) % 4 == 0:
        Seat(rated, own, ["words", "person"], "Mina").leave()


def page(folder: Path, data: bytes) -> None:
    """The file that a rater downloaded from the page."""
    rated, own = rated_in(folder)
    laid(rated.dataset / "ratings" / "Mina.jsonl", b"")
    take_answers(rated, own, laid(folder / "down.jsonl", data))


def plan_of_mina(of_page: bool) -> str:
    """The name of the plan that Mina is shown in a notebook, or of the first of the page."""
    with TemporaryDirectory() as folder:
        own = rated_in(Path(folder))[1]
        return plan_id(page_plans(own)[0] if of_page else plan(own, "Mina"))
