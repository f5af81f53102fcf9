"""commands/flags.py: a flag is the field of the settings that it stands for, its default too."""

import re

import pytest
from cyclopts import Parameter
from pydantic import BaseModel
from rich.console import Console

from caplora.commands import main
from caplora.commands.app import app
from caplora.commands.flags import Flags, given, shown
from caplora.commands.pictures import DrawingFlags, ScoringFlags
from caplora.commands.train import TrainingFlags
from caplora.study.sampling_settings import Sampling
from caplora.study.settings import Scoring
from caplora.study.study import read_study
from caplora.study.training_settings import Training

FLAGS: dict[str, tuple[type[Flags], type[BaseModel]]] = {
    "train": (TrainingFlags, Training),
    "sample": (DrawingFlags, Sampling),
    "score": (ScoringFlags, Scoring),
}
FIELDS = [(command, name) for command, (flags, _) in FLAGS.items() for name in flags.model_fields]


def test_every_field_of_training_has_a_flag_or_is_named_as_left_out() -> None:
    assert {*Training.model_fields} - {*TrainingFlags.model_fields} == {"prior"}
    assert "`prior` has no flag" in str(TrainingFlags.__doc__)


@pytest.mark.parametrize(("command", "name"), FIELDS)
def test_help_says_what_the_field_says(
    command: str, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "console", Console(width=400))
    assert main([command, "--help"]) == 0
    [line] = re.findall(rf"^│ --{name} .*$", capsys.readouterr().out, re.M)
    field = FLAGS[command][1].model_fields[name]
    assert field.description and field.description.replace("`", "") in line
    default = re.search(r"\[default: (.*)\]", line)
    assert (default and default[1]) == (None if field.default is None else shown(field.default))


@pytest.mark.parametrize(("flags", "model"), FLAGS.values())
def test_flags_have_the_types_limits_and_defaults_of_the_model(flags: type[Flags], model: type[BaseModel]) -> None:
    for name, field in flags.model_fields.items():
        own, limits = model.model_fields[name], [m for m in field.metadata if not isinstance(m, Parameter)]
        assert (field.annotation, limits, field.default) == (own.annotation, own.metadata, own.default)


def test_only_what_was_given_replaces_what_the_study_says() -> None:
    assert given(None) == given(TrainingFlags()) == {}
    turned = given(TrainingFlags.model_validate({"steps": 7, "learning_rate": "1e-5", "random_flip": True}))
    assert turned == {"steps": 7, "learning_rate": 1e-5, "random_flip": True}
    mini = read_study("mini")
    assert read_study("mini", training=turned).training == mini.training.model_copy(update=turned)
    default = given(TrainingFlags.model_validate({"steps": Training().steps}))  # given, though it is the default
    assert read_study("mini", training=default).training.steps == Training().steps != mini.training.steps


def test_every_field_of_a_study_says_what_it_is() -> None:
    seen, parts = set(), [read_study("mini")]
    while parts:
        part = parts.pop()
        parts += [value for _, value in part if isinstance(value, BaseModel)]
        seen |= {(type(part).__name__, name, bool(f.description)) for name, f in type(part).model_fields.items()}
    assert {(kind, name) for kind, name, said in seen if not said and kind != "Study"} == set()
