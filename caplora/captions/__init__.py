"""Room."""

from caplora.captions.cleaning import marked
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
    word_counts,
    words_of,
)
from caplora.captions.doubts import SAYS, Finding, doubt, findings_table, lint
from caplora.captions.matching import compared, imported
from caplora.captions.open_ledger import Ledger, restore_ledger
from caplora.captions.tokens import MOVED, base_path, load_tokenizer, lost_words, token_count, token_limit

__all__ = [
    "LEDGER",
    "MOVED",
    "SAYS",
    "SPLITS",
    "STATUSES",
    "Change",
    "Finding",
    "Ledger",
    "LedgerError",
    "Row",
    "Said",
    "base_path",
    "compared",
    "doubt",
    "findings_table",
    "held_out",
    "imported",
    "leads_out",
    "lint",
    "load_tokenizer",
    "lost_words",
    "marked",
    "read_captions",
    "read_history",
    "read_ledger",
    "restore_ledger",
    "stacks",
    "token_count",
    "token_limit",
    "trained",
    "word_counts",
    "words_of",
    "write_captions",
]
