"""Say where the report of a study is, whether all of it is as it says, and whether it comes out the same again."""

from pathlib import Path
from typing import TYPE_CHECKING

from caplora.commands.say import say
from caplora.study import Study, read_study, write_text

if TYPE_CHECKING:
    from caplora.verifying import Difference, Manifest

DIFFERS = 1  # exit status, as of diff: 0 where nothing differs, 2 where it could not be seen


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


def verify(study: str, /) -> int:
    """Check every hash of a study: settings, images, captions, models, adapters, samples, scores, report and code.

    ```
    python -m caplora verify mini
    python -m caplora verify ~/Downloads/mini_r16_a16
    ```

    What differs is named with what was expected, what was found and what depends on it. The exit status is 0 where
    nothing differs, 1 where anything does, and 2 where that could not be checked. Of a published adapter, with its
    model card, it checks the files of its folder.

    Args:
        study: A file of params/studies, or the folder of a published adapter.
    """
    from caplora import verifying

    if verifying.is_shared(shared := Path(study).expanduser()):
        return told(list(verifying.shared_differences(shared)), shared.name, f"{shared}: every file is as it was sent")
    own = read_study(study)
    manifest = verifying.read_manifest(own)
    if versions := verifying.other_versions(manifest):
        say(versions)
    return told(list(verifying.differences(own, manifest)), own.name, verifying.verified(own, manifest))


def told(found: "list[Difference]", name: str, nothing: str) -> int:
    """Say what differs, or that nothing does; the exit status."""
    for difference in found:
        say(difference.said())
    say(f"{len(found)} of what {name} says is not as it was" if found else nothing)
    return DIFFERS if found else 0


def repeat(study: str, /, *, into: Path | None = None) -> int:
    """Run a study again from its manifest in a fresh folder, and compare what comes out with what it was.

    ```
    python -m caplora repeat mini
    ```

    Images, captions and models must be those of the manifest; other code, libraries or machines are said. What people
    decided is taken as it was. Adapters, samples, scores and tables are then identical, within a tolerance, or
    different. The exit status is 0 where nothing is different, 1 where anything is, and 2 where it could not be
    repeated. The same command goes on where it was cut off; repeated.json in the folder has every file.

    Args:
        study: A file of params/studies, whose notebook 05 has run.
        into: An empty folder, of some hundred MB; else runs/STUDY_repeated.
    """
    from caplora import verifying

    own = read_study(study)
    manifest = verifying.read_manifest(own)
    say(f"{own.name}: looking whether images, captions and models are those of {manifest.written}")
    verifying.refuse_other_inputs(own, manifest)
    surroundings = verifying.other_surroundings(own, manifest)
    say("\n".join(surroundings) or "the same code, libraries and machine")
    folder = into.expanduser().resolve() if into else own.run.with_name(f"{own.name}_repeated")
    repeated = verifying.begin(own, manifest, folder)
    say(f"repeating in {folder}; to watch: python -m caplora watch {folder}/params/studies/{own.name}.yaml")
    for notebook, ran in verifying.repeat(repeated):
        say(f"{notebook}: {'done' if ran else 'was done before'}")
    return outcome(own, manifest, repeated, folder / "repeated.json", surroundings)


def outcome(own: Study, manifest: "Manifest", repeated: Study, path: Path, surroundings: list[str]) -> int:
    """Say how far two runs are apart, and write it; the exit status."""
    from caplora import verifying

    found = list(verifying.compared(own, manifest, repeated, verifying.read_manifest(repeated)))
    write_text(path, verifying.as_json(found, surroundings))
    for line in verifying.summary(found):
        say(line)
    different = sum(one.state in ("different", "not made") for one in found)
    say(f"{different} of {len(found)} files are different: {path}" if different else f"repeated: {path}")
    return DIFFERS if different else 0
