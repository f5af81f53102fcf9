"""A study in a notebook cell, looked at again every few seconds until it has ended."""

import time

from IPython import get_ipython
from IPython.display import HTML, display

from caplora.study import Study, read_study
from caplora.watching.looking import look
from caplora.watching.page import html


def watch(study: str | Study, seconds: float = 2.0) -> None:
    """Show a study in this cell while it runs, by its name, its file or itself; interrupting the cell ends it.

    It looks every so many seconds, and ends with the study. Where nobody looks on, under papermill, it looks once.
    Raises StudyError for a study that is not there.
    """
    asked = study if isinstance(study, Study) else read_study(study)
    view = look(asked)
    shown = display(HTML(html(view)), display_id=True)
    try:
        while shown and somebody_looks_on() and not view.over:
            time.sleep(seconds)
            view = look(asked)
            shown.update(HTML(html(view)))
    except KeyboardInterrupt:
        pass


def somebody_looks_on() -> bool:
    """Whether this cell was run by a person: a front end that can be asked something, as papermill's cannot."""
    kernel = getattr(get_ipython(), "kernel", None)
    parent = kernel.get_parent() if kernel else {}
    return bool(parent.get("content", {}).get("allow_stdin", False))
