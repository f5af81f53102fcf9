"""What the end of notebook 05 and the command `publish` hold: the model card of a variant, shown and perhaps sent."""

import base64
import re
from collections.abc import Callable
from pathlib import Path

from caplora.choosing import read_asked, read_choice
from caplora.notebooks.tables import Tables
from caplora.publishing import Facts, Measured, PublishError, card_folder, push_to_hub, write_folder
from caplora.report import read_json
from caplora.statistics import ScoreError
from caplora.study import BASELINE, Study, Variant, read_variants, validated

UNSENT = (
    "not sent: set push_to = 'owner/name' to send this folder to the Hugging Face Hub, private and after a question, or"
    " run python -m caplora publish {study} --variant {variant} --to owner/name"
)


class Card:
    """The model card of one variant, in a folder with all that a repository of the hub would hold."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    @classmethod
    def of(cls, results: Tables) -> "Card":
        """Of the variant that the results chose."""
        [best] = [v for v in results.asked if v.name == results.best]
        return cls(Facts(results.study, best, Measured(results.chosen.reported, results.findings)))

    @classmethod
    def read(cls, study: Study, variants: str = "", variant: str = "") -> "Card":
        """Of `variant`, else of the one that the study chose among `variants`, a file, else among all it has trained.

        A study that nothing was measured of has a card too. Raises PublishError where it is not clear whose.
        """
        asked = read_asked(study, read_variants(variants)) if variants else trained_variants(study)
        measured = measured_of(study, asked, variants)
        names = [v.name for v in asked]
        name = variant or (measured.found.best if measured.found else names[0] if len(names) == 1 else "")
        if name not in names:
            known = f"there are {', '.join(names)}" if names else "there are none: run 02_train_lora first"
            why = f"there is no variant {name} of {study.name}" if name else f"no variant is chosen: {measured.why}"
            raise PublishError(f"{why}; name one by --variant ({known})")
        return cls(Facts(study, asked[names.index(name)], measured))

    def write(self, repository: str = "") -> str:
        """Write the folder; where it is, and what lies in it."""
        folder = write_folder(self.facts, repository)
        return "\n".join([str(folder.path), *(f"  {folder.name(path)}" for path in folder.files)])

    def written(self) -> str:
        """The same, or in a sentence why there is no card: a notebook goes on without one."""
        try:
            return self.write()
        except (PublishError, OSError) as error:  # such as a disk that is full
            return f"no card: {error}"

    def push(self, to: str, private: bool = True, agreed: Callable[[str], bool] | None = None) -> str:
        """Send it to the hub, after a question unless `agreed` answers it; what was done, in a sentence.

        Where nobody can answer, in a notebook that papermill runs, nothing is sent: PublishError.
        """
        if not to:
            return UNSENT.format(study=self.facts.study.name, variant=self.facts.variant.name)
        address = push_to_hub(self.facts, to, private, agreed or answered)
        return f"sent: {address}" if address else "nothing was sent"

    def _repr_markdown_(self) -> str:
        """The card that was written, as the hub shows it, with its pictures inside it."""
        path = card_folder(self.facts.study, self.facts.variant)
        if not (path / "README.md").is_file():
            return "No card was written."
        page = (path / "README.md").read_text(encoding="utf-8").split("\n---\n", 1)[1]
        return re.sub(r"\((images/[\w.]+)\)", lambda found: f"({inside(path / found[1])})", page)


def inside(picture: Path) -> str:
    """A picture as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"


def answered(said: str) -> bool:
    """Whether the person at the keyboard types yes; raises PublishError where there is none."""
    try:
        return input(f"{said}\n\nSend this? Type yes: ").strip().lower() == "yes"
    except (EOFError, NotImplementedError):  # Jupyter raises the second where nobody can type
        raise PublishError(
            f"nobody can answer here, so nothing was sent:\n{said}\nRun this cell by hand, or python -m caplora publish"
            " with --yes"
        ) from None


def trained_variants(study: Study) -> list[Variant]:
    """The variants of a study that have an adapter; trainings that were set aside are none.

    Nor are further trainings of recipes that lead no more.
    """
    records = {p.parent.name: read_json(p)["variant"] for p in sorted(study.run.glob("adapters/*/settings.json"))}
    found = {folder: validated(Variant, said, f"the settings of {folder}") for folder, said in records.items()}
    chosen = set(read_choice(study)["variant"])
    own = [v for folder, v in found.items() if v.name == folder and (not v.retrained or v.name in chosen)]
    return sorted(own, key=lambda v: v.seed or 0)  # the first training stands for its recipe


def measured_of(study: Study, asked: list[Variant] | tuple[Variant, ...], named: str) -> Measured:
    """What was found of the variants, or why nothing was."""
    if not study.samples(BASELINE).is_dir():
        return Measured(asked, None, "notebook 03, which draws samples, has not run")
    if not study.scores.is_file():
        return Measured(asked, None, "notebook 04, which scores samples, has not run")
    try:
        tables = Tables(study, asked, named)
        return Measured(tables.chosen.reported, tables.findings)
    except ScoreError as error:
        return Measured(asked, None, str(error))
