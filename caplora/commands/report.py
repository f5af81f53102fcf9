"""Say where the report of a study is."""

from caplora.commands.say import say
from caplora.study import read_study


def report(study: str, /, *, pdf: bool = False) -> None:
    """Say where a study's report is, which notebook 05 writes, and make a PDF of it.

    ```
    python -m caplora report mini
    ```

    The page is one file with its figures in it, to open in a browser or to send.

    Args:
        study: A file of params/studies.
        pdf: Write report.pdf beside it (needs WeasyPrint: pip install weasyprint).
    """
    page = read_study(study).report
    if not page.is_file():
        raise FileNotFoundError(f"{page} does not exist: run 05_analysis, which writes it")
    if pdf:
        from caplora.report import write_pdf

        page = write_pdf(page, page.with_suffix(".pdf"))
    say(str(page))
