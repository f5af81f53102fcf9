"""A study file → a typed, frozen `Study`, and every path of its run.

A study is read from `params/studies/<name>.yaml`. Its relative paths start at the project folder, so it means the same
from any working directory. What its parts may say is in the files whose names end in `settings`.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PrivateAttr

from caplora.study.image_settings import Images
from caplora.study.inheritance import lineage, study_file
from caplora.study.moved import current_model, moved_notice
from caplora.study.reading import PROJECT, StudyError, absolute, validated
from caplora.study.sampling_settings import Sampling
from caplora.study.settings import Captioning, Claims, Clip, Model, Part, Publishing, Scoring, Text
from caplora.study.training_settings import Training
from caplora.study.variants import Variant


class Study(Part):
    """One set of images, one base model and the settings held fixed."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]
    question: Text = "Can a LoRA teach this model this face and style?"
    images: Images
    base: Model = Model(
        path="stable-diffusion-v1-5/stable-diffusion-v1-5", revision="451f4fe16113bff5a5d2269ed5ad43b0592e9a14"
    )
    captioning: Captioning = Captioning()
    training: Training = Training()
    sampling: Sampling
    scoring: Scoring = Scoring()
    claims: Claims = Claims()
    publishing: Publishing = Publishing()
    _root: Path = PrivateAttr(default=PROJECT)
    _aside: str = PrivateAttr(default="")  # the folder in the run, where something is drawn otherwise for once

    def path(self, path: str) -> Path:
        """A path as the study file writes it, made absolute: `~` is home, relative starts at the project folder."""
        try:
            return absolute(path, self._root)
        except StudyError as error:
            raise StudyError(f"study {self.name}: {error}") from error

    def model_path(self, model: Model) -> str:
        """What `from_pretrained` takes: the folder if there is one, else the hub id.

        Raises FileNotFoundError for what can be neither: more than one slash, or a start with `.`, `/` or `~`; and
        StudyError for a hub id without a revision.
        """
        folder = self.path(model.path)
        if folder.is_dir():
            return str(folder)
        if model.path.count("/") > 1 or model.path[0] in "./~":
            raise FileNotFoundError(f"study {self.name}: there is no model in {folder} (written {model.path!r})")
        if model.revision is None:
            raise StudyError(
                f"study {self.name}: {model.path!r} is no folder, so a model of the hub, and needs a revision: the"
                f" commit of it to use (on the command line {model.path}@COMMIT)"
            )
        return model.path

    def clip_name(self, clip: Clip) -> str:
        """What open_clip takes: a `local-dir:` made absolute, else the name."""
        if not clip.name.startswith("local-dir:"):
            return clip.name
        return f"local-dir:{self.path(clip.name.removeprefix('local-dir:'))}"

    @property
    def images_folder(self) -> Path:
        """The person's own images; never written to."""
        return self.path(self.images.folder)

    @property
    def dataset(self) -> Path:
        """The safe images and the caption ledger (01)."""
        return self._root / "datasets" / self.name

    @property
    def run(self) -> Path:
        """Everything that can be thrown away and made again."""
        return self._root / "runs" / self.name

    def adapter(self, variant: Variant) -> Path:
        """Where 02 leaves the adapter of `variant`."""
        return self.run / "adapters" / variant.name

    def samples(self, arm: str) -> Path:
        """Where 03 leaves the samples of an arm: `baseline` or a variant's name."""
        return self.drawn / "samples" / arm

    @property
    def drawn(self) -> Path:
        """Samples, scores and all that follows from them: in the run, or aside in a folder of it."""
        return self.run / self._aside

    @property
    def aside_sentence(self) -> str:
        """Where samples go that are drawn with other settings for once; empty where they are the study's own."""
        return (
            f"drawn aside, into {self.drawn}: 04 and 05 read what the study’s own settings drew" if self._aside else ""
        )

    @property
    def embeddings(self) -> Path:
        """What the encoders of 01 and 04 made of pictures and texts, kept by content."""
        return self.run / "cache" / "embeddings"

    @property
    def choice(self) -> Path:
        """Whom 03 chose by the development prompts."""
        return self.drawn / "choice.csv"

    @property
    def scores(self) -> Path:
        """The table that 04 leaves."""
        return self.drawn / "scores.csv"

    @property
    def arms(self) -> Path:
        """The table of whole arms that 04 leaves beside it."""
        return self.drawn / "arms.csv"

    @property
    def closest(self) -> Path:
        """The samples most like a training image, as 04 found them."""
        return self.drawn / "closest.csv"

    @property
    def scales(self) -> Path:
        """The scores of adapters used at other scales than 1."""
        return self.drawn / "scales.csv"

    @property
    def replication(self) -> Path:
        """How near samples come to the images whose captions they were drawn from."""
        return self.drawn / "replication.csv"

    @property
    def tiniest(self) -> Path:
        """The drift of adapters of which next to nothing is used: what drift is where there is none."""
        return self.drawn / "tiniest.csv"

    @property
    def controls(self) -> Path:
        """What must come out right in every study, and whether it did."""
        return self.drawn / "controls.csv"

    @property
    def figures(self) -> Path:
        """Where 05 draws."""
        return self._root / "figures" / self.name

    @property
    def report(self) -> Path:
        """The page that 05 writes."""
        return self.run / "report.html"


def read_study(study: str | Path, **turned: dict[str, Any]) -> Study:
    """The study of that name in `params/studies`, or in that file; raises StudyError naming file, key and value.

    A file may say `like:`, the name of another study or a path from this file to its, and then only what differs:
    mappings are merged key by key, lists and values replace. Null in place of a mapping drops it, so that the default
    holds; a model that is named by its `path` replaces whole. Never taken over are `name`, `question`, `publishing`
    and what a study says of its own pictures (images.accept, images.refuse, images.photographs, images.provenance).
    Relative paths start at the project folder of the file that is read. The other study must be valid too, and may
    itself be like a third.

    A base model that is gone from the hub is read from where its files are now, with a warning that says so.

    `turned` replaces values for this once, by part: `training={"steps": 200}`; a value of None stays as the file says.
    """
    *others, (path, content) = lineage(study_file(study, Path.cwd()))
    for other, says in others:
        _named_as_its_file(validated(Study, says, str(other)), other)
    for part, values in turned.items():
        if isinstance(own := content.get(part, {}), dict):  # else it is no such part, which is said below
            content[part] = own | {key: value for key, value in values.items() if value is not None}
    read = _named_as_its_file(validated(Study, content, str(path)), path)
    fewer = turned.get("training", {})
    if read.training.unreached and (fewer.get("keep") or not fewer.get("steps")):  # fewer steps for once reach fewer
        raise StudyError(f"{path}: {read.training.unreached}")
    read._root = path.parents[2] if path.parts[-3:-1] == ("params", "studies") else path.parent
    notice = moved_notice(read.base.path)
    if not notice or read.path(read.base.path).is_dir():
        return read
    warnings.warn(f"{path}: base: {notice}", stacklevel=2)
    return read.model_copy(update={"base": current_model(read.base)})


def read_aside(study: str | Path, sampling: Mapping[str, Any]) -> Study:
    """The study with these settings of `sampling` for this once; a value of None stays as the file says.

    Where any differs, all that is drawn with them has a folder of its own in the run, named by them, so that nothing
    that the study has is drawn anew.
    """
    own = read_study(study)
    differs = {name: x for name, x in sampling.items() if x is not None and x != getattr(own.sampling, name)}
    if not differs:
        return own
    turned = read_study(study, sampling=differs)
    turned._aside = "_".join(["with", *(f"{name}_{value}" for name, value in differs.items())])
    return turned


def _named_as_its_file(study: Study, path: Path) -> Study:
    if path.parent == PROJECT / "params" / "studies" and study.name != path.stem:
        raise StudyError(f"{path}: name must be that of the file, {path.stem!r}, got {study.name!r}")
    return study
