"""A study and its variants → whether the best recipes are trained again from other seeds, and how many they are.

The best training of a grid is partly the luckiest. So the recipes that lead on the development prompts are trained
again, and these trainings, which had no say in that, stand for them from then on: the development prompts choose
between them, and the test prompts judge the trainings of the recipe chosen.
"""

from collections.abc import Sequence

from caplora.study.study import Study
from caplora.study.variants import Variant, candidates

FINALISTS = 2  # recipes that are trained again, or more where more draw the test prompts


def recipes_again(study: Study, variants: Sequence[Variant]) -> int:
    """How many recipes are trained again; 0 where none is."""
    return min(len(may_be_retrained(study, variants)), max(FINALISTS, study.sampling.finalists or 0))


def why_once(study: Study, variants: Sequence[Variant]) -> str:
    """Why no finalist is trained again, whatever it would take; empty where the study and the variants allow it."""
    if study.sampling.finalists is None:
        return "all variants draw the test prompts (sampling.finalists)"
    if not study.training.finalist_seeds:
        return "the study asks for no other seeds (training.finalist_seeds)"
    if any(v.seed is not None for v in variants):
        return "the variants name their training seeds themselves"
    return ""


def may_be_retrained(study: Study, variants: Sequence[Variant]) -> list[Variant]:
    """The variants that may be trained again, each once and not at every step that is kept of it."""
    own = [] if why_once(study, variants) else candidates(variants)
    return [v for v in own if v.step is None]
