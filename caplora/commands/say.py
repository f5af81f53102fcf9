"""The one place where caplora prints."""

import sys

from rich.console import Console, RenderableType

from caplora.jobs import harmless


def say(text: str) -> None:
    """A line for the person at the terminal; a caption or a name in it is text, and gives the terminal no orders."""
    sys.stdout.write(f"{harmless(text)}\n")


def show(made: RenderableType, console: Console) -> None:
    """What rich has made, with its colours, without the empty lines at its end."""
    with console.capture() as shown:
        console.print(made)
    sys.stdout.write(f"{shown.get().rstrip()}\n")
