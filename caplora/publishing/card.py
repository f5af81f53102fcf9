"""What is known of a variant → its model card: the metadata that the hub reads, and a page for people.

The page is `card.md`, a Jinja2 template beside this file; its numbers and sentences are those of the study's report.
Everything that a study says is text there (`words`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from caplora.publishing.example import example
from caplora.publishing.facts import Facts, all_hashes
from caplora.publishing.metrics import interval, metric_rows
from caplora.publishing.pictures import Chosen
from caplora.publishing.words import code, escaped, literal, plain
from caplora.report import (
    Findings,
    address,
    agreement_sentence,
    as_run,
    cost_sentence,
    limits,
    memorised_sentence,
    power_sentence,
    read_closest,
    read_table,
    suite_sentences,
    versions,
)
from caplora.statistics import checks
from caplora.study import counted, signed

STATUSES = {  # of a caption → in words
    "kept": "kept by a person as they were",
    "edited": "written or corrected by a person",
    "pending": "not reviewed by anybody",
    "rejected": "rejected, and their images with them",
}
OTHERS = {"edits": "Asked for what the portraits never show", "unrelated": "Where nobody asks for the subject"}
UNMEASURED = "Nothing was measured, so what it does to prompts of any kind is not known."
UNTESTED = (
    "On the test prompts nothing was measured. The development prompts took part in the choice, and what it does to"
    " prompts of any other kind is not known."
)


def model_card(facts: Facts, pictures: Chosen, files: Mapping[str, str], repository: str = "") -> str:
    """The model card of a variant, README.md of a repository of the hub: YAML between two lines of ---, and Markdown.

    `files` are those of the adapter with their hashes; `repository` is where it will lie, and stands in the example.
    """
    page = environment().get_template("card.md").render(values(facts, pictures, files, repository))
    card = ModelCard(f"---\n{metadata(facts, pictures).to_yaml()}\n---\n\n{page}")  # reads what it was given
    return str(card)


def metadata(facts: Facts, pictures: Chosen) -> ModelCardData:
    """What the hub reads: how a model is found, shown and loaded."""
    publishing, trigger = facts.study.publishing, plain(facts.trigger)
    shown = [{"text": plain(pair.prompt), "output": {"url": pair.file_name}} for pair in pictures.pairs]
    return ModelCardData(
        base_model=plain(facts.base) if facts.on_hub else None,
        base_model_relation="adapter" if facts.on_hub else None,
        library_name="diffusers",
        pipeline_tag="text-to-image",
        license=publishing.licence or None,
        instance_prompt=trigger or None,
        tags=["text-to-image", "diffusers", "lora", f"stable-diffusion{'-xl' if facts.xl else ''}", "caplora"],
        widget=shown or None,
        model_name=facts.title if facts.found else None,
        eval_results=[evaluation(facts, facts.found)] if facts.found else None,
    )


def evaluation(facts: Facts, found: Findings) -> EvalResult:
    """The headline as metadata: a difference with its interval, for the value alone would say too much."""
    e = found.headline
    return EvalResult(
        task_type="text-to-image",
        dataset_type="unknown",
        dataset_name=f"{e['n_prompts']} test prompts × {e['n_seeds']} seeds of the study {facts.study.name}",
        metric_type="clip_score",
        metric_name=f"CLIPScore by {plain(found.model)}, difference from the base model",
        metric_value=f"{signed(e['difference'])} (95 % interval {signed(e['low'])} to {signed(e['high'])})",
    )


def values(facts: Facts, pictures: Chosen, files: Mapping[str, str], repository: str) -> dict[str, Any]:
    """What the template is given."""
    run, found = as_run(facts.study, facts.variant.name), facts.found
    development = facts.development()
    return {
        "facts": facts, "pictures": pictures, "repository": repository, "run": run, "found": found,
        "example": example(facts, pictures, run, repository),
        "development": development, "trained_alone": len(facts.measured.candidates) == 1, "statuses": STATUSES,
        "chosen": facts.measured.found is not None and facts.measured.found.best == facts.variant.name,
        "versions": versions(), "address": address(), "hashes": all_hashes(facts, run, files),
    } | (measured(facts, found) if found else {"limits": unmeasured(facts)})  # fmt: skip


def measured(facts: Facts, found: Findings) -> dict[str, Any]:
    """What the template is given of a variant that drew the test prompts."""
    study, best = facts.study, [found.best]
    tables = {name: read_table(getattr(study, name), best) for name in ("arms", "controls")}
    return {
        "headline": found.headline, "rows": (rows := metric_rows(found, tables["arms"])),
        "meanings": [*dict.fromkeys(row["means"] for row in rows if row["means"])],
        "cost": cost_sentence(found.effects, found.best, found.model),
        "suites": [
            (what, said[0])
            for suite, what in OTHERS.items()
            if (said := suite_sentences(found.effects, found.best, found.model, suite))
        ],
        "agreement": agreement_sentence(found.effects, found.model),
        "memorised": memorised_sentence(nameless(read_closest(study, best))),
        "controls": checks(tables["controls"], best),
        "limits": limits(study, found, facts.measured.candidates, facts.data),
    }  # fmt: skip


def nameless(closest: pd.DataFrame) -> pd.DataFrame:
    """The table of what is most like a training image, without the names of people's files."""
    return closest.assign(portrait="a training portrait") if len(closest) else closest


def unmeasured(facts: Facts) -> list[str]:
    """The limits of a variant that did not draw the test prompts: that, and that captions were not reviewed, if so."""
    pending, said = facts.data["status"].get("pending", 0), [UNTESTED if facts.developed else UNMEASURED]
    if pending:
        said.append(f"{counted(pending, 'caption')} had not been reviewed and were used as they were.")
    return said


def listed(counts: Mapping[Any, int]) -> str:
    """`signed, 2026 (100)`: what stands in a column of the ledger, and how often."""
    return ", ".join(f"{plain(str(what))} ({n})" for what, n in counts.items()) or "not stated"


def environment() -> Environment:
    """Jinja2 as a card needs it: every value is text to Markdown, and a name that is not given is an error."""
    found = Environment(  # its escapes are those of HTML, and `finalize` does what Markdown needs
        loader=FileSystemLoader(Path(__file__).parent), finalize=escaped, undefined=StrictUndefined, autoescape=False,  # noqa: S701
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    own = (code, literal, listed, counted, signed, power_sentence)
    found.globals |= {"interval": interval}
    found.filters |= {function.__name__: function for function in own}
    return found
