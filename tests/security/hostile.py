"""A study with hostile text wherever a person, a file or a library has text: HTML, Markdown, TeX, YAML, codes.

What comes of it is looked at in a real browser: any script of it sets `ran`, and its addresses are of no machine.
"""

from pathlib import Path

import pandas as pd
from PIL import Image

from caplora.captions.ledger import Row, write_ledger
from caplora.jobs.records import records_folder, write_record
from caplora.rating.design import pairs_of
from caplora.rating.seat import Seat
from caplora.sampling.samples import read_samples, save_sample, wanted_samples, write_table
from caplora.study.study import Study
from caplora.study.variants import BASELINE
from tests.publishing.small import MADE, VARIANT, train
from tests.publishing.small import small_study as published
from tests.watching.small import record, works

WEB = "http://evil.invalid"
IMAGE = f'"><img src={WEB}/i onerror=window.ran=1><svg onload=window.ran=1>'
SCRIPT = f"</script></style></title><script>window.ran=1</script><script src={WEB}/s></script>"
MARKDOWN = f"[x](javascript:window.ran=1) ![y]({WEB}/m) <{WEB}/a>"
TEX = r"$\input{/etc/passwd}$ $\frac{ $x^2$"
TEMPLATE = "{{ 7 * 7 }} {% raw %}"
FORMULA = "=cmd|' /C calc'!A0"
YAML = "\n---\nlicense: evil\n---\n"
CODES = "\x1b[31m\x1b]0;evil\x07\x9b2J\r\u202e"
HOSTILE = f"{FORMULA} {IMAGE} {SCRIPT} {MARKDOWN} {TEX} {TEMPLATE} {YAML} end"
ORDERS = f"{HOSTILE} {CODES}"  # for what no CSV holds and no YAML: a terminal obeys these
FILE = '"><img src=x onerror=window.ran=1>.png'  # as an image may be called
RATER = "<svg onload=window.ran=1>"


def hostile_study(folder: Path) -> Study:
    """The study, captioned, trained, drawn, rated, with jobs that run and failed."""
    images = {"folder": "faces", "provenance": {"origin": HOSTILE, "licence": HOSTILE, "consent": HOSTILE}}
    sampling = {"development": [f"one {HOSTILE}"], "test": [f"two {HOSTILE}", "three", "four", "five"], "seeds": [0, 1]}
    study = published(
        folder, question=HOSTILE, images=images, captioning={"subject": f"sks {HOSTILE}"}, sampling=sampling,
        publishing={"licence": "apache-2.0", "about": HOSTILE}, base={"path": f"/models/{IMAGE}"},
    )  # fmt: skip
    train(study, VARIANT, f"/models/{IMAGE}", [f"sks {HOSTILE}, {n}" for n in range(3)])
    _caption(study)
    for number, arm in enumerate((BASELINE, VARIANT.name)):
        _draw(study, arm, number)
    pd.DataFrame([(VARIANT.name, True)], columns=["variant", "chosen"]).to_csv(study.choice, index=False)
    _rate(study)
    _run(study)
    return study


def _caption(study: Study) -> None:
    rows = []
    for n, split in enumerate(("train", "train", "held_out")):
        name = f"{n}{FILE}"
        Image.new("RGB", (64, 64), (60 * n, 90, 120)).save(study.dataset / name)
        text = f"sks {HOSTILE}, {n}"
        rows.append(Row(name, text, HOSTILE, "edited", split, FILE, text, HOSTILE, captioner=HOSTILE, origin=HOSTILE))
    write_ledger(study.dataset, rows)
    refused = pd.DataFrame([(FILE, HOSTILE)], columns=["file", "reason"])
    refused.to_csv(study.dataset / "refused.csv", index=False)


def _draw(study: Study, arm: str, shade: int) -> None:
    wanted = wanted_samples(study.sampling)
    for place, one in enumerate(wanted):
        picture = Image.new("RGB", (16, 16), (20 * place, 100 * shade, 50))
        save_sample(picture, "", study.samples(arm), one, MADE | {"model": HOSTILE})
    write_table(study.samples(arm), wanted)


def _rate(study: Study) -> None:
    pairs = pairs_of({arm: read_samples(study.samples(arm)) for arm in (BASELINE, VARIANT.name)})
    seat = Seat(study, pairs, ["words"], RATER)
    for at in range(len(seat.steps)):
        order, question = seat.steps[at]
        seat.answer(at, seat.comparisons[order].expected(question) or "right", 1.0)
    seat.leave()


def _run(study: Study) -> None:
    failed = record("02_train_lora", "failed", 3, 1, why=ORDERS, notebook=ORDERS, variants=(ORDERS,), gpu=ORDERS)
    for own in (failed, record("03_inference", variants=(ORDERS,))):
        write_record(records_folder(study) / f"{own.job}.json", own)
    works(study, 6, 24, began=0.5, **{ORDERS: [(n, 1 / n) for n in range(1, 7)]})
