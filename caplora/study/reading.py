"""YAML → keys and values, and those → a typed, frozen part of a study; every error names the file."""

import json
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import ValidationError

from caplora.study.settings import Part

PROJECT = Path(__file__).resolve().parents[2]

P = TypeVar("P", bound=Part)


class StudyError(ValueError):
    """A parameter file that cannot be used; the message names the file, the key and the value."""


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
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506  # a SafeLoader
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: a day that is none
        raise StudyError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise StudyError(f"{path} must hold keys and values, got {type(content).__name__}")
    return content


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
