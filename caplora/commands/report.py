"""Say where the report of a study is, and whether all of the study is still as it says."""

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


def verify(study: str, /) -> None:
    """Check every hash of a study: settings, images, captions, models, adapters, samples, scores, report and code.

    ```
    python -m caplora verify mini
    ```

    What differs is named with what was expected, what was found and what depends on it, and the exit status is 2.

    Args:
        study: A file of params/studies.
    """
    from caplora import verifying

    own = read_study(study)
    manifest = verifying.read_manifest(own)
    if versions := verifying.other_versions(manifest):
        say(versions)
    if found := [difference.said() for difference in verifying.differences(own, manifest)]:
        raise ValueError("\n".join([*found, f"{len(found)} of what {own.name} says is not as it was"]))
    say(verifying.verified(manifest))
