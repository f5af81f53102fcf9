"""YAML → keys and values, and those → a typed, frozen part of a study; every error names the file."""

import json
import re
from collections.abc import Hashable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import ValidationError

from caplora.study.settings import Part

PROJECT = Path(__file__).resolve().parents[2]

LARGEST = 100_000  # values in a file of parameters
P = TypeVar("P", bound=Part)


class StudyError(ValueError):
    """A parameter file that cannot be used; the message names the file, the key and the value."""


class _Loader(yaml.SafeLoader):
    """YAML as people write numbers (`1e-4` is one), in which a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise yaml.YAMLError(f"{str(node.value)[:80]!r} is tagged as keys and values, and is none{node.start_mark}")
        seen = set()
        for key in (self.construct_object(key, deep=True) for key, _ in node.value):
            if isinstance(key, Hashable):  # what is none is an error of its own
                if key in seen:
                    raise yaml.YAMLError(f"the key {key!r} stands twice{node.start_mark}")
                seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """What a node holds; PyYAML's own constructors fail in many ways where a tag does not fit (`!!bool x`)."""
        try:
            return super().construct_object(node, deep)
        except (AttributeError, LookupError, TypeError, ArithmeticError) as error:
            raise yaml.YAMLError(f"{str(node.value)[:80]!r} is no {node.tag}{node.start_mark}") from error


def _size(node: yaml.Node | None, known: dict[int, int]) -> int:
    """How many values a node holds once its anchors are written out; `known` has those of nodes met before."""
    if node is None or isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = 0  # where it holds itself
        pairs = isinstance(node, yaml.MappingNode)
        inner = [part for pair in node.value for part in pair] if pairs else node.value
        known[id(node)] = 1 + sum(_size(part, known) for part in inner)
    return known[id(node)]


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; errors name the file."""
    try:
        content = _content(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, OverflowError, yaml.YAMLError) as error:
        # ValueError: a day that is none; OverflowError: a character beyond Unicode
        raise StudyError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise StudyError(f"{path} must hold keys and values, got {type(content).__name__}")
    return content


def _content(text: str) -> Any:
    """What YAML holds; YAMLError where a few anchors that hold anchors would fill the memory."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if (size := _size(node, {})) > LARGEST:
            raise yaml.YAMLError(f"with its anchors written out it holds {size:,} values, and {LARGEST:,} are the most")
        return loader.construct_document(node) if node else None
    finally:
        loader.dispose()


def absolute(path: str | Path, folder: Path) -> Path:
    """A path as a file writes it: `~` is home, relative starts at `folder`; StudyError where there is no such home."""
    try:
        return folder / Path(path).expanduser()
    except RuntimeError as error:
        raise StudyError(
            f"{str(path)!r} begins with the home of somebody who has none here: write the whole path"
        ) from error


def validated(kind: type[P], content: Any, where: str) -> P:
    """`content` as a `kind`, strictly typed; raises StudyError naming `where`, the key and the value."""
    try:
        return kind.model_validate_json(json.dumps(content), strict=True)
    except (ValidationError, TypeError, ValueError, RecursionError) as error:  # ValueError: a part that holds itself
        if not isinstance(error, ValidationError):
            raise StudyError(f"{where}: {error}") from error
        raise StudyError(f"{where}: " + "; ".join(_said(kind, dict(e)) for e in error.errors())) from error


def _said(kind: type[Part], error: dict[str, Any]) -> str:
    """One error of pydantic in plain words: the key, what is wrong with it, and the value or the key that was meant."""
    key, wrong = ".".join(map(str, error["loc"])) or "the file", error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        nearest = get_close_matches(str(error["loc"][-1]), _keys(kind, error["loc"][:-1]), 1)
        wrong = "there is no such key" + (f" (did you mean {nearest[0]}?)" if nearest else "")
    return f"{key}: {wrong}" + ("" if error["type"] in ("missing", "value_error") else f", got {error['input']!r}")


def _keys(annotation: Any, place: Sequence[str | int]) -> list[str]:
    """The keys of the part of a study that stands at a place below an annotation; none where there is no part."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        fields = annotation.model_fields
        return _keys(fields[str(place[0])].annotation, place[1:]) if place else list(fields)
    inside = place[1:] if place and isinstance(place[0], int) else place  # the number of an item of a list
    inner = [_keys(part, inside) for part in get_args(annotation)]
    return next(filter(None, inner), [])
