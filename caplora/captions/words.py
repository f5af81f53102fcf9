"""The words of captions, and how often each is used."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain

import pandas as pd

COMMON = re.compile(r"an?|and|at|by|for|from|has|her|his|in|is|its?|of|on|that|the|their|there|to|with")


def words_of(text: str) -> list[str]:
    """The words of a text in lower case; "t-shirt" is one word."""
    return re.findall(r"\w+(?:[-'’]\w+)*", text.lower())


def word_counts(texts: Iterable[str], commonest: int = 20) -> pd.DataFrame:
    """The commonest words, without little ones such as "a" and "with": word, captions (how many have it)."""
    counts = Counter(chain.from_iterable(map(_told, texts)))
    return pd.DataFrame(counts.most_common(commonest), columns=["word", "captions"])


@lru_cache(maxsize=100_000)  # one of ten thousand captions changes at a time
def _told(text: str) -> list[str]:
    """The words of a text that tell something, each once."""
    return [word for word in sorted(set(words_of(text))) if not COMMON.fullmatch(word)]
