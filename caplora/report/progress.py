"""What a study has made so far → `progress.html`: one page that grows while the notebooks run.

Whoever calls it, and when, it shows what lies in the folders of the study: portraits and captions, the losses so far,
samples arm by arm, scores, figures. A page that cannot be written warns and never stops the work that it is about.
"""

import base64
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from caplora.captions import LEDGER, read_ledger
from caplora.jobs import Work, drop_work, work_here, write_work
from caplora.report.contents import FIGURES
from caplora.report.report import environment
from caplora.review import jpeg
from caplora.sampling import pictures_of, wanted_samples
from caplora.statistics import primary_model, read_scores
from caplora.study import BASELINE, Study, drop_dead_parts, replacing, write_text

EVERY = 10.0  # seconds between two pages of one long work
OFTEN = 3.0  # seconds between two words on how far it is
CURVE = "cache/losses.png"  # in the folder of a run: the losses while it trains
PORTRAITS, PROMPTS, ARMS, SCORED = 12, 3, 8, 60  # how many are shown at most
T = TypeVar("T")
Losses = Mapping[str, Sequence[tuple[int, float]]]  # variant → steps and losses so far


def progress_page(study: Study) -> Path:
    """Where the page is, or will be."""
    return study.run / "progress.html"


def write_progress(study: Study, doing: str = "") -> Path:
    """Write the page, whole or not at all; where it is. `doing` is a sentence on what is being done."""
    page = progress_page(study)
    with _going_on(page):
        template = environment().get_template("progress.html")
        write_text(page, template.render(study=study, doing=doing, **_made(study)))
    return page


def keep_curve(study: Study, png: bytes) -> None:
    """Keep a picture of the losses so far for the page, until the next."""
    path = study.run / CURVE
    with _going_on(path), replacing(path) as part:
        part.write_bytes(png)


@contextmanager
def _going_on(path: Path) -> Iterator[None]:
    """Warn where a file cannot be written, whatever the reason."""
    try:
        yield
    except Exception as error:  # the page is not worth a study
        warnings.warn(f"{path} was not written, and the work goes on: {error!r}", stacklevel=4)


def growing(
    study: Study, work: Iterator[T], doing: str, unit: str, total: int, losses: Callable[[], Losses] = dict
) -> Iterator[T]:
    """The items of a long work, one after the other; the page is written as it begins, every few seconds, and after.

    What earlier processes that were killed left half written is removed first.

    How far it is, and the losses so far of a training, are kept for those who watch the study, until the work ends.
    """
    drop_dead_parts(study.run, study.dataset, study.figures)
    write_progress(study, doing)
    here, kept = work_here(doing, unit, total), time.monotonic()
    began = last = kept
    _keep(study, here, 0, {})
    try:
        for number, item in enumerate(work, 1):
            yield item
            if (now := time.monotonic()) - kept >= OFTEN:
                _keep(study, here, number, losses())
                kept = now
            if now - last >= EVERY:
                left = (now - began) / number * (total - number) / 60
                write_progress(study, f"{doing}: {number} of {total} {unit}, about {left:.1f} minutes left")
                last = time.monotonic()
    finally:
        drop_work(study, here)
    write_progress(study, doing)


def _keep(study: Study, work: Work, done: int, losses: Losses) -> None:
    with _going_on(study.run):
        write_work(study, work, done, losses)


def _made(study: Study) -> dict[str, Any]:
    """What the study has made so far, as the page shows it."""
    ledger = read_ledger(study.dataset) if (study.dataset / LEDGER).is_file() else []
    shown = [row for row in ledger if row.status != "rejected"][:PORTRAITS]
    scored = _time(study.scores)
    figures = [study.figures / f"{name}.png" for name in FIGURES]
    return {
        "images": len(ledger),
        "portraits": [(_picture(study.dataset / row.file_name, 128), row.text) for row in shown],
        "curve": _picture(study.run / CURVE, 1400),
        "previews": _previews(study),
        "samples": _samples(study),
        "scores": _scores(study.scores, scored) if scored else [],
        "figures": [(_picture(p, 1400), *FIGURES[p.stem][1:]) for p in figures if 0 < scored <= _time(p)],
        "report": study.report.name if 0 < scored <= _time(study.report) else "",
    }


def _samples(study: Study) -> list[dict[str, Any]]:
    """For each suite that is being drawn: its arms, and for its first prompts what each has drawn of the first seed."""
    folders = sorted(study.samples(BASELINE).parent.glob("*"), key=_in_order)
    arms = [folder for folder in folders if folder.is_dir() and "@" not in folder.name][:ARMS]
    suites = []
    for split in ("development", "test"):
        seed = study.sampling.seeds[0]
        wanted = [w for w in wanted_samples(study.sampling) if w.split == split and w.seed == seed][:PROMPTS]
        own = {arm.name: found for arm in arms if (found := pictures_of(arm, wanted))}
        rows = [(w.prompt, [_picture(found[w], 160) if w in found else "" for found in own.values()]) for w in wanted]
        if own:
            suites.append({"split": split, "seed": seed, "arms": list(own), "rows": rows})
    return suites


def _previews(study: Study) -> dict[str, list[str]]:
    """Variant → what it drew when it last showed what it had learned."""
    found = {}
    for folder in sorted(study.run.glob("adapters/*/previews"), key=lambda folder: _in_order(folder.parent))[:ARMS]:
        drawn = sorted(folder.glob("step_*.png"))
        last = [path for path in drawn if path.stem.rsplit("_", 1)[0] == drawn[-1].stem.rsplit("_", 1)[0]]
        found[folder.parent.name] = [_picture(path, 160) for path in last[:ARMS]]
    return found


def _in_order(folder: Path) -> tuple[bool, list[float], str]:
    """The baseline first, then by the numbers in a name: r4_a8 before r16_a16."""
    return folder.name != BASELINE, [float(n) for n in re.findall(r"\d+(?:\.\d+)?", folder.name)], folder.name


@lru_cache(maxsize=1)  # the table may have a million rows, and 05 writes the page often
def _scores(path: Path, _written: float) -> list[tuple[str, float]]:
    """Each arm with its mean CLIPScore on the test prompts, by the primary CLIP; of very many the largest."""
    scores: pd.DataFrame = read_scores(path, whole=False)
    own = (scores["metric"] == "clip_score") & (scores["model"] == primary_model(scores)) & (scores["split"] == "test")
    means = scores[own].groupby("variant", sort=False)["value"].mean()
    shown = {BASELINE, *means.nlargest(SCORED).index}
    return [(str(arm), float(mean)) for arm, mean in means.items() if arm in shown]


def _picture(path: Path, side: int) -> str:
    """A picture for the page, in base64; empty where it is not there."""
    return base64.b64encode(jpeg(path, side)).decode() if path.is_file() else ""


def _time(path: Path) -> float:
    """When a file was written; 0 where there is none."""
    return path.stat().st_mtime if path.is_file() else 0.0
