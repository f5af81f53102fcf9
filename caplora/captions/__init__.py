"""Captions of machines and persons → the ledger of a study: one caption per image, and what a person decided about it.

`ledger` reads and writes `metadata.csv`. `open_ledger` changes it and takes changes back, with the past that `history`
reads; `copies` says which of two copies is the later. `enrolment` brings images and machine captions into it, `splits`
says which of them are held out; `cleaning` makes a machine's text the caption of a study.
`exchange` reads and writes the caption files of other tools, and `matching` finds their images in the ledger. `doubts`
says which captions a person should look at, `tokens` how much of a caption the model reads; `words` counts its words.
"""

from caplora.captions.copies import later_ledger
from caplora.captions.doubts import SAYS, Finding, doubt, findings_table, lint
from caplora.captions.enrolment import captioned, update_ledger
from caplora.captions.exchange import read_captions, write_captions
from caplora.captions.history import Change, read_history, stacks
from caplora.captions.ledger import (
    LEDGER,
    SPLITS,
    STATUSES,
    LedgerError,
    Row,
    Said,
    held_out,
    leads_out,
    read_ledger,
    trained,
)
from caplora.captions.matching import compared, imported, own_words
from caplora.captions.open_ledger import Ledger, restore_ledger
from caplora.captions.tokens import (
    Tokenizer,
    load_tokenizer,
    lost_words,
    token_count,
    token_limit,
)
from caplora.captions.words import word_counts, words_of

__all__ = [
    "LEDGER", "SAYS", "SPLITS", "STATUSES", "Change", "Finding", "Ledger", "LedgerError", "Row", "Said", "Tokenizer",
    "captioned", "compared", "doubt", "findings_table", "held_out", "imported", "later_ledger", "leads_out", "lint",
    "load_tokenizer", "lost_words", "own_words", "read_captions", "read_history", "read_ledger", "restore_ledger",
    "stacks", "token_count", "token_limit", "trained", "update_ledger", "word_counts", "words_of", "write_captions",
]  # fmt: skip
