"""The part `training` of a study file: how every variant is trained."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from caplora.study.settings import Part, Positive, Text
from caplora.study.variants import Targets, Variant, candidates


class Prior(Part):
    """Class images that keep the model's idea of the class (Ruiz et al. 2023, section 3.2); the base draws them."""

    prompt: Text
    """Of the class: a photo of a person."""
    images: Positive = 100
    """Class images."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Of their loss."""


class Training(Part):
    """How every variant of the study is trained."""

    steps: Positive = 1000
    """Updates of the weights."""
    batch_size: Positive = 1
    """Images per micro-batch, over all processes."""
    gradient_accumulation_steps: Positive = 1
    """Micro-batches per step."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    """Of AdamW, after warm-up."""
    lr_scheduler: Literal[
        "constant",
        "constant_with_warmup",
        "cosine",
        "cosine_with_restarts",
        "linear",
        "polynomial",
        "piecewise_constant",
    ] = "constant"
    """How the learning rate goes on after warm-up."""
    lr_warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps in which the learning rate rises from 0; constant and piecewise_constant have none."""
    lr_num_cycles: Positive = 1
    """Cycles of cosine_with_restarts."""
    lr_power: Annotated[float, Field(gt=0)] = 1.0
    """Exponent of polynomial."""
    lr_step_rules: str | None = None
    """Of piecewise_constant: `1:300,0.1` is the rate to step 300, then a tenth."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    """Norm to which a variant's gradient is clipped."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    """Of AdamW."""
    targets: Targets = "qv"
    """Layers with LoRA: qv, qv_cross, qkvo, qkvo_cross, or a regular expression over the UNet's."""
    train_text_encoder: bool = False
    """LoRA on the attention of the text encoder too."""
    prediction_type: Literal["epsilon", "v_prediction"] | None = None
    """What the UNet predicts; None: as the base model says."""
    snr_gamma: Annotated[float, Field(gt=0)] | None = None
    """Weights of min-SNR-γ (Hang et al. 2023); 5 is usual; None: all alike."""
    noise_offset: Annotated[float, Field(ge=0)] = 0.0
    """Strength of noise that is one value per channel."""
    caption_dropout: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Chance, 0 to 1, that a step sees the empty caption."""
    random_flip: bool = False
    """Mirror every other image; a face that is not symmetric loses its sides."""
    prior: Prior | None = None
    """Class images to train on beside one's own; None: none."""
    gradient_checkpointing: bool | None = None
    """Less memory, nearly half slower; None: where a variant does not fit without."""
    images_at_once: Positive | None = None
    """Images of a micro-batch that a variant passes at once, to the same result; None: all, or as many as fit."""
    compile: bool = False
    """Compile the UNet: minutes at the start, faster steps on cards from Ampere on."""
    mixed_precision: Literal["auto", "no", "fp16", "bf16"] = "auto"
    """Of the base model; LoRA is fp32. auto: bf16 or fp16, whichever the card does well; no on a CPU."""
    keep: tuple[Positive, ...] | None = None
    """Steps whose adapters are kept beside the last; notebook 03 chooses among them. None: the last alone."""
    keep_every: Positive | None = None
    """The same, every so many steps."""
    finalist_seeds: Annotated[int, Field(ge=0)] = 3
    """Other seeds from which notebook 03 trains the best two recipes again, to judge them by these; 0: none."""
    finalist_minutes: Annotated[float, Field(ge=0)] = 60
    """How long these trainings and their pictures may be forecast to take; else there are none."""
    checkpointing_steps: Positive = 100
    """Steps between checkpoints."""
    validation_steps: Annotated[int, Field(ge=0)] = 100
    """Steps between losses on held-out images; 0: never."""
    preview_steps: Annotated[int, Field(ge=0)] = 0
    """Steps between previews of the development prompts; 0: never."""
    seed: int = 0
    """Of the order of images, the noise, the timesteps and the first LoRA weights."""

    @model_validator(mode="after")
    def schedule_has_its_rules(self) -> "Training":
        """Raise ValueError where `lr_step_rules` and the scheduler that needs them do not stand together."""
        if (self.lr_scheduler == "piecewise_constant") != (self.lr_step_rules is not None):
            raise ValueError(
                f"lr_step_rules go with lr_scheduler piecewise_constant, got {self.lr_step_rules!r} with"
                f" {self.lr_scheduler}"
            )
        return self

    def of(self, variant: "Variant", images: int | None = None) -> "Training":
        """How `variant` is trained: what it says itself, else what the study says.

        `images` is how many it is trained on; where that is known, its epochs are steps.
        """
        own = {key: getattr(variant, key) for key in ("learning_rate", "seed", "targets")}
        if variant.epochs and images:
            own["steps"] = max(1, round(variant.epochs * images / self.images_per_step))
        return self.model_copy(update={key: value for key, value in own.items() if value is not None})

    @property
    def kept_steps(self) -> tuple[int, ...]:
        """The steps of `keep` and `keep_every` before the last, ascending."""
        every = range(self.keep_every, self.steps, self.keep_every) if self.keep_every else ()
        return tuple(sorted({step for step in (*(self.keep or ()), *every) if step < self.steps}))

    @property
    def unreached(self) -> str:
        """What `keep` asks for beyond the last step and what to do about it; empty where it asks for nothing there."""
        beyond = [f"{step:,}" for step in self.keep or () if step > self.steps]
        if not beyond:
            return ""
        return (
            f"training.keep asks for step {', '.join(beyond)}, and training ends at step {self.steps:,}"
            " (training.steps): lower the one or raise the other"
        )

    def with_steps(self, variants: "Sequence[Variant]") -> "tuple[Variant, ...]":
        """The variants, each after those of its steps that `keep` names; those that are no `candidates` have none."""
        own = candidates(variants)
        steps = {v: self.kept_steps if v in own and v.epochs is None else () for v in variants}
        return tuple(w for v in variants for w in (*(v.model_copy(update={"step": s}) for s in steps[v]), v))

    def retrained(self, variants: "Sequence[Variant]") -> "tuple[Variant, ...]":
        """The variants from each of `finalist_seeds` other seeds, those after the study's own."""
        seeds = range(self.seed + 1, self.seed + 1 + self.finalist_seeds)
        again = {"step": None, "retrained": True}
        return tuple(v.model_copy(update=again | {"seed": seed}) for v in variants for seed in seeds)

    @property
    def images_per_step(self) -> int:
        """Images, those of a prior aside, that one update of the weights sees."""
        return self.batch_size * self.gradient_accumulation_steps
