"""The report's page → a PDF, by WeasyPrint, which the extra `pdf` brings.

A browser prints the page as well: its styles for print are the same.
"""

import logging
from pathlib import Path

from caplora.study import replacing

WAY_OUT = (
    'pip install "weasyprint>=68" (and the system\'s Pango, where that lacks), or open {page} in a browser and print it'
    " to a PDF: the page has styles for print"
)


class PdfError(RuntimeError):
    """A PDF that cannot be made; the message names the way out."""


def write_pdf(page: Path, path: Path) -> Path:
    """The page as a PDF at `path`, whole or not at all; `path`. Nothing is asked for that does not lie in the page.

    Raises PdfError without WeasyPrint.
    """
    try:
        from weasyprint import HTML
        from weasyprint.urls import URLFetcher
    except (ImportError, OSError) as error:  # OSError: Python's part is there, Pango is not
        raise PdfError(f"a PDF needs WeasyPrint ({error}): {WAY_OUT.format(page=page)}") from error
    logging.getLogger("weasyprint").setLevel(logging.ERROR)  # it tells of every style that only screens know
    with replacing(path) as part:
        HTML(filename=str(page), url_fetcher=URLFetcher(allowed_protocols=["data"])).write_pdf(str(part))
    return path
