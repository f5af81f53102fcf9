"""The base model of a study: loaded, placed on the device there is, and what fits into its memory.

`base` loads Stable Diffusion 1, 2 or XL frozen, `family` tells them apart, and `texts` encodes texts with them.
`devices` chooses device and precision, `memory` says how many variants fit at once, `graphs` keeps a card busy, and
`seeds` makes random numbers that are the same on any device.
"""

from caplora.models.base import (
    base_hashes,
    config_of,
    load_base,
    named_base,
    noise_of,
    parts_of,
    read_pipeline,
    weights_hash,
)
from caplora.models.devices import DTYPES, device_of, device_said, precision_of
from caplora.models.family import SD1, SD2, SDXL, Family, Pipeline, family_of
from caplora.models.graphs import Recorded, sent
from caplora.models.memory import bytes_needed, even_packs, fits, free_bytes, out_of_memory_names, packs_within
from caplora.models.seeds import generator_of
from caplora.models.texts import conditions, encode_texts, encode_tokens, text_encoders, text_tokens

__all__ = [
    "DTYPES", "SD1", "SD2", "SDXL", "Family", "Pipeline", "Recorded", "base_hashes", "bytes_needed", "conditions",
    "config_of", "device_of", "device_said", "encode_texts", "encode_tokens", "even_packs", "family_of", "fits",
    "free_bytes", "generator_of", "load_base", "named_base", "noise_of", "out_of_memory_names", "packs_within",
    "parts_of", "precision_of", "read_pipeline", "sent", "text_encoders", "text_tokens", "weights_hash",
]  # fmt: skip
