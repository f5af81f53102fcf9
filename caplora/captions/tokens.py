"""A text → what the base model's text encoder reads of it: how many tokens, and which words at the end are cut off.

Only the tokenizer is loaded, not the model; so counting is fast enough while someone types.
"""

import re
from typing import TYPE_CHECKING, Any

from caplora.jobs import no_secret_told
from caplora.study import Study

if TYPE_CHECKING:
    from transformers import CLIPTokenizer as Tokenizer
else:
    Tokenizer = Any  # it takes half a second to import: `load_tokenizer` does

FEWEST = 256  # tokens: one for each byte
WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*|(?:[^\w\s]|_)+")


def load_tokenizer(study: Study) -> Tokenizer:
    """The tokenizer of the study's base model; raises OSError where there is no such model."""
    from transformers import CLIPTokenizer

    path = study.model_path(study.base)
    with no_secret_told():
        found = CLIPTokenizer.from_pretrained(path, revision=study.base.revision, subfolder="tokenizer")
    if len(found) < FEWEST:  # transformers makes one without words where it gets no file
        raise OSError(f"the tokenizer of {path!r} (base of the study) is not there: try again on line")
    return found


def token_limit(tokenizer: Tokenizer) -> int:
    """How many tokens of a text are read: 75 with CLIP, which reads 77 including a start and an end."""
    return tokenizer.model_max_length - 2


def token_count(text: str, tokenizer: Tokenizer) -> int:
    """The number of tokens of a text, without start and end."""
    return len(_spans(text, tokenizer))


def lost_words(text: str, tokenizer: Tokenizer) -> str:
    """The end of `text` that is not read, from the first word that does not fit completely; empty if all fits."""
    spans, limit = _spans(text, tokenizer), token_limit(tokenizer)
    if len(spans) <= limit:
        return ""
    start = spans[limit][0]
    return text[next((w.start() for w in WORD.finditer(text) if w.start() < start < w.end()), start) :]


def _spans(text: str, tokenizer: Tokenizer) -> list[tuple[int, int]]:
    """Start and end of each token in the text."""
    whole = text.encode("utf-8", "replace").decode()  # half a surrogate pair is not a character
    return tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True, verbose=False).offset_mapping
