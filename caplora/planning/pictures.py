"""How many pictures a study draws."""

from collections.abc import Sequence

from caplora.study import Sampling, Study, Variant, candidates

FINAL = ("test", "edits", "unrelated")  # suites that a finalist draws; all variants draw the development prompts


def pictures(settings: Sampling, variants: int, kept: int = 0, arms: int = 0) -> dict[str, int]:
    """The pictures of each suite and of the other scales, over the baseline and all variants.

    All variants draw the development prompts, the finalists the other suites too, as do the `arms` among the variants
    that are trained on other captions or fewer images. The best one is drawn at other scales, and next to none of it
    for the unrelated prompts. Each of the adapters that are `kept` at a step before the last draws development and
    unrelated prompts with one seed.
    """
    chosen_from = variants - arms
    everyone, final = 1 + variants, 1 + arms + min(settings.finalists or chosen_from, chosen_from)
    suites, seeds = settings.suites, len(settings.seeds)
    drawn = {split: (final if split in FINAL else everyone) * len(suite) * seeds for split, suite in suites.items()}
    prompts = len(suites["development"]) + len(suites["unrelated"])
    more = {"kept steps": kept * prompts + chosen_from * len(suites["unrelated"])} if kept else {}
    return drawn | {"scales": len(settings.scales) * prompts + len(suites["unrelated"])} | more


def pictures_again(study: Study, recipes: int) -> int:
    """How many more are drawn where so many recipes are trained again: each training draws the development prompts.

    The test prompts and the suites after them are drawn by all trainings of a finalist instead of one.
    """
    sampling, seeds = study.sampling, len(study.sampling.seeds)
    trainings, suites = study.training.finalist_seeds, {name: len(s) for name, s in study.sampling.suites.items()}
    finalists = min(sampling.finalists or recipes, recipes)
    kept = len(study.training.kept_steps) * (suites["development"] + suites["unrelated"])
    early = recipes * trainings * (suites["development"] * seeds + kept)
    return early + finalists * (trainings - 1) * sum(suites[split] for split in FINAL) * seeds


def pictures_of(study: Study, variants: Sequence[Variant]) -> dict[str, int]:
    """The pictures that a study draws for its variants."""
    arms = len(variants) - len(candidates(variants))
    kept = sum(1 for variant in study.training.with_steps(variants) if variant.step)
    return pictures(study.sampling, len(variants), kept, arms)
