"""A manifest → its study in a fresh folder, run again there: settings, variants, models, images and people's captions.

The folder is a project of its own (`params/`, `datasets/`, `runs/`, `figures/`), so nothing of the original is written
to. Models and the person's images are links to where they lie; the dataset is a copy. What people decided is an input
and stays as it was: captions are not asked of the machine again.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from caplora.jobs import run_study
from caplora.study import Study, read_study, replacing, write_text
from caplora.verifying.checking import differences, other_machine, other_versions
from caplora.verifying.manifest import Manifest, manifest_path, models_of, recipes_of

INPUTS = ("images", "captions", "models")
STORY = ("01_data_captioning", "02_train_lora", "03_inference", "04_clipscore", "05_analysis")
MADE_BY_01 = ("*.png", "images.csv", "refused.csv", "*.lock", ".captioned")


class OtherInputsError(ValueError):
    """Images, captions or models that are not those of the manifest; the message names each."""


def refuse_other_inputs(study: Study, manifest: Manifest) -> None:
    """Raise OtherInputsError where what a study is made from is not there, or not as the manifest says."""
    if not manifest.recipes:
        raise ValueError(
            f"{manifest_path(study)} does not say what its variants are: version {manifest.versions.get('caplora')}"
            " wrote it. Run 05_analysis again, which writes it anew"
        )
    found = [d.said() for d in differences(study, manifest, INPUTS) if d.kind in INPUTS]
    if found:
        raise OtherInputsError(
            "\n".join([*found, f"{len(found)} of what {study.name} is made from is not as it was: put it back"])
        )


def other_surroundings(study: Study, manifest: Manifest) -> list[str]:
    """What is another now and may change the result, a sentence each: settings, code, libraries, machine."""
    found = list(differences(study, manifest, ("code",)))
    settings = [
        f"the study file says {d.what} otherwise by now: the manifest counts" for d in found if d.kind != "code"
    ]
    code = [d.what for d in found if d.kind == "code"]
    said = [f"other code: {', '.join(code[:5])}{f' and {len(code) - 5} more files' * (len(code) > 5)}"] if code else []
    return [*settings, *said, *filter(None, [other_versions(manifest), other_machine(manifest)])]


def begin(study: Study, manifest: Manifest, folder: Path) -> Study:
    """The study of a manifest in `folder`, ready to be run there; one that was begun there goes on.

    Raises FileExistsError for a folder that holds anything else, ValueError for one inside the original's.
    """
    _claim(study, folder)
    path = folder / "params" / "studies" / f"{study.name}.yaml"
    write_text(
        path, _yaml({"name": study.name, **{part: json.loads(says) for part, says in manifest.settings.items()}})
    )
    own = [v for v in recipes_of(manifest) if not v.step and not v.retrained]  # the study's settings say the others
    write_text(
        variants_of(folder), _yaml({"variants": [v.model_dump(mode="json", exclude_defaults=True) for v in own]})
    )
    repeated = read_study(path)
    for named in [repeated.images.folder, *models_of(repeated)]:
        _link(study.path(named), folder, named)
    if not repeated.dataset.is_dir():
        _copy_dataset(study, repeated)
    return repeated


def repeat(repeated: Study) -> Iterator[tuple[str, bool]]:
    """Run the notebooks of a repeated study, yielding each as `run_study` does.

    01 makes the images safe anew where the person's own are on this machine; else the safe ones are taken as they are.
    """
    root = repeated.run.parents[1]
    study = root / "params" / "studies" / f"{repeated.name}.yaml"
    yield from run_study(str(study), str(variants_of(root)), notebooks=STORY[not _has_images(repeated) :])


def variants_of(folder: Path) -> Path:
    """Where the variants of a repeated study are said."""
    return folder / "params" / "variants" / "repeated.yaml"


def _claim(study: Study, folder: Path) -> None:
    """Make a folder that of a repetition, or find that it is the one of this manifest already."""
    marker, manifest = folder / "manifest.json", manifest_path(study)
    if any(folder.is_relative_to(own) for own in (study.run, study.dataset, study.figures)):
        raise ValueError(f"{folder} lies inside the study that is to be repeated: choose another folder by --into")
    if marker.is_file() and marker.read_bytes() == manifest.read_bytes():
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty, and no repetition of {manifest}: choose another one by --into")
    with replacing(marker) as part:
        shutil.copyfile(manifest, part)


def _link(there: Path, folder: Path, named: str) -> None:
    """Have a folder that settings name by a relative path lead to where it lies.

    Raises ValueError for one above the project.
    """
    if Path(named).expanduser().is_absolute() or not there.is_dir():
        return
    link = Path(os.path.normpath(folder / named))
    if not link.is_relative_to(folder):
        raise ValueError(
            f"{named} lies above the project, and a repetition has another: say its whole path in the study"
        )
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(there.resolve(), target_is_directory=True)


def _copy_dataset(study: Study, repeated: Study) -> None:
    """The captions, their history and people's answers; the safe images too where 01 cannot make them again."""
    part = repeated.dataset.with_name(f".{repeated.dataset.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    left = MADE_BY_01 if _has_images(repeated) else ()
    shutil.copytree(study.dataset, part, ignore=shutil.ignore_patterns(*left))
    part.rename(repeated.dataset)


def _has_images(repeated: Study) -> bool:
    """Whether the person's own images are on this machine."""
    return repeated.images_folder.is_dir() and repeated.images_folder != repeated.run.parents[1]


def _yaml(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)
