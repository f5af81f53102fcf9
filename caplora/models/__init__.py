"""The base model of a study: loaded, placed on the device there is, and what fits into its memory.

`base` loads Stable Diffusion frozen and encodes texts with it, `devices` chooses device and precision, `memory` says
how many variants fit at once, and `seeds` makes random numbers that are the same on any device.
"""

from caplora.models.base import encode_texts, encode_tokens, load_base, noise_of, parts_of, text_tokens, weights_hash
from caplora.models.devices import DTYPES, device_of, precision_of
from caplora.models.memory import bytes_needed, even_packs, fits, free_bytes, out_of_memory_names, packs_within
from caplora.models.seeds import generator_of

__all__ = [
    "DTYPES", "bytes_needed", "device_of", "encode_texts", "encode_tokens", "even_packs", "fits", "free_bytes",
    "generator_of", "load_base", "noise_of", "out_of_memory_names", "packs_within", "parts_of", "precision_of",
    "text_tokens", "weights_hash",
]  # fmt: skip
