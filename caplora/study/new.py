"""The commands of caplora: begin a study, exchange its captions, train, draw and score, and what adapters need."""

from pathlib import Path

import yaml

from caplora.study.reading import PROJECT, StudyError, read_yaml, validated
from caplora.study.study import Study, read_study

OF_ITS_FILES = ("accept", "refuse", "provenance")  # what a study says of its own images


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
    kept = {key: value for key, value in content["images"].items() if key not in OF_ITS_FILES}
    content |= {"name": name, "images": kept | {"folder": str(images)}}
    validated(Study, content, f"{name}, like {like}")
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)
    opening = f"# Like {like}, with other images. Say what they show in captioning.subject and in the prompts.\n"
    path.write_text(opening + text, encoding="utf-8")
    return path
