"""A text → what the base model's text encoder reads of it: how many tokens, and which words fall off the end.

This file loads the tokenizer alone, so that it is fast enough to count while someone types.
"""

import re
import warnings

from transformers import CLIPTokenizer

from caplora.study import Study

MOVED = {  # hub ids that are gone → where the same files are
    "runwayml/stable-diffusion-v1-5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
}
WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*|(?:[^\w\s]|_)+")


def base_path(study: Study) -> str:
    """Where the study's base model is: a folder or a hub id, and for an id that is gone the one with the same files."""
    path = study.model_path(study.base)
    if path in MOVED:
        warnings.warn(f"{path} is gone from the hub; reading {MOVED[path]} instead", stacklevel=3)
    return MOVED.get(path, path)


def load_tokenizer(study: Study) -> CLIPTokenizer:
    """The tokenizer of the study's base model; raises OSError where there is no such model."""
    return CLIPTokenizer.from_pretrained(base_path(study), revision=study.base.revision, subfolder="tokenizer")


def token_limit(tokenizer: CLIPTokenizer) -> int:
    """How many tokens of a text are read: 75 with CLIP, whose 77 hold a start and an end."""
    return tokenizer.model_max_length - 2


def token_count(text: str, tokenizer: CLIPTokenizer) -> int:
    """The tokens of a text, start and end aside."""
    return len(_spans(text, tokenizer))


def lost_words(text: str, tokenizer: CLIPTokenizer) -> str:
    """The end of `text` that is not read, from the first word that does not fit whole; empty if all of it fits."""
    spans, limit = _spans(text, tokenizer), token_limit(tokenizer)
    if len(spans) <= limit:
        return ""
    start = spans[limit][0]
    return text[next((w.start() for w in WORD.finditer(text) if w.start() < start < w.end()), start) :]


def _spans(text: str, tokenizer: CLIPTokenizer) -> list[tuple[int, int]]:
    """Where each token stands in the text."""
    whole = text.encode("utf-8", "replace").decode()  # half a surrogate pair is no character
    return tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True, verbose=False).offset_mapping
