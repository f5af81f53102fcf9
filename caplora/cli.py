"""The commands: `python -m caplora new NAME --images FOLDER --like STUDY`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from caplora.study import PROJECT, Study, StudyError, read_study, read_yaml, validated


def new_study(name: str, images: Path, like: str, folder: Path = PROJECT / "params" / "studies") -> Path:
    """`params/studies/<name>.yaml`: the study `like` with other images. One of these images that is there stays.

    Raises StudyError if the name is another study's or cannot be one, or the folder of images does not exist.
    """
    path = folder / f"{name}.yaml"
    if path.exists():
        if read_study(path).images_folder.resolve() != images:
            raise StudyError(
                f"{path} exists and is of {read_study(path).images_folder}: choose another name, or edit it"
            )
        return path
    if not images.is_dir():
        raise StudyError(f"--images: {images} is not a folder")
    read_study(like)
    content = read_yaml(PROJECT / "params" / "studies" / f"{like}.yaml")
    content |= {"name": name, "images": content["images"] | {"folder": str(images)}}
    validated(Study, content, f"{name}, like {like}")
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)
    opening = f"# Like {like}, with other images. Say what they show in captioning.subject and in the prompts.\n"
    path.write_text(opening + text, encoding="utf-8")
    return path


def parser() -> argparse.ArgumentParser:
    """The commands and their flags."""
    top = argparse.ArgumentParser(prog="python -m caplora", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    new = commands.add_parser("new", help="begin a study of your own images")
    new.add_argument("name", help="of the study, its folders and its file")
    new.add_argument("--images", type=Path, required=True, help="the folder that holds them; it is never written to")
    new.add_argument("--like", default="sd15", help="the study whose models and settings it takes (default: sd15)")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0, or 2 with the reason on standard error."""
    given = parser().parse_args(arguments)
    try:
        path = new_study(given.name, given.images.expanduser().resolve(), given.like)
    except StudyError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{path}\n")
    return 0
