"""A variant → a folder that is what a repository of the hub would hold: card, pictures and both files of the adapter.

What lies there is looked at first and sent as it is (`hub`), so nothing is sent that nobody could see. Whoever gets it
can check every file by the list of their hashes, with caplora or with `sha256sum` alone.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from caplora.lora import DIFFUSERS, read_adapter, weights_file, write_weights
from caplora.publishing.card import model_card
from caplora.publishing.facts import Facts
from caplora.publishing.pictures import chosen_pictures, save_bare
from caplora.publishing.words import plain
from caplora.sampling import read_made
from caplora.study import Study, Variant, disk_errors_name, file_hash, only_writer, write_text

CARD, SUMS = "README.md", "SHA256SUMS"


class PublishError(RuntimeError):
    """What cannot be published, or not like this; the message names the way out."""


@dataclass(frozen=True)
class Folder:
    """A folder that is ready to be looked at, and to be sent."""

    path: Path
    facts: Facts

    @property
    def files(self) -> list[Path]:
        """Everything in it, the card first."""
        found = sorted(p for p in self.path.rglob("*") if p.is_file())
        return sorted(found, key=lambda p: (p.name != CARD, p.suffix != ".safetensors", p))

    def name(self, file: Path) -> str:
        """A file as the repository calls it."""
        return file.relative_to(self.path).as_posix()


def card_folder(study: Study, variant: Variant) -> Path:
    """Where the card of a variant lies."""
    return study.run / "card" / variant.name


def write_folder(facts: Facts, repository: str = "") -> Folder:
    """Write the folder anew, whole or not at all. Raises PublishError for an adapter that must not be published."""
    check_adapter(facts)
    path = card_folder(facts.study, facts.variant)
    part = path.with_name(f".{path.name}.part")
    with only_writer(path), disk_errors_name(path):
        shutil.rmtree(part, ignore_errors=True)
        pictures = chosen_pictures(facts.study, facts.variant.name)
        for pair in pictures.pairs:
            save_bare(pair.baseline, part / pair.baseline_name)
            save_bare(pair.adapter, part / pair.file_name)
        copy_weights(facts, part)
        files = {p.name: file_hash(p) for p in sorted(part.glob("*.safetensors"))}
        write_text(part / CARD, model_card(facts, pictures, files, repository))
        write_text(part / SUMS, sums_of(part))
        shutil.rmtree(path, ignore_errors=True)
        part.rename(path)
    return Folder(path, facts)


def sums_of(folder: Path) -> str:
    """The hash of every file in a folder, a line each as `sha256sum` writes and checks them."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return "".join(f"{file_hash(p)}  {p.relative_to(folder).as_posix()}\n" for p in files)


def check_adapter(facts: Facts) -> None:
    """Raise PublishError where a file of the adapter is not there, not what was trained, or holds what is no number."""
    kohya, again = weights_file(facts.study, facts.variant), "run 02_train_lora again"
    for path in (kohya.with_name(DIFFUSERS), kohya):
        if not path.is_file():
            raise PublishError(f"{path} is not there: {again}")
        if file_hash(path) != facts.record.get("sha256", {}).get(path.name):
            raise PublishError(
                f"{path} is not the file that its training left (another SHA-256 in settings.json): {again}"
            )
        try:
            bad = [key for key, value in load_file(path).items() if not torch.isfinite(value).all()]
        except SafetensorError as error:
            raise PublishError(f"{path} cannot be read ({error}): {again}") from error
        if bad:
            raise PublishError(
                f"{path} holds what is not finite, first in {bad[0]}: lower its learning rate and {again}"
            )
    drawn = read_made(facts.study.samples(facts.variant.name)).get("adapter") or {}
    if drawn.get("sha256", file_hash(kohya)) != file_hash(kohya):
        raise PublishError(
            f"the samples of {facts.variant.name} are of an earlier training, so nothing that was measured is of this"
            " adapter: run 03_inference, 04_clipscore and 05_analysis again"
        )


def copy_weights(facts: Facts, folder: Path) -> None:
    """Both files of the adapter, byte for byte; of what their metadata say, private things are left out of a copy.

    Kohya's form names the base model, which may be a folder of this machine, and counts the phrases of the captions,
    in which people stand by name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kohya = weights_file(facts.study, facts.variant)
    shutil.copyfile(kohya.with_name(DIFFUSERS), folder / DIFFUSERS)
    with safe_open(kohya, framework="pt") as file:
        said = dict(file.metadata() or {})
    shown = {key: plain(value) for key, value in said.items() if key != "ss_tag_frequency"}
    shown |= {"ss_sd_model_name": facts.base}
    if said | {"ss_sd_model_name": facts.base} == said and shown == said:
        shutil.copyfile(kohya, folder / kohya.name)
    else:
        write_weights(read_adapter(kohya), folder / kohya.name, "kohya", shown)
