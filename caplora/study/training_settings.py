"""What a study says, part by part, typed and frozen: every default of caplora is written here, once."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from caplora.study.settings import Part, Positive, Text
from caplora.study.variants import Targets, Variant


class Prior(Part):
    """Class images that keep the model's idea of the class (Ruiz et al. 2023, section 3.2); the base draws them."""

    prompt: Text  # of the class: a photo of a person
    images: Positive = 100
    weight: Annotated[float, Field(gt=0)] = 1.0  # of their loss


class Training(Part):
    """How every variant of the study is trained."""

    steps: Positive = 1000
    batch_size: Positive = 1  # images per micro-batch, over all processes
    gradient_accumulation_steps: Positive = 1
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    lr_scheduler: Literal[
        "constant",
        "constant_with_warmup",
        "cosine",
        "cosine_with_restarts",
        "linear",
        "polynomial",
        "piecewise_constant",
    ] = "constant"
    lr_warmup_steps: Annotated[int, Field(ge=0)] = 0
    lr_num_cycles: Positive = 1  # of cosine_with_restarts
    lr_power: Annotated[float, Field(gt=0)] = 1.0  # of polynomial
    lr_step_rules: str | None = None  # of piecewise_constant: "1:300,0.1" is the rate to step 300, then a tenth
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    targets: Targets = "qv"  # a name of TARGETS, or a regular expression over the UNet's layers
    train_text_encoder: bool = False  # LoRA on the attention of the text encoder too
    prediction_type: Literal["epsilon", "v_prediction"] | None = None  # None: as the base model says
    snr_gamma: Annotated[float, Field(gt=0)] | None = None  # min-SNR-γ weights (Hang et al. 2023); 5 is usual
    noise_offset: Annotated[float, Field(ge=0)] = 0.0  # strength of noise that is one value per channel
    caption_dropout: Annotated[float, Field(ge=0, le=1)] = 0.0  # chance that a step sees the empty caption
    random_flip: bool = False  # mirror every other image; a face that is not symmetric loses its sides
    prior: Prior | None = None
    gradient_checkpointing: bool = False  # less memory, a third slower
    compile: bool = False  # torch.compile the UNet: minutes at the start, faster steps on cards from Ampere on
    mixed_precision: Literal["auto", "no", "fp16", "bf16"] = "auto"
    checkpointing_steps: Positive = 100
    validation_steps: Annotated[int, Field(ge=0)] = 100  # between losses on held-out images; 0: never
    preview_steps: Annotated[int, Field(ge=0)] = 0  # between previews of the development prompts; 0: never
    seed: int = 0

    @model_validator(mode="after")
    def schedule_has_its_rules(self) -> "Training":
        if (self.lr_scheduler == "piecewise_constant") != (self.lr_step_rules is not None):
            raise ValueError(
                f"lr_step_rules go with lr_scheduler piecewise_constant, got {self.lr_step_rules!r} with"
                f" {self.lr_scheduler}"
            )
        return self

    def of(self, variant: "Variant") -> "Training":
        """How `variant` is trained: what it says itself, else what the study says."""
        own = {key: getattr(variant, key) for key in ("learning_rate", "seed", "targets")}
        return self.model_copy(update={key: value for key, value in own.items() if value is not None})
