"""The tokenizers of the stack, learned from the world's own captions: byte-level BPE (CLIP) and WordPiece (BLIP)."""

import json
import re
from collections import Counter

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import BertTokenizer, CLIPTokenizer

from caplora.mini.world.world import caption, draw_person, draw_scene, truth

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def corpus(count: int = 4000) -> list[str]:
    """Captions of random pictures, with a few words that people use and this world does not draw."""
    rng = np.random.default_rng(0)
    texts = [caption(truth(draw_person(rng), draw_scene(rng)), rng) for _ in range(count)]
    return [
        *texts,
        "a picture of the person, an image of my friend at home: portrait, face, hair, eyes, light and shadow",
    ]


def clip_tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer with a vocabulary of this world: every byte, so that any text tokenises, then its words."""
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
    """BLIP's tokenizer with the world's words and every letter; `[DEC]` opens a caption, as in BLIP."""
    words = Counter(re.findall(r"\w+|[^\w\s]", " ".join(corpus()).lower()))
    letters = [chr(i) for i in range(33, 127) if not chr(i).isupper()]
    vocabulary = dict.fromkeys([*SPECIAL, *letters, *("##" + c for c in letters), *sorted(words)])
    ids = {token: i for i, token in enumerate(vocabulary)}
    tokenizer = BertTokenizer(vocab=ids, model_max_length=64)
    tokenizer.add_special_tokens({"bos_token": "[DEC]"})
    return tokenizer
