"""Samples ↔ files: what a study wants drawn, PNGs that say how they were drawn, and the table of an arm.

Nothing here knows a model. A sample is named by its split, a hash of its prompt and its seed, so prompts may come, go
and change places without drawing the others again; which prompt it is of, the picture says itself.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from caplora.captions import leads_out
from caplora.sampling.a1111 import read_written, written
from caplora.study import BASELINE, DiskError, Sampling, disk_errors_name, read_text, replacing, write_text

TABLE, KEY = "metadata.csv", "settings.json"
UNDER_WAY = ".drawing.json"  # in the folder of a job's first arm: what is being drawn, with whom
COLUMNS = ("file_name", "text", "seed", "split", "flag")
SCALED = ("development", "unrelated")  # what an adapter draws at other scales: the test is not spent on a setting
CAPTIONED = "@captions"  # after the name of an arm: its samples of captions, in a folder of their own
TINIEST = 0.01  # the scale of an adapter that changes next to nothing: a null for drift
DARKEST = 4  # of 255: a picture with nothing above is black


@dataclass(frozen=True)
class Wanted:
    """One sample that every arm draws."""

    prompt: str
    seed: int
    split: str  # development, test, edits or unrelated; of a caption: what its image is, train or held_out
    file_name: str

    @property
    def noise(self) -> int:
        """What seeds the initial noise: a function of the prompt and the seed, so that prompts are independent."""
        return int.from_bytes(hashlib.sha256(f"{self.seed} {self.prompt}".encode()).digest()[:4], "big")


def named_sample(prompt: str, seed: int, split: str) -> Wanted:
    """A sample, its file named by its split, a hash of its prompt and its seed: test_1a2b3c4d_0.png."""
    return Wanted(prompt, seed, split, f"{split}_{hashlib.sha256(prompt.encode()).hexdigest()[:8]}_{seed}.png")


@dataclass(frozen=True)
class Sample:
    """A generated image as 03 left it."""

    variant: str  # the arm: baseline, a variant's name, or at a scale or with captions r4_a8@0.4, r4_a8@captions
    path: Path
    prompt: str
    seed: int
    split: str
    flag: str = ""  # why it cannot be scored: black, not finite


def wanted_samples(settings: Sampling) -> tuple[Wanted, ...]:
    """Every prompt with every seed, in the study's order."""
    return tuple(
        named_sample(prompt, seed, split)
        for split, suite in settings.suites.items()
        for prompt in suite
        for seed in settings.seeds
    )


def scaled_samples(settings: Sampling) -> tuple[Wanted, ...]:
    """What an adapter draws at each of `sampling.scales`: development and unrelated prompts with the first seed."""
    return tuple(w for w in wanted_samples(settings) if w.split in SCALED and w.seed == settings.seeds[0])


def caption_samples(captions: Mapping[str, Iterable[str]], seed: int) -> tuple[Wanted, ...]:
    """One sample of each caption; `captions` has them by the split of their image, train or held_out."""
    return tuple(named_sample(text, seed, split) for split, texts in captions.items() for text in texts)


def first_prompts(settings: Sampling, count: int = 2) -> str:
    """The first prompts of each suite, in lines, and how many it has."""
    lines = []
    for split, suite in settings.suites.items():
        own = [f"  {prompt}" for prompt in suite[:count]]
        lines += [f"{len(suite)} {split}:", *own, *["  …"][: len(suite) > count]]
    return "\n".join(lines)


def suite_hashes(settings: Sampling) -> dict[str, str]:
    """Split → the first twelve characters of a hash of its prompts, for the splits that have any."""
    texts = {split: json.dumps(suite, ensure_ascii=False) for split, suite in settings.suites.items() if suite}
    return {split: hashlib.sha256(text.encode()).hexdigest()[:12] for split, text in texts.items()}


def parameters(wanted: Wanted, size: tuple[int, int], arm: str, made: dict[str, Any]) -> str:
    """How a picture was drawn in the words of A1111, which ComfyUI reads too; the seed is that of the noise."""
    adapter, own = made["adapter"], f"caplora arm: {arm}, caplora seed: {wanted.seed}"
    return written((wanted.prompt, "", wanted.noise), size, made, [adapter] if adapter else [], own)


def save_sample(image: Image.Image, flag: str, folder: Path, wanted: Wanted, made: dict[str, Any]) -> None:
    """Write a picture with what drew it, whole or not at all; `made` is what the folder was claimed with."""
    own = {"arm": folder.name, "prompt": wanted.prompt, "seed": wanted.seed, "noise": wanted.noise, "flag": flag}
    said = own | {"split": wanted.split, "made": made}
    save_picture(image, folder / wanted.file_name, parameters(wanted, image.size, folder.name, made), said)


def save_picture(image: Image.Image, path: Path, words: str, said: dict[str, Any]) -> None:
    """Write a PNG, whole or not at all, with what drew it in A1111's words and in our own."""
    info = PngInfo()
    info.add_itxt("parameters", words)
    info.add_itxt("caplora", json.dumps(said, ensure_ascii=False))
    with replacing(path) as part:
        image.save(part, format="PNG", pnginfo=info)


def said_of(path: Path) -> dict[str, Any]:
    """What a picture says of itself; empty for one that is not there or is none of ours; DiskError as `texts_in`."""
    try:
        said = json.loads(texts_in(path).get("caplora", "{}"))
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def texts_in(path: Path) -> dict[str, str]:
    """The texts in a picture by their keys; none if there are none; DiskError if the disk does not give it."""
    try:
        with disk_errors_name(path, "read"), Image.open(path) as image:
            return {str(key): text for key, text in image.info.items() if isinstance(text, str)}
    except DiskError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return {}


def flag_of(path: Path) -> str:
    """Why a picture of ours cannot be scored; empty if it can. Raises ValueError for one that is none of ours."""
    if not isinstance(flag := said_of(path).get("flag"), str):
        raise ValueError(f"{path} does not say how it was drawn, as samples do: take it away, and 03 draws it again")
    return flag


def drawn_samples(folder: Path, wanted: Iterable[Wanted]) -> list[Sample]:
    """Those of the wanted that are in the folder, whether or not its table says so yet."""
    there = [(w, _inside(folder, w.file_name)) for w in wanted if (folder / w.file_name).is_file()]
    return [Sample(folder.name, path, w.prompt, w.seed, w.split, flag_of(path)) for w, path in there]


def pictures_of(folder: Path, wanted: Iterable[Wanted]) -> dict[Wanted, Path]:
    """Those of the wanted that are in the folder, under their own names or under those its table has for them.

    A table of a version before this one has names by the place of a prompt in its suite.
    """
    try:
        named = {(s.prompt, s.seed): s.path for s in read_samples(folder)}
    except FileNotFoundError:  # not all is drawn yet
        named = {}
    places = {w: folder / w.file_name for w in wanted}
    found = {w: path if path.is_file() else named.get((w.prompt, w.seed), path) for w, path in places.items()}
    return {w: _inside(folder, path.name) for w, path in found.items() if path.is_file()}


def asked_of(path: Path) -> str:
    """The prompt that a picture says it was drawn from, as caplora or A1111 wrote it; empty where it says none."""
    return str(said_of(path).get("prompt") or "") or read_written(texts_in(path).get("parameters", "")).prompt


def read_made(folder: Path) -> dict[str, Any]:
    """What the pictures of a folder were drawn with, as it was claimed; empty if it was not."""
    path = folder / KEY
    return json.loads(read_text(path)) if path.is_file() else {}


def lacking(folder: Path, wanted: Iterable[Wanted]) -> list[Wanted]:
    """The samples that are not in the folder."""
    return [w for w in wanted if not (folder / w.file_name).is_file()]


def write_table(folder: Path, wanted: Sequence[Wanted]) -> None:
    """Write metadata.csv of an arm whose pictures are all there: file_name, text (the prompt), seed, split, flag.

    One that says the same already is left as it is.
    """
    rows = [(w.file_name, w.prompt, w.seed, w.split, flag_of(folder / w.file_name)) for w in wanted]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    path = folder / TABLE
    if not path.is_file() or read_text(path) != text.getvalue():
        write_text(path, text.getvalue())


def read_samples(folder: Path) -> list[Sample]:
    """The samples of one arm; a missing table or picture raises FileNotFoundError saying which.

    Raises ValueError for a picture that lies elsewhere: what is drawn there is shown, scored and published.
    """
    table = folder / TABLE
    if not table.is_file():
        raise FileNotFoundError(f"{table} does not exist: run 03_inference for this arm first")
    with disk_errors_name(table, "read"), open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    samples = [
        Sample(folder.name, _inside(folder, r["file_name"]), r["text"], int(r["seed"]), r["split"], r.get("flag", ""))
        for r in rows
    ]
    gone = [s.path for s in samples if not s.path.is_file()]
    if gone:
        raise FileNotFoundError(f"{gone[0]} is named in {table} and does not exist; run 03_inference again")
    return samples


def _inside(folder: Path, name: str) -> Path:
    """A picture of a folder; raises ValueError where its name or a link leads out."""
    if leads_out(folder, name):
        raise ValueError(f"{folder / name} leads out of {folder}: correct file_name in its {TABLE}, or remove the link")
    return folder / name


def refuse_flagged_baseline(samples: Sequence[Sample]) -> None:
    """Raise ValueError where a sample of the baseline cannot be scored, for then nothing can be compared with it."""
    if wrong := flagged_sentence([s for s in samples if s.variant == BASELINE]):
        raise ValueError(f"{wrong} It is of the baseline: change that prompt or seed in the study, and run 03 again.")


def flagged_sentence(samples: Sequence[Sample]) -> str:
    """Which samples cannot be scored and why; empty if all can."""
    flagged = [s for s in samples if s.flag]
    if not flagged:
        return ""
    arms = ", ".join(f"{n} of {arm}" for arm, n in _counts(s.variant for s in flagged).items())
    first = flagged[0]
    return (
        f"{len(flagged)} of {len(samples)} samples cannot be scored ({arms}), the first of them {first.path}, which is "
        f"{first.flag}: an adapter that diverged draws such (lower its learning rate or scale), and so does a model in "
        "fp16 that overflows (training.mixed_precision: bf16 or no)."
    )


def _counts(names: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in names:
        found[name] = found.get(name, 0) + 1
    return found
