"""Effects and figures → one page that reads as a short paper and opens anywhere, with no network.

Every sentence about the result is made from the table of effects, so that a null result reads as one. Captions and
prompts are text to this file, never HTML. The page itself is `report.html`, a Jinja2 template beside this file.
"""

import base64
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from caplora.files import write_text
from caplora.settings import Sampling, Training, Variant
from caplora.spread import Crossed
from caplora.statistics import EQUIVALENT
from caplora.study import Study, validated
from caplora.style import CAPTIONS, percent

Row = Mapping[Any, Any] | pd.Series  # of the table of effects

LIBRARIES = ("caplora", "torch", "diffusers", "transformers", "peft", "open_clip_torch", "numpy", "pandas", "scipy")
NAMES = {
    "clip_score": "CLIPScore",
    "clip_cosine": "The cosine of image and prompt",
    "identity": "The cosine to the held-out portraits",
    "judge": "The share of the named attributes that samples show",
}


def signed(value: float) -> str:
    """A difference as print has it: `+0.065`, `−0.012`."""
    return f"{value:+.3f}".replace("-", "−")


def number(value: float) -> str:
    """A value as print has it: `0.512`, `−0.012`."""
    return f"{value:.3f}".replace("-", "−")


def p_value(p: float) -> str:
    """`p = 0.013`, or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def counted(number: int, thing: str) -> str:
    """`1 prompt`, `16 prompts`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def verdict_sentence(effect: Row) -> str:
    """What the study found of one variant, in one sentence: n, difference, intervals and p; a null reads as one."""
    e = effect
    n = f"{counted(e['n_prompts'], e['split'] + ' prompt')} × {counted(e['n_seeds'], 'seed')}"
    said = (
        f"{e['variant']} {e['verdict']} the baseline: {NAMES[e['metric']]} {e['adapter']:.3f} against "
        f"{e['baseline']:.3f} on {n}, a difference of {signed(e['difference'])} (95 % interval, clustered by prompt, "
        f"{signed(e['low'])} to {signed(e['high'])}; sign-flip {p_value(e['p'])})"
    )
    if np.isfinite(e["relative"]):
        said += f", which is {percent(e['relative'])} ({percent(e['relative_low'])} to {percent(e['relative_high'])})"
    return said + "."


def power_sentence(effect: Row) -> str:
    """How often D was positive, what the bootstrap says, and what difference the study could have found."""
    e = effect
    return (
        f"Of the {e['n_prompts'] * e['n_seeds']} pairs, {100 * e['positive']:.0f} % favour {e['variant']}. A bootstrap "
        f"over prompts and then seeds gives {signed(e['bootstrap_low'])} to {signed(e['bootstrap_high'])}. A "
        f"true difference of {e['detectable']:.3f} would be found by four of five such studies."
    )


def noise_sentence(noise: Crossed, effect: Row, errors: pd.DataFrame) -> str:
    """What holds over prompts and noises, where the headline is over prompts; and how often each test errs."""
    rate = dict(zip(errors["test"], errors["rate"], strict=True))
    return (
        f"Every prompt starts from the same {counted(effect['n_seeds'], 'noise')}, which more prompts do not average"
        f" away: over prompts and noises the interval is {signed(noise.low)} to {signed(noise.high)}"
        f" ({p_value(noise.p)}). Where nothing is to be found, with this study’s own spread, the test by prompts finds"
        f" something in {100 * rate['verdict']:.0f} % of simulated studies, that by prompts and noises in"
        f" {100 * rate['crossed interval']:.0f} %, and one that takes samples for independent in"
        f" {100 * rate['samples as if independent']:.0f} %."
    )


def confirmation(effect: Row) -> str:
    """What another metric, or another model, says of the same variant."""
    e = effect
    how = {"beats": "is higher than", "falls short of": "is lower than", EQUIVALENT: EQUIVALENT}.get(
        e["verdict"], "cannot be told from"
    )
    values = f"{number(e['adapter'])} against {number(e['baseline'])}"
    interval = f"{signed(e['low'])} to {signed(e['high'])}; {p_value(e['p'])}"
    return (
        f"{NAMES.get(e['metric'], e['metric'])}, by {e['model']}, {how} the baseline’s: {values}, a difference of "
        f"{signed(e['difference'])} ({interval})."
    )


def captions_sentence(arm: Row) -> str:
    """What one arm of a caption ablation says beside the reviewed one; a null reads as one."""
    e = arm
    reviewed = number(e["mean"] - e["difference"])
    interval = f"{signed(e['low'])} to {signed(e['high'])}; corrected {p_value(e['p_corrected'])}"
    return (
        f"“{CAPTIONS[e['captions']]}” {e['verdict']} “reviewed”: {NAMES[e['metric']]} {number(e['mean'])} against "
        f"{reviewed}, a difference of {signed(e['difference'])} (95 % interval, clustered by prompt, {interval})."
    )


def select(effects: pd.DataFrame, metric: str, model: str, split: str) -> pd.DataFrame:
    """The rows of one metric, model and split."""
    return effects[(effects["metric"] == metric) & (effects["model"] == model) & (effects["split"] == split)]


def variant_rows(study: Study, variants: Sequence[Variant], effects: pd.DataFrame, model: str) -> list[dict[str, Any]]:
    """What the table of variants says, a row for each that was asked for; one without scores keeps its row, empty."""
    test = select(effects, "clip_score", model, "test").set_index("variant").to_dict("index")
    chosen_by = select(effects, "clip_score", model, "development").set_index("variant")["difference"].to_dict()
    return [
        {
            "variant": v.name,
            "training": _json(study.adapter(v) / "settings.json"),
            "test": test.get(v.name),
            "development": chosen_by.get(v.name),
        }
        for v in variants
    ]


def as_run(study: Study, variant: str) -> Study:
    """The study with the settings of training and sampling that `variant` was really made with, where recorded."""
    trained = _json(study.run / "adapters" / variant / "settings.json").get("training", {})
    drawn = _json(study.samples(variant) / "settings.json").get("sampling", {})
    training = study.training.model_dump(mode="json") | trained
    sampling = study.sampling.model_dump(mode="json") | drawn
    return study.model_copy(
        update={
            "training": validated(Training, training, f"the settings of {variant}"),
            "sampling": validated(Sampling, sampling, f"the settings of {variant}"),
        }
    )


def data_facts(study: Study) -> dict[str, Any]:
    """What the ledger of the study says: how many images were used, for what, what became of their captions."""
    ledger = _table(study.dataset / "metadata.csv", ("split", "status"))
    used = ledger[ledger["status"] != "rejected"]
    return {
        "used": len(used),
        "train": int((used["split"] == "train").sum()),
        "held_out": int((used["split"] == "held_out").sum()),
        "status": ledger["status"].value_counts().to_dict(),
        "refused": _table(study.dataset / "refused.csv", ("file", "reason")).to_dict("records"),
    }


def _table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A table of text; one that is not there has no rows."""
    return (
        pd.read_csv(path, dtype=str, keep_default_na=False) if path.is_file() else pd.DataFrame(columns=list(columns))
    )


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def limits(study: Study, effect: Row, variants: int, pending: int) -> list[str]:
    """What the result does not say, as it applies to this study."""
    said = [
        f"Each variant was trained once (seed {study.training.seed}): the result is about these adapters, not about "
        "every training with these settings.",
        "CLIPScore reads a prompt much as a bag of words (arXiv 2404.01291), and the base model is conditioned by a "
        "CLIP itself: that is why another model and other metrics stand beside it.",
        f"{counted(effect['n_prompts'], 'prompt')} stand for all prompts of their kind, and for no other kind.",
    ]
    if variants > 1:
        said.append(
            "All variants share one learning rate, and alpha / rank scales every update (arXiv 2312.03732): a "
            "difference between ranks is also a difference between step sizes, and tuning would shrink it "
            "(arXiv 2602.04998)."
        )
    if 2 ** (1 - effect["n_prompts"]) > 0.05:
        said.append(f"With {effect['n_prompts']} prompts the sign-flip test cannot fall below p = 0.05: add prompts.")
    if pending:
        said.append(f"{counted(pending, 'caption')} had not been reviewed and were used as the machine wrote them.")
    return said


def versions() -> dict[str, str]:
    """Library → version, as they were when the report was written; Python first."""
    found = {"Python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def write_report(
    path: Path,
    study: Study,
    variants: Sequence[Variant],
    effects: pd.DataFrame,
    best: str,
    model: str,
    figures: Mapping[str, Path],
    ablation: pd.DataFrame | None = None,
    noise: str = "",
) -> Path:
    """Writes the report to `path`, whole or not at all, with the PNG files of `figures` inside it; `path`.

    `effects` is the whole table of effects, `best` the variant chosen on the development prompts, `model` the CLIP
    whose CLIPScore is the headline, `ablation` the table of a caption ablation, `noise` what holds over noises. A
    figure that is not in `figures` is left out.
    """
    test = effects[(effects["split"] == "test") & (effects["variant"] == best)].to_dict("records")
    headline = next(e for e in test if e["metric"] == "clip_score" and e["model"] == model)
    data, study = data_facts(study), as_run(study, best)
    page = environment().get_template("report.html").render(
        study=study, best=best, model=model, data=data, headline=headline, versions=versions(),
        others=[e for e in test if e["metric"] != "clip_cosine" and e is not headline],
        rows=variant_rows(study, variants, effects, model),
        limits=limits(study, headline, len(variants), data["status"].get("pending", 0)),
        noise=noise, ablation=[] if ablation is None else ablation.to_dict("records"), kinds=CAPTIONS,
        figures={name: base64.b64encode(file.read_bytes()).decode() for name, file in figures.items()},
    )  # fmt: skip
    write_text(path, page)
    return path


def environment() -> Environment:
    """Jinja2 as the report needs it: everything escaped, and a name that is not given is an error."""
    found = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    for words in (
        signed,
        percent,
        p_value,
        counted,
        verdict_sentence,
        power_sentence,
        confirmation,
        captions_sentence,
        number,
    ):
        found.filters[words.__name__] = words
    return found
