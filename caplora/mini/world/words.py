"""The tokenizers of the mini stack, learned from captions of the portrait world: BPE for CLIP, WordPiece for BLIP."""

import json
import re
from collections import Counter
from functools import cache

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import BertTokenizer, CLIPTokenizer

from caplora.mini.world.world import caption, draw_person, draw_scene, truth

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@cache
def corpus(count: int = 4000) -> tuple[str, ...]:
    """Captions of random pictures, and a few words that people use although this world does not draw them."""
    rng = np.random.default_rng(0)
    texts = [caption(truth(draw_person(rng), draw_scene(rng)), rng) for _ in range(count)]
    return (
        *texts,
        "a picture of the person, an image of my friend at home: portrait, face, hair, eyes, light and shadow",
    )


def clip_tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer with the vocabulary of this world: all bytes, so that it reads any text, then words."""
    tokenizer = Tokenizer(BPE(continuing_subword_prefix="", end_of_word_suffix="</w>"))
    clip = CLIPTokenizer().backend_tokenizer
    tokenizer.normalizer, tokenizer.pre_tokenizer = clip.normalizer, clip.pre_tokenizer
    alphabet = sorted(ByteLevel.alphabet())
    trainer = BpeTrainer(vocab_size=1200, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    learned = json.loads(tokenizer.to_str())["model"]
    words = sorted(learned["vocab"], key=learned["vocab"].get)
    vocabulary = dict.fromkeys([*alphabet, *(a + "</w>" for a in alphabet), *words, "<|startoftext|>", "<|endoftext|>"])
    ids = {token: i for i, token in enumerate(vocabulary)}
    return CLIPTokenizer(vocab=ids, merges=[tuple(pair) for pair in learned["merges"]], model_max_length=77)


def bert_tokenizer() -> BertTokenizer:
    """BLIP's tokenizer with the words of this world and every letter; `[DEC]` begins a caption, as in BLIP."""
    words = Counter(re.findall(r"\w+|[^\w\s]", " ".join(corpus()).lower()))
    letters = [chr(i) for i in range(33, 127) if not chr(i).isupper()]
    vocabulary = dict.fromkeys([*SPECIAL, *letters, *("##" + c for c in letters), *sorted(words)])
    ids = {token: i for i, token in enumerate(vocabulary)}
    tokenizer = BertTokenizer(vocab=ids, model_max_length=64)
    tokenizer.add_special_tokens({"bos_token": "[DEC]"})
    return tokenizer
