"""What a terminal shows are colours and words: no text of a file, a job or an error gives it orders."""

import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from caplora.commands.app import failed
from caplora.commands.say import say, show
from caplora.jobs.notebook import last_line
from caplora.jobs.told import harmless
from caplora.watching.looking import look
from caplora.watching.terminal import fitting, rendered
from tests.watching.small import picture, record, small_study, works, write

ORDERS = "a\x1b[31mb\x1b]0;title\x07c\x9b2Jd\x1bP+q\x1b\\e\rf\x08g\x7fh\u202ei"
LEFT = "a[31mb]0;titlec2JdP+q\\efghi"
COLOUR = re.compile(r"\x1b\[[\d;]*m")  # ECMA-48, 8.3.117: how what follows looks, and nothing else


def orders_in(said: str) -> list[str]:
    """The control characters in a text but for colours and the ends of lines, and what reorders it."""
    return re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", COLOUR.sub("", said))


def test_of_orders_the_letters_are_left() -> None:
    assert orders_in(ORDERS) and harmless(ORDERS) == LEFT
    assert harmless("긴 머리, é\n\tand “so” on\n") == "긴 머리, é\n\tand “so” on\n"


@pytest.mark.parametrize("width", [60, 140])
def test_a_watched_study_gives_the_terminal_no_orders(tmp_path: Path, width: int) -> None:
    study = small_study(tmp_path)
    write(
        study,
        record("02_train_lora", "failed", 3, 1, why=ORDERS, notebook=ORDERS, variants=(ORDERS,)),
        record("03_inference", variants=(ORDERS,), gpu=ORDERS),
    )
    works(study, 6, 24, began=0.5, **{ORDERS: [(n, 1 / n) for n in range(1, 7)]})
    picture(study.samples(f"r4{ORDERS}") / "test_0_0.png")
    console = Console(width=width, height=200, force_terminal=True, color_system="truecolor")
    for made in (rendered(look(study), width), fitting(look(study), console)):
        with console.capture() as shown:
            console.print(made)
        assert COLOUR.search(shown.get()) and "[31mb]0;title" in shown.get() and orders_in(shown.get()) == []


def test_what_commands_say_gives_the_terminal_no_orders(capsys: pytest.CaptureFixture[str]) -> None:
    say(ORDERS)
    failed(f"{ORDERS}\nthe way out")
    show(f"{harmless(ORDERS)}\n\n", Console(file=sys.stdout, width=80))
    told = capsys.readouterr()
    assert told.out == f"{LEFT}\n{LEFT}\n" and told.err == f"{LEFT}\nthe way out\n"


def test_the_reason_in_the_record_of_a_job_gives_the_terminal_no_orders() -> None:
    assert last_line(ValueError(ORDERS)) == f"ValueError: {LEFT}"
