"""A study → the checks that a review makes of its captions: tokens, lost words, doubts, agreement with the picture."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from caplora.captions import Finding, doubt, lint, load_tokenizer, lost_words, token_count, token_limit
from caplora.study import Study


@dataclass(frozen=True)
class Checks:
    """Functions of a caption that need the study: its tokens, the words cut off at its end, what is doubtful."""

    count: Callable[[str], int]
    lost: Callable[[str], str]
    lint: Callable[[Mapping[str, str]], Sequence[Finding]]
    doubt: Callable[[Sequence[Finding]], Mapping[str, float]]
    agreement: Mapping[str, float]  # cosine of picture and caption by the study's first CLIP
    limit: int = 75  # tokens


def checks_of(study: Study, agreement: Mapping[str, float]) -> Checks:
    """The checks of a study, with its own tokenizer; what was counted in a caption is remembered."""
    tokenizer = load_tokenizer(study)
    return Checks(
        count=lru_cache(100_000)(lambda text: token_count(text, tokenizer)),
        lost=lru_cache(100_000)(lambda text: lost_words(text, tokenizer)),
        lint=lambda captions: lint(captions, tokenizer, study.captioning, agreement),
        doubt=doubt,
        agreement=agreement,
        limit=token_limit(tokenizer),
    )
