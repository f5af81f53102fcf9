"""The fields of a study's settings → flags of a command.

Names, types, limits, defaults and help are the settings' own.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, TypeVar

from cyclopts import Parameter
from cyclopts.help import ColumnSpec, DefaultFormatter, DescriptionRenderer, NameRenderer
from pydantic import BaseModel, ConfigDict, create_model

# The name of every field of a study fits on a line, in a terminal of 80 columns too.
TABLE = DefaultFormatter(
    column_specs=(ColumnSpec(renderer=NameRenderer(34), max_width=34), ColumnSpec(renderer=DescriptionRenderer()))
)

F = TypeVar("F", bound="Flags")


class Flags(BaseModel):
    """Flags that stand for fields of a study's settings; what is not given stays as the study says."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def flags_of(
    model: type[BaseModel], names: Iterable[str], elsewhere: Mapping[str, str] | None = None
) -> Callable[[type[F]], type[F]]:
    """A decorator that gives a class of flags these fields of `model`, with their defaults, limits and descriptions.

    `elsewhere` has a second name of a flag, as other tools call it. The model's own rules, which look at several fields
    at once, are left to whoever reads the whole study.
    """
    fields: dict[str, Any] = {name: (model.model_fields[name].annotation, model.model_fields[name]) for name in names}
    for name, other in (elsewhere or {}).items():
        kind, field = fields[name]
        fields[name] = (Annotated[kind, Parameter(name=(f"--{name}", f"--{other}"))], field)
    return lambda flags: create_model(flags.__name__, __base__=flags, __doc__=flags.__doc__, **fields)


def given(flags: Flags | None) -> dict[str, Any]:
    """The values of the flags that were given, for `read_study`; the others are not in it."""
    return flags.model_dump(exclude_unset=True) if flags else {}


def shown(default: Any) -> str:
    """A default as it is typed on the command line: `0 1 2 3`."""
    return " ".join(map(str, default)) if isinstance(default, tuple) else str(default)


def default_of(model: type[BaseModel], name: str) -> Any:
    """What a field is where a study says nothing of it."""
    return model.model_fields[name].default
