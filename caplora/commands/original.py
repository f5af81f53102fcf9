"""A folder of captioned images and the flags of diffusers' training script → a study in `--output_dir`, ready to train.

The study is like `params/studies/original.yaml`, and everything that is made lies beside its file: the safe images and
the ledger, checkpoints, and at the end the adapter itself. From there on it is trained as any other study.
"""

import re
import shutil
from pathlib import Path
from typing import Annotated, Any

import yaml
from cyclopts import Group
from pydantic import ConfigDict, Field

from caplora.commands.flags import TABLE, Flags, default_of
from caplora.commands.say import say
from caplora.study import (
    CAPTION_FILES,
    SIDECARS,
    Images,
    Study,
    Training,
    Variant,
    counted,
    moved_notice,
    read_study,
    replacing,
    write_text,
)

FOLDER = Group(
    "A folder instead of a study",
    help="Names and meaning as in diffusers' script. What is not given, further down too, is as"
    " params/studies/original.yaml has it, but for the precision, which is the device's.",
    sort_key=1,
    help_formatter=TABLE,
)
LIKE, STUDY = "original", "study.yaml"
HOW = (
    'write {"file name": "caption"}, as datasets/captions_example.json shows, or let a machine caption them and review'
    " that: python -m caplora new NAME --images FOLDER, then notebook 01"
)


class FolderFlags(Flags):
    """One adapter from one folder of captioned images, all of which are trained on."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    instance_data_dir: Path
    """The images; never written to."""
    caption_file: Path | None = None
    """captions.json or metadata.csv: in that folder, or a path from here. None: the one that lies there."""
    output_dir: Path = Path("lora_weights")
    """Where the adapter goes, and all that is made on the way."""
    pretrained_model_name_or_path: str | None = None
    """The base model: a folder, or owner/name@revision. None: Stable Diffusion 1.5."""
    resolution: Annotated[int, Field(ge=64, multiple_of=8)] = 384
    """Pixels, the side of the square that is cut from each image."""
    num_train_epochs: Annotated[int, Field(ge=1)] = 10
    """How often each image is seen; --steps goes before it."""
    rank: Annotated[int, Field(ge=1)] = 4
    """Inner size of the adapter's matrices."""
    alpha: Annotated[float, Field(gt=0)] = 8.0
    """What scales the adapter, divided by the rank."""

    @property
    def variant(self) -> Variant:
        """The one variant that is trained."""
        return Variant(rank=self.rank, alpha=self.alpha)


def folder_study(flags: FolderFlags, turned: dict[str, Any]) -> Study:
    """The study of a folder, written into its output_dir, with its images made ready and captioned.

    `turned` is what the flags say of training. Several processes call it alike; the first alone writes. Raises
    ValueError for a folder, captions or a precision that cannot be had, before anything is written or loaded.
    """
    folder, out = flags.instance_data_dir.expanduser().resolve(), flags.output_dir.expanduser().resolve()
    captions = caption_file(folder, flags.caption_file)
    refuse_another_folder(out / STUDY, folder)
    from accelerate import Accelerator

    from caplora.models import device_of, precision_of

    precision_of(device_of(), turned.get("mixed_precision", default_of(Training, "mixed_precision")))
    processes = Accelerator(cpu=device_of().type == "cpu")
    if processes.is_main_process:
        if notice := moved_notice(flags.pretrained_model_name_or_path or ""):
            say(notice)
        said = contents(flags, folder, out, turned)
        images = made_ready(write_study(out / STUDY, said), captions)
        study = read_study(out / STUDY)
        steps, sentence = in_steps(images, flags.num_train_epochs, study.training, turned.get("steps"))
        say(sentence)
        write_study(out / STUDY, said | {"training": said["training"] | {"steps": steps}})
    processes.wait_for_everyone()
    return read_study(out / STUDY)


def caption_file(folder: Path, named: Path | None) -> Path:
    """The file of captions that is named, in the folder of images or from here, or else the one that lies there.

    Captions may be a folder of `.txt` too. Raises ValueError, saying how to get captions, where there are none.
    """
    if not folder.is_dir():
        raise ValueError(f"--instance_data_dir: {folder} is not a folder")
    if named is not None:
        tried = [folder / named.expanduser(), Path.cwd() / named.expanduser()]
        found = [path for path in tried if path.exists()]
        if not found:
            places = " nor ".join(dict.fromkeys(map(str, tried)))
            raise ValueError(f"--caption_file: there is no {places}: {HOW}")
        return found[0]
    found = [folder / name for name in CAPTION_FILES if (folder / name).is_file()]
    if not found and any(path.suffix.lower() in SIDECARS for path in folder.iterdir()):
        return folder
    if not found:
        beside = f"no {' or '.join(SIDECARS)} beside the images"
        raise ValueError(f"{folder} has no captions (no {', '.join(CAPTION_FILES)}, {beside}): {HOW}")
    return found[0]


def refuse_another_folder(path: Path, folder: Path) -> None:
    """Raise ValueError where a study file is of other images."""
    said = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    before = said["images"]["folder"] if said else str(folder)
    if before != str(folder):
        raise ValueError(f"--output_dir: {path.parent} is of the images of {before}: choose another one for {folder}")


def contents(flags: FolderFlags, folder: Path, out: Path, turned: dict[str, Any]) -> dict[str, Any]:
    """What the study file says: what the flags say, and `like: original`."""
    from caplora.models import named_base

    smallest = min(flags.resolution, default_of(Images, "smallest"))
    images = {"folder": str(folder), "resolution": flags.resolution, "smallest": smallest}
    own = read_study(LIKE).base
    base = named_base(flags.pretrained_model_name_or_path or own.path, own)
    precision = {"mixed_precision": default_of(Training, "mixed_precision")}
    name = re.sub(r"^[^A-Za-z0-9]+", "", re.sub(r"[^\w.-]", "_", out.name)) or "lora"
    says = {"name": name, "like": LIKE, "images": images, "base": base.model_dump(exclude_none=True)}
    return says | {"training": precision | turned}


def write_study(path: Path, content: dict[str, Any]) -> Study:
    """The study that a file says, once it is written."""
    says = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)
    write_text(path, f"# What python -m caplora train was asked for: the same command writes it again.\n{says}")
    return read_study(path)


def made_ready(study: Study, captions: Path) -> int:
    """Make the images safe and give them their captions; how many are to be trained on. Says which are not used."""
    from tqdm.auto import tqdm

    from caplora.captions import trained
    from caplora.notebooks import Portraits

    portraits = Portraits(study)
    for _ in tqdm(portraits.scan(), desc="images", unit="image"):
        pass
    for refused in portraits.refused:
        if study.images_folder / refused.source != captions:
            say(f"not used: {refused.source}: {refused.reason}")
    portraits.enrol(captions)
    count = len(trained(portraits.rows))
    say(f"{counted(count, 'image')} to train on, with the captions of {captions}; none is held out")
    return count


def in_steps(images: int, epochs: int, settings: Training, steps: int | None = None) -> tuple[int, str]:
    """The optimizer steps of so many epochs, ⌈images / (batch · accumulation)⌉ each, and that in words.

    `steps` goes before epochs. Raises ValueError where there is no image.
    """
    if not images:
        raise ValueError("no image is left to train on: every one is refused or rejected")
    batch, accumulation = settings.batch_size, settings.gradient_accumulation_steps
    each = -(-images // (batch * accumulation))
    shape = f"{counted(images, 'image')}, {batch} × {accumulation} at a step"
    if steps is not None:
        return steps, f"{counted(steps, 'step')}, which is {steps / each:.3g} epochs of {shape}"
    return epochs * each, f"{counted(epochs, 'epoch')} of {shape}: {epochs} × {each} = {epochs * each} steps"


def left_in(study: Study, variant: Variant, out: Path) -> str:
    """Copy the adapter from its run to `out`, in both forms and with its settings; where it is, and how to use it.

    Those that were kept at earlier steps (`--keep`) go into a folder each, `step150`.
    """
    from caplora.lora import DIFFUSERS, weights_file

    kept = {f"step{v.step}": v for v in study.training.with_steps([variant]) if v.step}
    there = {name: v for name, v in kept.items() if (study.adapter(v) / "settings.json").is_file()}
    for folder, own in {"": variant, **there}.items():
        kohya = weights_file(study, own)
        for path in (kohya, kohya.with_name(DIFFUSERS), kohya.with_name("settings.json")):
            with replacing(out / folder / path.name) as part:
                shutil.copyfile(path, part)
    said = [
        f"{out / DIFFUSERS}: for diffusers and python -m caplora sample --lora_weights {out}",
        f"{out / weights_file(study, variant).name}: for ComfyUI, A1111, Forge and kohya",
        *(f"{out / name}: the same after {counted(int(v.step or 0), 'step')}" for name, v in there.items()),
    ]
    return "\n".join(said)
