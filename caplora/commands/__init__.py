"""The command line: `python -m caplora`."""

from caplora.commands.cli import main

__all__ = [
    "main",
]
