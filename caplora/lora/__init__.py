"""LoRA: the adapter of a variant, several of them as a pack on one copy of the base model, and their files.

`adapter` holds the weights of one variant. `layers` puts adapters on linear layers of the base, and `pack` lays many
of them on at once. `adapter_files` writes files; the forms of diffusers and kohya, alpha among them, are made in
`formats`. `reading` reads any form, other people's too: `opening` opens what is no pickle, `layer_names` (for SDXL
`sdxl_names`) knows what each form calls a layer, `peft_config` what peft states beside the weights, and `other_kinds`
what is no LoRA. `merging` merges, extracts and resizes adapters, and `blending` makes one of several.
"""

from caplora.lora.adapter import NOTHING, Adapter, fresh_adapter, rescaled
from caplora.lora.adapter_files import weights_file, write_weights
from caplora.lora.blending import blend
from caplora.lora.formats import DIFFUSERS, kohya_metadata, tag_frequency
from caplora.lora.layers import all_linear, refuse_rank, target_layers
from caplora.lora.merging import Merged, extract, left_out, merge, resize
from caplora.lora.opening import PEFT, adapter_file
from caplora.lora.pack import Pack
from caplora.lora.reading import read_adapter

__all__ = [
    "DIFFUSERS", "NOTHING", "PEFT", "Adapter", "Merged", "Pack", "adapter_file", "all_linear", "blend", "extract",
    "fresh_adapter", "kohya_metadata", "left_out", "merge", "read_adapter", "refuse_rank", "rescaled", "resize",
    "tag_frequency", "target_layers", "weights_file", "write_weights",
]  # fmt: skip
