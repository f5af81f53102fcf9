"""Begin a study, and bring captions to and from other tools."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from caplora.commands.say import say
from caplora.study import new_study, read_study


def new(name: str, /, *, images: Path, like: str = "sd15") -> None:
    """Begin a study of your own images.

    ```
    python -m caplora new faces --images ~/portraits
    ```

    Writes params/studies/NAME.yaml, which says what is studied. Read it through: what the images show belongs into
    captioning.subject and into the prompts. Then notebook 01 makes the images ready.

    Args:
        name: Of the study, its folders and its file.
        images: The folder that holds them; it is never written to.
        like: The study whose models and settings it takes.
    """
    say(str(new_study(name, images.expanduser().resolve(), like)))


def captions(
    study: str,
    /,
    *,
    export: Path | None = None,
    source: Annotated[Path | None, Parameter(name="--import")] = None,
    partial: bool = False,
    compare: Path | None = None,
    lint: bool = False,
    history: bool = False,
    restore: bool = False,
) -> None:
    """Bring captions to and from other tools, compare and check them.

    ```
    python -m caplora captions mini --export captions.json
    ```

    A PATH is a .json, .jsonl or .csv file, or a folder with a .txt for each image. Of several flags, a restore comes
    first, then the import, and the export last.

    Args:
        study: A file of params/studies.
        export: Write them there.
        source: Read them from there, as a person's.
        partial: Import captions of some images only.
        compare: Show where they differ from those there, both ways.
        lint: Show what is doubtful about them.
        history: Show who changed what, when and why.
        restore: Write a metadata.csv that is gone anew, from its history.
    """
    read = read_study(study)
    from caplora import captions as room

    if restore:
        say(f"{len(room.restore_ledger(read.dataset))} rows restored")
    rows = {row.file_name: row for row in room.read_ledger(read.dataset)}
    if source:
        cells = room.read_captions(source)
        changed = room.Ledger(read.dataset).amend(
            lambda now: room.imported(now, cells, str(source), partial), f"import {source}"
        )
        say(f"{len(changed.rows) if changed else 0} captions changed")
        rows = {row.file_name: row for row in room.read_ledger(read.dataset)}
    if compare:
        table = room.compared(rows, room.read_captions(compare), compare.name)
        say(table.to_csv(index=False).rstrip() if len(table) else "they agree")
    if lint:
        texts = {row.file_name: row.text for row in rows.values() if row.status != "rejected"}
        found = room.findings_table(room.lint(texts, room.load_tokenizer(read), read.captioning))
        say(found.to_csv(index=False).rstrip() if len(found) else "nothing is doubtful")
    if history:
        for change in room.read_history(read.dataset):
            say(f"{change.number}\t{change.time}\t{change.who}\t{change.why}\t{', '.join(change.rows)}")
    if export:
        room.write_captions(rows.values(), export)
        say(str(export))
