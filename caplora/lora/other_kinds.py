"""What a tensor that is no part of a LoRA belongs to, by its key: adapters of other kinds are refused by name."""

import re

KINDS = {  # what is in a key → the kind of file
    r"\.hada_": "a LoHa (LyCORIS)",
    r"\.lokr_": "a LoKr (LyCORIS)",
    r"\.(dora_scale|dora_magnitude|lora_magnitude_vector)\b": "a DoRA",
    r"\.(oft_|boft_|rescale$)": "an OFT or BOFT (LyCORIS, peft)",
    r"\.([ab][12]|bm)\.weight$|\.glora_": "a GLoRA (LyCORIS)",
    r"\.on_input$|\.ia3_": "an (IA)³",
    r"\.(diff|diff_b|w_norm|b_norm|set_weight)$": "a file of whole differences (LyCORIS' full, norms or biases)",
    r"\.(lora_B|lora_up|lora\.up)(\.\w+)?\.bias$|\.bias_(indices|values|size)$|^base_model\..*\.bias$": (
        "a LoRA with biases"
    ),
    r"\.lora_E\b|\.ranknum$": "an AdaLoRA (peft)",
    r"\.lora_embedding_": "a LoRA of embeddings (peft)",
    r"\.(vera_|fourierft_|hra_|c3a_|miss_|randlora_|gralora_|hira_|waveft_)": "an adapter of another kind of peft's",
    r"^(emb_params|string_to_param|clip_[lg])$": "a textual inversion",
    r"^(model\.diffusion_model|cond_stage_model|first_stage_model|conditioner)\.": "a whole model and no adapter",
    r"^(unet\.|lora_unet_|base_model\.model\.)?(transformer|diffusion_model|double_blocks|single_blocks|joint_blocks)[._]"
    r"|^lora_transformer_|^text_encoder_3\.|^lora_te3_": "an adapter of another model (Flux, Stable Diffusion 3 …)",
    r"^base_model\.(?!.*\.lora_[AB]\b)": "a file of peft that holds more than LoRA (modules_to_save?)",
}


def refusal(key: str) -> str:
    """Why a tensor is not read, as the end of a sentence that began with the file's path."""
    kind = next((kind for pattern, kind in KINDS.items() if re.search(pattern, key)), "")
    if not kind:
        return f"{key!r} is no part of a LoRA for Stable Diffusion 1, 2 or XL"
    return f"this is {kind}, and caplora reads LoRA only, for Stable Diffusion 1, 2 and XL (by its {key!r})"
