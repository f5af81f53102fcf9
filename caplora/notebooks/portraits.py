"""What notebook 01 holds: the portraits of a study on their way from a folder to reviewed captions."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pandas as pd
from IPython.display import HTML
from pandas.io.formats.style import Styler
from PIL import Image

from caplora.captioning import captions_of
from caplora.captions import (
    LEDGER,
    Row,
    Said,
    captioned,
    findings_table,
    held_out,
    read_ledger,
    trained,
    update_ledger,
    word_counts,
)
from caplora.figures import (
    Figure,
    captions_figure,
    corrections_figure,
    duplicate_gallery,
    flagged_gallery,
    measures_figure,
    persons_figure,
)
from caplora.images import (
    Absent,
    Persons,
    Refused,
    Stored,
    clusters_of,
    contact_sheet,
    faces_note,
    image_table,
    import_images,
    look_at_faces,
    marked,
    open_detector,
    open_face_encoder,
    write_refused,
)
from caplora.models import device_of
from caplora.report import progress_page, write_progress
from caplora.review import (
    Checks,
    Studio,
    checklist,
    checks_of,
    colour,
    common_corrections,
    edit_distances,
    html_table,
    ready,
)
from caplora.scoring import caption_agreement
from caplora.study import Study, drop_dead_parts, read_study, write_text

CAPTIONING = "1 of 5: your images are made safe and captioned"


class Portraits:
    """The portraits of a study: what came in, what the machine said of it, what a person decided.

    Its methods are called in the order of the notebook. The ledger is read anew each time: a person may change it.
    """

    def __init__(self, study: Study, limit: int = 0, overruled: Iterable[str] = ()) -> None:
        self.study, self.limit, self.overruled = study, limit, [*study.captioning.overrule, *overruled]
        self.detector, self.encoder = open_detector(study), open_face_encoder(study)
        self.persons: Persons | Absent | None = None  # until it was looked
        self.used: list[Stored] = []
        self.refused: list[Refused] = []
        self.table: pd.DataFrame  # of images.csv
        self.checks: Checks
        self.moved: list[str] = []  # whose split was changed, because their near-duplicates are in the other

    @classmethod
    def open(cls, study: str, limit: int = 0, overrule: str = "") -> "Portraits":
        """The portraits of a study by its name or file; `overrule` names items of the checklist, with commas between.

        Of the folder's files only the first `limit` are taken; 0 is all.
        """
        return cls(read_study(study), limit, filter(None, overrule.replace(" ", "").split(",")))

    def look(self) -> Iterator[Path]:
        """Tell persons apart, yielding each picture whose faces were looked at; none if detector or encoder lack."""
        pictures = {}
        for source, found in look_at_faces(self.study, self.limit, self.detector, self.encoder):
            pictures[source] = found
            yield source
        lacking = next((one for one in (self.detector, self.encoder) if isinstance(one, Absent)), None)
        self.persons = lacking or Persons(pictures, self.study.images.faces.encoder.same)

    def scan(self) -> Iterator[Stored | Refused]:
        """Make each file of the folder safe or refuse it, yielding it; then write refused.csv and images.csv."""
        drop_dead_parts(self.study.run, self.study.dataset)
        deque(self.look() if self.persons is None else (), maxlen=0)
        used: list[Stored] = []
        refused: list[Refused] = []
        for item in import_images(self.study, self.limit, self.detector, self.persons):
            used.append(item) if isinstance(item, Stored) else refused.append(item)
            yield item
        self.used, self.refused, self.table = used, refused, image_table(used, self.study.images.curation)
        write_refused(refused, self.study.dataset / "refused.csv")
        write_text(self.study.dataset / "images.csv", self.table.to_csv(index=False))

    def found(self) -> str:
        """How many files of the folder are used, whether faces were looked for, and where to watch what comes of it."""
        count = f"{len(self.used)} of {len(self.used) + len(self.refused)}"
        watch = f"to watch what comes of them: {progress_page(self.study)}"
        return f"{self.study.images_folder}: {count} files are used\n{faces_note(self.detector, self.persons)}\n{watch}"

    def sheet(self, count: int = 64, side: int = 120) -> Image.Image:
        """The first safe images, side by side, with the faces that were found; a red frame says that one is flagged."""
        shown = [(Image.open(self.study.dataset / i.file_name), i.boxes, bool(i.flags)) for i in self.used[:count]]
        return contact_sheet((marked(*item, side) for item in shown), columns=8, side=side)

    def who(self) -> Figure | str:
        """The faces of the folder, a row per person; or why they were not told apart."""
        if isinstance(self.persons, Persons):
            return persons_figure(self.persons)
        return faces_note(self.detector, self.persons)

    def refusals(self) -> Styler:
        """Every file that was refused with its reason, whole."""
        return pd.read_csv(self.study.dataset / "refused.csv").style

    def measures(self) -> Figure:
        """What the pictures measure, beside the study's limits."""
        return measures_figure(self.table, self.study.images.curation)

    def flagged(self) -> Figure:
        """The flagged pictures with their reasons."""
        return flagged_gallery(self.table, self.study.dataset)

    def duplicates(self) -> Figure:
        """The clusters of near-duplicates, a row each."""
        return duplicate_gallery(self.table, self.study.dataset)

    def enrol(self, captions: Path | None = None) -> pd.DataFrame:
        """Bring the ledger up to date with the images; how many rows it has by split and status.

        `captions` is a file whose captions go before all others, and whose images are all trained on.
        """
        sources = {item.file_name: item.source.as_posix() for item in self.used}
        flags = dict(zip(self.table["file_name"], self.table["flagged"], strict=True))
        clusters = {} if "leaks" in self.overruled else self.clusters  # a person took near-duplicates apart
        before = {row.file_name: row.split for row in self.rows} if (self.study.dataset / LEDGER).is_file() else {}
        refused = [item.source.as_posix() for item in self.refused]
        rows = update_ledger(self.study, sources, refused, flags, captions, clusters)
        self.moved = [row.file_name for row in rows if before.get(row.file_name, row.split) != row.split]
        write_progress(self.study, CAPTIONING)
        ledger = pd.DataFrame(rows)
        return pd.crosstab(ledger["split"], ledger["status"])

    @property
    def clusters(self) -> dict[str, int]:
        """File name → the number that it shares with its near-duplicates; those that have none are left out."""
        return clusters_of(self.table)

    @property
    def rows(self) -> list[Row]:
        """The rows of the ledger."""
        return read_ledger(self.study.dataset)

    @property
    def texts(self) -> dict[str, str]:
        """File name → caption of every image that is not rejected."""
        return {row.file_name: row.text for row in self.rows if row.status != "rejected"}

    @property
    def pending(self) -> list[str]:
        """The images that nobody has decided on, by file name."""
        return [row.file_name for row in self.rows if row.status == "pending"]

    def forecast(self) -> str:
        """How long captioning takes, from the second batch; the two are remembered, as all that the machine says."""
        if not (pending := self.pending):
            return "nothing is to be captioned"
        work, spent = captions_of(self.study, pending, str(device_of())), []
        for _ in range(3):  # what is remembered, a batch that loads the model, and one that does not
            began = time.monotonic()
            next(work, None)
            spent.append(time.monotonic() - began)
        batches = -(-len(pending) // self.study.captioning.batch_size)
        return f"{len(pending)} images take at most about {spent[-1] * batches:.0f} seconds to caption"

    def caption(self) -> Iterator[str]:
        """Caption what is pending, yielding each file name; then enter the captions in the ledger."""
        machine: dict[str, Said] = {}
        for part in captions_of(self.study, self.pending, str(device_of())):
            machine |= part
            yield from part
        captioned(self.study.dataset, machine, self.study.captioning.subject)
        write_progress(self.study, CAPTIONING)

    def captions(self, limit: int = 8) -> HTML:
        """The first images of the ledger with their captions."""
        return HTML(html_table(self.study.dataset, limit=limit))

    def doubts(self) -> pd.DataFrame:
        """What is doubtful about the captions: rule, how many captions, an example."""
        texts = self.texts
        self.checks = checks_of(self.study, caption_agreement(self.study, texts, device_of()))
        findings = findings_table(self.checks.lint(texts))
        return findings.groupby("rule").agg(captions=("file_name", "size"), example=("message", "first"))

    def lengths(self) -> Figure:
        """How many tokens the captions have beside what fits, and their commonest words."""
        texts, subject = self.texts.values(), self.study.captioning.subject
        words = word_counts([text.removeprefix(subject) for text in texts], 15)
        return captions_figure([self.checks.count(text) for text in texts], self.checks.limit, words)

    def studio(self, kept: Callable[[], object] = lambda: None) -> Studio:
        """The studio, the most doubtful caption first; `kept` is called after each decision."""
        return Studio(self.study.dataset, self.checks, kept=kept)

    def changes(self) -> Figure:
        """How many words of the machine's a person changed, and which most often."""
        rows = self.rows
        return corrections_figure(edit_distances(rows), common_corrections(rows))

    def items(self) -> pd.DataFrame:
        """The checklist before training: item, state, found, needed."""
        return checklist(self.rows, self.checks.lint(self.texts), self.clusters, self.overruled)

    def checklist(self) -> Styler:
        """The same, its states in colour."""
        styled = self.items().style.hide(axis="index").map(lambda state: colour(str(state)), subset=["state"])
        return styled.set_table_styles([{"selector": "td", "props": "text-align: left"}])

    def counts(self) -> str:
        """How many images are trained on, held out and refused, and where the ledger is."""
        rows, refused = self.rows, f"{len(self.refused)} files refused"
        split = f"{len(trained(rows, self.overruled))} train, {len(held_out(rows))} held out, {refused}"
        moved = f"\nmoved into the split of their near-duplicates: {', '.join(self.moved)}" if self.moved else ""
        return f"{len(rows)} images: {split}{moved}\nthe ledger: {self.study.dataset / LEDGER}"

    def ready(self) -> str:
        """That the ledger is ready to train on; raises NotReadyError naming what lacks."""
        return ready(self.items())
