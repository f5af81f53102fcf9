"""Images and machine captions → rows of the ledger.

Decided here: which images get a row, which rows are removed, and that nothing which a person wrote is lost.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from caplora.captions.cleaning import compose
from caplora.captions.exchange import nfc
from caplora.captions.history import MACHINE, UNKNOWN, Cells
from caplora.captions.ledger import LEDGER, LedgerError, Row, Said
from caplora.captions.matching import cells_in, in_one_line, listed, own_words
from caplora.captions.open_ledger import Ledger
from caplora.captions.splits import assign_splits, by_hand
from caplora.study import Study


def update_ledger(
    study: Study,
    sources: Mapping[str, str],
    refused: Collection[str] = (),
    flags: Mapping[str, str] | None = None,
    captions: Path | None = None,
    clusters: Mapping[str, int] | None = None,
) -> list[Row]:
    """The rows of the study's ledger, brought up to date with its images.

    `sources` maps the images in the dataset to the files they came from; `refused` names files that were not used;
    `flags` says what is doubtful about an image; `clusters` gives near-duplicates the same number, and they go into one
    split. New images get a pending row, and captions that lie among the person's
    images are taken as their own words. What a person decided stays. The row of an image that is gone is removed,
    unless its caption was kept or edited: then LedgerError says so and nothing changes.

    `captions` is a file of a person's captions that counts instead of those among the images, and goes before what the
    ledger says; its images are all to be trained on. LedgerError names those that it has no words for.
    """
    gone: list[Row] = []
    own = own_words(study.images_folder) if captions is None else {}
    told = cells_in(study.images_folder, captions) if captions else {}

    def updated(before: Mapping[str, Row]) -> dict[str, Row | None]:
        gone.extend(_gone(study, before.values(), sources, refused))
        left = [row for row in before.values() if row not in gone]
        splits = assign_splits(left, sources, study.images.held_out, clusters or {}, by_hand(ledger.history))
        rows = [_known(study, row, flags or {}) for row in enrolled(left, sources, splits)]
        if not rows:
            why = study.dataset / "refused.csv"
            raise LedgerError(f"no image of {study.images_folder} could be used: {why} says why")
        rows = [_in_own_words(row, own.get(nfc(row.source))) for row in rows]
        rows = _as_told(rows, told, captions) if captions else rows
        return {**{row.file_name: None for row in gone}, **{row.file_name: row for row in rows}}

    ledger = Ledger(study.dataset)
    ledger.amend(updated, "the images of the study", MACHINE)
    for row in gone:
        if row.file_name not in sources:
            (study.dataset / row.file_name).unlink(missing_ok=True)
    return list(ledger.rows.values())


def enrolled(rows: Sequence[Row], sources: Mapping[str, str], splits: Mapping[str, str]) -> list[Row]:
    """`rows`, then a pending row for each image of `sources` that has none, each in its split."""
    known = {row.file_name for row in rows}
    now = [replace(row, source=sources.get(row.file_name, row.source), split=splits[row.file_name]) for row in rows]
    return [*now, *(Row(name, split=splits[name], source=src) for name, src in sources.items() if name not in known)]


def captioned(folder: Path, machine: Mapping[str, Said], subject: str) -> list[Row]:
    """The rows of the ledger, with what the captioner said of each file in those that are pending.

    A text that a person has changed stays. If it was changed outside caplora, for example in a spreadsheet, the pending
    row becomes edited.
    """
    ledger = Ledger(folder)
    writers = {  # who wrote each row's text last
        name: change.who for change in ledger.history for name, (_, now) in change.rows.items() if "text" in (now or {})
    }
    ledger.amend(
        lambda rows: {name: _described(row, machine.get(name), subject, writers[name]) for name, row in rows.items()},
        "what the captioner said",
        MACHINE,
    )
    return list(ledger.rows.values())


def _gone(study: Study, rows: Iterable[Row], sources: Mapping[str, str], refused: Collection[str]) -> list[Row]:
    """The rows whose image is gone, refused or replaced; raises LedgerError if a person's caption would be lost."""
    lost = []
    for row in rows:
        there = (study.images_folder / row.source).is_file()
        if row.file_name not in sources:
            lost += [] if there and row.source not in refused else [row]
        elif sources[row.file_name] != row.source and there:  # it was not moved: another file has taken its name
            lost.append(row)
    for row in lost:
        if row.status in ("kept", "edited"):
            raise LedgerError(
                f"{study.images_folder / row.source} is gone or refused, but {study.dataset / LEDGER} holds your"
                f" caption of it ({row.file_name}, {row.status}): put the image back, or delete that row"
                + (f"; {sources[row.file_name]} has its name now" if row.file_name in sources else "")
            )
    return lost


def _known(study: Study, row: Row, flags: Mapping[str, str]) -> Row:
    """`row` with its flags, and the origin, licence and consent of the study where the row has none of its own."""
    said = study.images.provenance
    return replace(
        row,
        flags=flags.get(row.file_name, row.flags),
        origin=row.origin or said.origin,
        licence=row.licence or said.licence,
        consent=row.consent or said.consent,
    )


def _in_own_words(row: Row, caption: str | None) -> Row:
    """`row` with the caption that lies among the person's images, unless somebody has worked on the row already."""
    untouched = row.status == "pending" and row.text in ("", row.suggestion)
    return replace(row, text=caption, status="edited") if caption and untouched else row


def _as_told(rows: Sequence[Row], told: Mapping[str, Cells], file: Path) -> list[Row]:
    """The rows in the words of a caption file, to be trained on; raises LedgerError naming images it has no words for.

    Where nobody corrected the machine's words, these count. An image that the file rejects stays rejected.
    """
    given = {row.file_name: told.get(nfc(row.source), {}) for row in rows}
    said = {name: cells.get("text", "").strip() or cells.get("machine_text", "") for name, cells in given.items()}
    texts = {name: in_one_line(text) for name, text in said.items()}
    left = {row.file_name for row in rows if (given[row.file_name].get("status") or row.status) == "rejected"}
    if lost := [row.source for row in rows if row.file_name not in left and not texts[row.file_name]]:
        raise LedgerError(f"{file} has no caption of {listed(lost)}: write them there, or take the images away")
    return [
        replace(
            row,
            text=texts[row.file_name] or row.text,
            machine_text=given[row.file_name].get("machine_text", row.machine_text),
            status="rejected" if row.file_name in left else "edited",
            split="train",
        )
        for row in rows
    ]


def _described(row: Row, said: Said | None, subject: str, writer: str) -> Row:
    """`row` with a machine caption and the suggestion made of it; the text follows unless a person changed it."""
    if said is None or row.status != "pending":
        return row
    suggestion = compose(said.text, subject)
    now = replace(row, machine_text=said.text, captioner=said.captioner, captioned=said.time, suggestion=suggestion)
    if row.text.strip() and row.text != row.suggestion:
        return replace(now, status="edited") if writer == UNKNOWN else now
    return replace(now, text=suggestion)
