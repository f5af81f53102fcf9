"""The command line: `python -m caplora`. One file a family of commands; `app.py` joins them and says what went wrong.

Flags, types, defaults and help come from the commands' signatures and, where a command runs a study, from the models
that read the study's YAML (`flags.py`). The commands import what they need when they run: torch takes seconds.
"""

from caplora.commands.app import main

__all__ = ["main"]
