"""How many pictures a study draws."""

from collections.abc import Sequence

from caplora.study import Sampling, Study, Variant, asked_with_captions, candidates

FINAL = ("test", "edits", "unrelated")  # suites that a finalist draws; all variants draw the development prompts


def pictures(settings: Sampling, variants: int, kept: int = 0, arms: int = 0, asked: int = 0) -> dict[str, int]:
    """The pictures of each suite and of the other scales, over the baseline and all variants.

    All variants draw the development prompts, the finalists the other suites too, as do the `arms` among the variants
    that are trained on other captions or fewer images. The best one is drawn at other scales, and next to none of it
    for the unrelated prompts. Each of the adapters that are `kept` at a step before the last draws development and
    unrelated prompts with one seed. So many arms are `asked` with captions for their training images, the baseline once
    for each group of them: that is the most, for groups may share captions.
    """
    chosen_from = variants - arms
    everyone, final = 1 + variants, 1 + arms + min(settings.finalists or chosen_from, chosen_from)
    suites, seeds = settings.suites, len(settings.seeds)
    drawn = {split: (final if split in FINAL else everyone) * len(suite) * seeds for split, suite in suites.items()}
    prompts = len(suites["development"]) + len(suites["unrelated"])
    more = {"kept steps": kept * prompts + chosen_from * len(suites["unrelated"])} if kept else {}
    more |= {"captions": asked * 2 * settings.captions} if asked and settings.captions else {}
    return drawn | {"scales": len(settings.scales) * prompts + len(suites["unrelated"])} | more


def pictures_of(study: Study, variants: Sequence[Variant]) -> dict[str, int]:
    """The pictures that a study draws for its variants."""
    arms = len(variants) - len(candidates(variants))
    steps = study.training.with_steps(variants)
    kept = sum(1 for variant in steps if variant.step)
    groups = asked_with_captions(steps, candidates(variants)[0].name)
    return pictures(study.sampling, len(variants), kept, arms, sum(1 + len(own) for own in groups))
