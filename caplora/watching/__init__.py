"""A study while it runs, for whoever looks on: its jobs, the minutes left, the losses, the newest pictures.

`looking` reads all of it from the files that jobs write, on this machine or a shared disk, into one value (`view`);
`pace` says how long it takes yet. `terminal` shows it by rich, with curves and pictures of letters (`drawn`), and
`page` in a notebook, where `notebook` looks again until the study has ended.
"""

from caplora.watching.looking import look
from caplora.watching.notebook import watch
from caplora.watching.page import html
from caplora.watching.terminal import fitting, in_colour, rendered
from caplora.watching.view import Job, View

__all__ = ["Job", "View", "fitting", "html", "in_colour", "look", "rendered", "watch"]
