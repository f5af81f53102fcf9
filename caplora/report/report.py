"""Tables and figures → one page that reads as a short paper and opens anywhere, with no network.

Every sentence about the result is made from a table (`sentences.py`, `secondary.py`), so that a null result reads
as one. Captions and prompts are text to this file, never HTML. The page itself is `report.html`, a Jinja2
template beside this file.
"""

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from caplora.rating import metric_rows, metric_sentences, people_sentences, read_opinions
from caplora.report import drift, power, provenance, secondary, sentences
from caplora.report.contents import placed
from caplora.report.findings import Findings
from caplora.report.which_metric import believed, extra_rows
from caplora.statistics import alarm, checks, training_sentence
from caplora.study import (
    CAPTIONS,
    METRICS,
    Sampling,
    Study,
    Training,
    Variant,
    counted,
    disk_errors_name,
    drop_dead_parts,
    number,
    p_number,
    percent,
    signed,
    validated,
    write_text,
)

ROWS = 60  # variants in the table of the page at most
RATES = 6  # in a sentence at most


def variant_rows(study: Study, variants: Sequence[Variant], found: Findings) -> list[dict[str, Any]]:
    """What the table of variants says, a row for each that was asked for; one without scores keeps its row, empty."""
    of = {s: secondary.rows_of(found.effects, s, "clip_score", found.model) for s in ("test", "development")}
    test = of["test"].set_index("variant").to_dict("index")
    chosen_by = of["development"].set_index("variant")["difference"].to_dict()
    return [
        {
            "variant": v.name,
            "training": provenance.read_json(study.adapter(v) / "settings.json"),
            "seed": study.training.of(v).seed,
            "test": test.get(v.name),
            "development": chosen_by.get(v.name),
        }
        for v in variants
    ]


def leading_rows(rows: Sequence[dict[str, Any]], best: str, most: int = ROWS) -> list[dict[str, Any]]:
    """Those of `variant_rows` that the page shows, in their order: all, or `best`, the tested and the best of the rest.

    The rest are ordered by what they gain on the development prompts, and so are the tested where they are too many.
    """

    def place(row: Mapping[str, Any]) -> tuple[bool, bool, float]:
        gain = row["development"]
        return row["variant"] != best, row["test"] is None, math.inf if gain is None else -gain

    shown = {row["variant"] for row in sorted(rows, key=place)[:most]}
    return [row for row in rows if row["variant"] in shown]


def as_run(study: Study, variant: str) -> Study:
    """The study with the settings of training and sampling that `variant` was really made with, where recorded."""
    trained = provenance.read_json(study.run / "adapters" / variant / "settings.json").get("training", {})
    drawn = provenance.read_json(study.samples(variant) / "settings.json").get("sampling", {})
    training = study.training.model_dump(mode="json") | trained
    sampling = study.sampling.model_dump(mode="json") | drawn
    return study.model_copy(
        update={
            "training": validated(Training, training, f"the settings of {variant}"),
            "sampling": validated(Sampling, sampling, f"the settings of {variant}"),
        }
    )


def learning_rate(study: Study, variant: Variant) -> float:
    """That which a variant was trained with, where it is recorded, else what it asks for."""
    recorded = provenance.read_json(study.adapter(variant) / "settings.json").get("training", {})
    return float(recorded.get("learning_rate", study.training.of(variant).learning_rate))


def rates_said(rates: Collection[float]) -> str:
    """Learning rates in words: each, or where they are more than a sentence holds the smallest and the largest."""
    if len(rates) > RATES:
        return f"{min(rates):g} to {max(rates):g} ({len(rates)} rates)"
    return " or ".join(f"{rate:g}" for rate in rates)


def data_facts(study: Study) -> dict[str, Any]:
    """What the ledger says: how many images were used, for what, their captions, and where they are from."""
    ledger = _table(study.dataset / "metadata.csv", ("split", "status", "text"))
    used = ledger[ledger["status"] != "rejected"]
    words = used["text"].map(lambda text: len(text.split()))
    return {
        "used": len(used),
        "train": int((used["split"] == "train").sum()),
        "held_out": int((used["split"] == "held_out").sum()),
        "status": ledger["status"].value_counts().to_dict(),
        "words": (int(words.min()), float(words.median()), int(words.max())) if len(words) else None,
        "different": int(used["text"].nunique()),
        "provenance": {c: _counts(used, c) for c in ("origin", "licence", "consent", "captioner")},
        "refused": _table(study.dataset / "refused.csv", ("file", "reason")).to_dict("records"),
    }


def _counts(ledger: pd.DataFrame, column: str) -> dict[Hashable, int]:
    """What stands in a column of the ledger → how often; what is empty is `not recorded`."""
    values = ledger[column] if column in ledger else pd.Series("", index=ledger.index)
    return values.str.strip().replace("", "not recorded").value_counts().to_dict()


def _table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A table of text; one that is not there has no rows."""
    if not path.is_file():
        return pd.DataFrame(columns=list(columns))
    with disk_errors_name(path, "read"):
        return pd.read_csv(path, dtype=str, keep_default_na=False)


def limits(study: Study, found: Findings, variants: Sequence[Variant], data: Mapping[str, Any]) -> list[str]:
    """What the result does not say, as it applies to this study."""
    effect, pending, metrics = found.headline, data["status"].get("pending", 0), {*found.effects["metric"]}
    said = [
        training_sentence(found.known, found.best),
        "CLIPScore reads a prompt much as a bag of words (arXiv 2404.01291), and the base model is conditioned by a "
        "CLIP itself: that is why another model and other metrics stand beside it.",
        f"{counted(effect['n_prompts'], 'prompt')} stand for all prompts of their kind, and for no other kind.",
    ]
    if len({study.training.of(v).learning_rate for v in variants}) == 1 < len(variants):
        said.append(
            "All variants share one learning rate, and alpha / rank scales every update (arXiv 2312.03732): a "
            "difference between ranks is also a difference between step sizes, and tuning would shrink it "
            "(arXiv 2602.04998)."
        )
    said += secondary.few_prompts([effect["n_prompts"]])
    if "judge" not in metrics:
        said.append("No judge knows what the pictures show: every metric is an opinion of a model that was not tested.")
    if "drift" not in metrics:
        said.append("No unrelated prompts were drawn: what the adapter does to other pictures is not known.")
    if "identity" in metrics:
        said.append(f"Likeness is to {counted(data['held_out'], 'held-out portrait')}, and to no more of the person.")
    if "face_similarity" not in metrics:
        without = "there was no encoder of faces when samples were scored, or no held-out portrait shows one"
        said.append(f"Faces are not compared: {without if study.images.photographs else 'these are drawings'}.")
    if pending:
        said.append(f"{counted(pending, 'caption')} had not been reviewed and were used as the machine wrote them.")
    return said


def write_report(
    path: Path, study: Study, variants: Sequence[Variant], found: Findings, figures: Mapping[str, Path]
) -> Path:
    """Writes the report to `path`, whole or not at all, with the PNG files of `figures` inside it; `path`.

    `variants` are the candidates asked for, judged or not. `figures` is name → file: those of FIGURES stand in their
    sections, any other at the end under its name, and one that is not given is left out. What processes that were
    killed left half written goes.
    """
    drop_dead_parts(study.run, study.figures)
    rows = variant_rows(study, variants, found)
    shown = leading_rows(rows, found.best)
    names = dict.fromkeys([*(row["variant"] for row in shown), *found.ablation.get("variant", [])])  # have hashes
    data, run, model = data_facts(study), as_run(study, found.best), found.model
    tested = {*found.effects.loc[found.effects["split"] == "test", "variant"]}
    judged = [v.name for v in variants if v.name in tested]
    arms, scales = (secondary.read_table(path, judged) for path in (study.arms, study.scales))
    controls = checks(secondary.read_table(study.controls, ["baseline", *judged]), judged)
    page = environment().get_template("report.html").render(
        study=run, found=found, best=found.best, model=model, data=data, headline=found.headline,
        rows=rows, shown=shown, controls=controls, alarm=alarm(controls),
        panel=secondary.secondary_rows(found.effects, arms, [v for v in judged if v in names]),
        columns=secondary.secondary_columns(found.effects, arms),
        others=drift.with_nulls(
            secondary.secondary_sentences(found.effects, arms, found.best, model), study, found.scores, found.best
        ),
        interest=power.interest_sentence(study, found.headline, found.recipe),
        few=secondary.few_prompts([found.headline["n_prompts"]]),
        memorised=secondary.memorised_sentence(secondary.read_closest(study, judged)),
        scales=secondary.scale_rows(scales, found.best, model),
        cost=secondary.cost_sentence(found.effects, found.best, model),
        suites={s: secondary.suite_sentences(found.effects, found.best, model, s) for s in secondary.SUITES},
        agreement=secondary.agreement_sentence(found.effects, model),
        tracked=[secondary.tracking_sentence(row) for row in found.tracked.to_dict("records")],
        believed=believed(found.scores), extra=extra_rows(found.effects, found.best),
        rates=rates_said({learning_rate(study, v): None for v in variants}),
        scales_of=list(dict.fromkeys("(α / √r)" if v.use_rslora else "(α / r)" for v in variants)),
        limits=limits(study, found, variants, data), kinds=CAPTIONS, metrics=METRICS,
        versions=provenance.versions(), hashes=provenance.hashes(run, names),
        scorers=provenance.scorers(found.scores) if len(found.scores) else [],
        citation=provenance.citation(run), commands=provenance.commands(study, found.asked),
        failed=found.failed.replace(f"{study.path('')}/", ""),  # a page to send on names no folder of this machine
        opinions=read_opinions(study, found.scores), figures=placed(figures),
    )  # fmt: skip
    write_text(path, page)
    return path


def environment() -> Environment:
    """Jinja2 as the report needs it: everything escaped, and a name that is not given is an error."""
    found = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    own = ("counted", "verdict_sentence", "power_sentence", "errors_sentence", "captions_sentence")
    found.filters |= {name: getattr(sentences, name) for name in own}
    found.filters |= {"percent": percent, "signed": signed, "number": number, "p_number": p_number}
    found.filters |= {f.__name__: f for f in (people_sentences, metric_sentences, metric_rows)}
    found.tests["finite"] = math.isfinite
    return found
