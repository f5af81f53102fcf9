"""A folder of pictures and a study to be like → the file of a study of one's own, to be filled in by hand."""

import textwrap
from pathlib import Path
from typing import Any

import yaml

from caplora.study.files import write_text
from caplora.study.inheritance import study_file
from caplora.study.reading import PROJECT, StudyError, validated
from caplora.study.study import Study, read_study


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
    model = read_study(like)
    if like.endswith((".yaml", ".yml")):
        like = str(study_file(like, Path.cwd()))
    own = {"name": name, "images": {"folder": str(images)}}
    validated(Study, model.model_dump(mode="json") | own, f"{name}, like {like}")
    write_text(path, _opening(name, images, like, model))
    return path


def _opening(name: str, images: Path, like: str, model: Study) -> str:
    """The text of a new study: what must be said, and as comments what a person may want to say next."""
    provenance = {"origin": "my own photographs", "licence": "private", "consent": "signed, 2026-11-01"}
    prompts = {"development": list(model.sampling.development[:2]), "test": list(model.sampling.test[:2])}
    return f"""\
# The study {like} with other pictures. What this file says goes before what {like} says; the rest is as there.
# To say more, take "# " away from the lines below and edit them; a list replaces the whole list of {like}.
{_yaml({"name": name, "like": like, "images": {"folder": str(images)}})}\
  # Where the pictures are from and by what right you use them; notebook 01 asks for it. For example:
{_hint({"provenance": provenance}, "  ")}
# What every caption starts with: the style, a rare word for the person, the class. Prompts use the same words.
{_hint({"captioning": {"subject": model.captioning.subject}})}
# Prompts of development choose the best variant, those of test judge it; the more, the better.
{_hint({"sampling": prompts})}"""


def _yaml(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)


def _hint(content: dict[str, Any], indent: str = "") -> str:
    return textwrap.indent(_yaml(content), f"{indent}# ")
