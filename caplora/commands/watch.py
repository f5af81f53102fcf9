"""Watch a study while it runs, on a terminal: here, or on any machine that sees the folder of its run."""

import time

from caplora.commands.say import show
from caplora.study import read_study


def watch(study: str, /, *, once: bool = False, seconds: float = 2.0) -> None:
    """Watch a study while it runs: its jobs, the minutes left, losses and the newest pictures. Ctrl-C ends it.

    ```
    python -m caplora watch mini
    ```

    All of it is read from the files that jobs write, so a login node or another machine that shares the disk will do.
    It ends with the study.

    Args:
        study: A file of params/studies.
        once: Look once and end.
        seconds: Between two looks.
    """
    from rich.console import Console
    from rich.live import Live

    from caplora.watching import fitting, in_colour, look, rendered

    if seconds <= 0:
        raise ValueError(f"--seconds must be more than 0, got {seconds:g}")
    asked, console = read_study(study), Console()
    view = look(asked)
    if once:
        show(rendered(view, console.width, in_colour(console)), console)
        return
    try:
        with Live(fitting(view, console), console=console, auto_refresh=False) as live:
            while not view.over:
                time.sleep(seconds)
                view = look(asked)
                live.update(fitting(view, console), refresh=True)
    except KeyboardInterrupt:
        pass
