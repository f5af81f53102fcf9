"""How many pictures a study draws."""

from caplora.study import Sampling

FINAL = ("test", "edits", "unrelated")  # suites that a finalist draws; all variants draw the development prompts


def pictures(settings: Sampling, variants: int, steps: int = 0) -> dict[str, int]:
    """The pictures of each suite and of the other scales, over the baseline and all variants.

    All variants draw the development prompts, the finalists the other suites, and the best one is drawn at other
    scales. Each of the `steps` whose adapters are kept draws development and unrelated prompts with one seed.
    """
    arms, final = 1 + variants, 1 + min(settings.finalists or variants, variants)
    suites, seeds = settings.suites, len(settings.seeds)
    drawn = {split: (final if split in FINAL else arms) * len(suite) * seeds for split, suite in suites.items()}
    prompts = len(suites["development"]) + len(suites["unrelated"])
    kept = {"kept steps": variants * (steps * prompts + len(suites["unrelated"]))} if steps else {}
    return drawn | {"scales": len(settings.scales) * prompts} | kept
