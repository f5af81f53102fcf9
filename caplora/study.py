"""What is studied and where it lies: YAML → a typed, frozen `Study`, and every path of its run.

A study is read from `params/studies/<name>.yaml`; its relative paths start at the project folder, so it means the
same from any working directory. What its parts may say is in `settings.py`.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import Field, PrivateAttr, ValidationError

from caplora.settings import Captioning, Claims, Clip, Images, Model, Part, Sampling, Scoring, Text, Training, Variant

PROJECT = Path(__file__).resolve().parents[1]
BASELINE = "baseline"  # the arm without an adapter

P = TypeVar("P", bound=Part)


class StudyError(ValueError):
    """A parameter file that cannot be used; the message names the file, the key and the value."""


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
    _root: Path = PrivateAttr(default=PROJECT)

    def path(self, path: str) -> Path:
        """A path as the study file writes it, made absolute: `~` is home, relative starts at the project folder."""
        return self._root / Path(path).expanduser()

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
                " commit of it to use"
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
        return self.run / "samples" / arm

    @property
    def embeddings(self) -> Path:
        """What the encoders of 01 and 04 made of pictures and texts, kept by content."""
        return self.run / "cache" / "embeddings"

    @property
    def scores(self) -> Path:
        """The table that 04 leaves."""
        return self.run / "scores.csv"

    @property
    def arms(self) -> Path:
        """The table of whole arms that 04 leaves beside it."""
        return self.run / "arms.csv"

    @property
    def closest(self) -> Path:
        """The samples most like a training image, as 04 found them."""
        return self.run / "closest.csv"

    @property
    def scales(self) -> Path:
        """The scores of adapters used at other scales than 1."""
        return self.run / "scales.csv"

    @property
    def controls(self) -> Path:
        """What must come out right in every study, and whether it did."""
        return self.run / "controls.csv"

    @property
    def figures(self) -> Path:
        """Where 05 draws."""
        return self._root / "figures" / self.name

    @property
    def report(self) -> Path:
        """The page that 05 writes."""
        return self.run / "report.html"


class _Loader(yaml.SafeLoader):
    """YAML as people write numbers (`1e-4` is one), in which a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"the key {key!r} stands twice{node.start_mark}")
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; errors name the file."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StudyError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise StudyError(f"{path} must hold keys and values, got {type(content).__name__}")
    return content


def validated(kind: type[P], content: Any, where: str) -> P:
    """`content` as a `kind`, strictly typed; raises StudyError naming `where`, the key and the value."""
    try:
        return kind.model_validate_json(json.dumps(content), strict=True)
    except (ValidationError, TypeError) as error:
        if isinstance(error, TypeError):
            raise StudyError(f"{where}: {error}") from error
        lines = [
            f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg'].removeprefix('Value error, ')}"
            + ("" if e["type"] in ("missing", "value_error") else f", got {e['input']!r}")
            for e in error.errors()
        ]
        raise StudyError(f"{where}: " + "; ".join(lines)) from error


def read_study(study: str | Path, **turned: dict[str, Any]) -> Study:
    """The study of that name in `params/studies`, or in that file; raises StudyError naming file, key and value.

    `turned` replaces values for this once, by part: `training={"steps": 200}`; a value of None stays as the file says.
    """
    path = Path(study).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        path = PROJECT / "params" / "studies" / f"{study}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.yaml"))
        raise StudyError(f"there is no study {str(study)!r}: {path} does not exist (there are: {', '.join(known)})")
    path = path.resolve()
    content = read_yaml(path)
    for part, values in turned.items():
        content[part] = content.get(part, {}) | {key: value for key, value in values.items() if value is not None}
    read = validated(Study, content, str(path))
    if path.parent == PROJECT / "params" / "studies" and read.name != path.stem:
        raise StudyError(f"{path}: name must be that of the file, {path.stem!r}, got {read.name!r}")
    read._root = path.parents[2] if path.parts[-3:-1] == ("params", "studies") else path.parent
    return read


def read_variants(variants: str | list[dict[str, Any]]) -> tuple[Variant, ...]:
    """Variants as a notebook is given them: a file of `params/variants` by name, or the list it holds.

    Several files are joined by a plus, `grid+captions`; a variant that stands in more than one of them counts once.
    """
    if not isinstance(variants, str):
        return _variants(variants, "variants")
    return tuple({v.name: v for name in variants.split("+") for v in _variants_of_file(name)}.values())


def _variants_of_file(name: str) -> tuple[Variant, ...]:
    path = PROJECT / "params" / "variants" / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.yaml"))
        raise StudyError(f"there is no file of variants {path} (there are: {', '.join(known)})")
    content = read_yaml(path)
    if list(content) != ["variants"]:
        raise StudyError(f"{path}: the one key must be 'variants', got {sorted(content)}")
    return _variants(content["variants"], str(path))


def _variants(variants: Any, where: str) -> tuple[Variant, ...]:
    if not isinstance(variants, list) or not variants:
        raise StudyError(f"{where}: a list of at least one {{rank, alpha}} is needed, got {variants!r}")
    read = tuple(validated(Variant, v, f"{where}[{i}]") for i, v in enumerate(variants))
    names = [v.name for v in read]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise StudyError(f"{where}: {twice[0]} stands twice")
    return read
