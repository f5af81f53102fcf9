"""How many pictures a study draws."""

from caplora.study import Sampling

FINAL = ("test", "edits", "unrelated")  # suites that a finalist draws; all variants draw the development prompts


def pictures(settings: Sampling, variants: int, finalists: int | None = None) -> dict[str, int]:
    """The pictures of each suite and of the other scales, over the baseline and all variants.

    With `finalists` only so many variants, the best on the development prompts, draw the other suites, and only the
    best is drawn at other scales; None: all of them.
    """
    arms, final = 1 + variants, 1 + (variants if finalists is None else min(finalists, variants))
    suites, seeds = settings.suites, len(settings.seeds)
    drawn = {split: (final if split in FINAL else arms) * len(suite) * seeds for split, suite in suites.items()}
    scaled = variants if finalists is None else 1
    prompts = len(suites["development"]) + len(suites["unrelated"])
    return drawn | {"scales": scaled * len(settings.scales) * prompts}
