"""Studies of LoRA on Stable Diffusion from the command line: what the notebooks do, and what adapters need besides.

`python -m caplora COMMAND --help` says all of a command. A STUDY is the name of a file of params/studies, or its path.
"""

import sys
from collections.abc import Callable, Sequence

from cyclopts import App, CycloptsError, Group, Parameter
from pydantic import ValidationError

from caplora import __version__
from caplora.commands.adapters import convert, extract, merge, resize
from caplora.commands.job import job, run
from caplora.commands.pictures import sample, score
from caplora.commands.plan import plan
from caplora.commands.publish import publish
from caplora.commands.rate import rate
from caplora.commands.report import repeat, report, verify
from caplora.commands.study import captions, new
from caplora.commands.train import train
from caplora.commands.watch import watch
from caplora.jobs import harmless, without_secrets

PROGRAM = "python -m caplora"
FAMILIES: dict[str, tuple[Callable[..., int | None], ...]] = {
    "Study": (new, captions, plan, run, train, job, watch, rate, report, verify, repeat, publish),
    "Pictures": (sample, score),
    "Adapters": (merge, extract, resize, convert),
}

app = App(
    name=PROGRAM,
    help=__doc__,
    version=__version__,
    group_commands=Group("Help", sort_key=len(FAMILIES)),
    # as argparse had it: names with underscores, no --no-…, and of a flag that is repeated the last counts
    default_parameter=Parameter(name_transform=str, negative_bool=(), negative_iterable=(), allow_repeating=True),
    suppress_keyboard_interrupt=False,
)
for number, (family, commands) in enumerate(FAMILIES.items()):
    group = Group(family, sort_key=number)
    for place, command in enumerate(commands):
        app.command(command, group=group, sort_key=place)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0, or what else it says (1: something differs), or 2 with the reason on standard error."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words:
        return failed(f"a command is needed. See {PROGRAM} --help")
    try:
        return app(words, print_error=False, exit_on_error=False, result_action="return_value") or 0
    except CycloptsError as error:
        return failed(refusal(error))
    except (ValueError, OSError, RuntimeError, ArithmeticError, KeyboardInterrupt) as error:
        return failed(str(error) or "interrupted")


def failed(why: str) -> int:
    """2, the exit status of a command that could not be done, after saying why."""
    sys.stderr.write(f"{harmless(without_secrets(why))}\n")
    return 2


def refusal(error: CycloptsError) -> str:
    """What a command line cannot be run for, in one line: the flag, the value and the way out."""
    error.verbose = False
    why = " ".join(str(error).split())
    if isinstance(error.__cause__, ValidationError):  # a limit of the model whose field the flag stands for
        wrong = error.__cause__.errors()[0]
        why = f"--{wrong['loc'][0]}: {wrong['msg'].removeprefix('Value error, ')}, got {wrong['input']!r}."
    return f"{why} See {' '.join([PROGRAM, *(error.command_chain or ())])} --help"
