"""What a study's training and sampling take of a card's memory, and what is chosen so that they fit."""

from dataclasses import dataclass

from caplora.models import even_packs
from caplora.planning.cards import Card
from caplora.planning.configs import BaseConfigs
from caplora.planning.counting import count_forward, count_training, count_vae, lora_weights, text_parameters
from caplora.study import Study, Training, Variant, counted

IMAGES = 100  # of a study that has no dataset yet
CONTEXT = 5 * 10**8  # bytes of CUDA itself and its libraries, outside of what torch allocates
SHARE = 0.92  # of a card's memory that may be full: the rest is lost between the pieces
STATES = 4  # of an adapter in fp32 beside its gradient: weights, the weights before, and AdamW's two moments


@dataclass(frozen=True)
class Needs:
    """Bytes of a training and of a batch of samples on a card, and how the variants are packed."""

    weights: int  # of the base model, frozen: UNet and text encoders in 16 bit, the VAE in fp32
    adapters: int  # of the variants of a pack, with the states of their optimizers
    activations: int  # of a step, gradients among them
    drawing: int  # of a batch of samples, weights aside
    batch: int  # samples at once: sampling.batch_size, halved until it fits
    packs: int
    variants: int  # of the largest pack
    checkpointing: bool
    at_once: int  # images of a variant that are passed at once, those of the prior among them
    groups: int = 1  # of variants that take the same number of steps: no others share a pack

    @property
    def training(self) -> int:
        """Everything that training takes."""
        return CONTEXT + self.weights + self.adapters + self.activations

    @property
    def sampling(self) -> int:
        """Everything that sampling takes."""
        return CONTEXT + self.weights + self.drawing

    def fit(self, card: Card) -> bool:
        """Whether a card holds both."""
        return max(self.training, self.sampling) <= SHARE * card.bytes


def needs_of(study: Study, variants: list[Variant], configs: BaseConfigs, card: Card, images: int = IMAGES) -> Needs:
    """What the study needs on a card, with the largest packs that fit; the smallest pack if none does.

    Gradient checkpointing, unless the study says, is on only if a variant alone does not fit without: another pass
    costs no arithmetic, and checkpointing computes every forward pass twice. Where that is not enough, the images of a
    variant are passed in parts.
    """
    asked, rows = study.training.gradient_checkpointing, rows_of(study.training)
    for light in (False, True) if asked is None else (asked,):
        needs = needs_with(study, variants, configs, card, light, images)
        if needs.fit(card):
            return needs
    if rows == 1 or needs.sampling > SHARE * card.bytes:
        return needs
    turned = {"images_at_once": -(-rows // 2), "gradient_checkpointing": light}
    fewer = study.model_copy(update={"training": study.training.model_copy(update=turned)})
    return needs_of(fewer, variants, configs, card, images)


def needs_with(
    study: Study, variants: list[Variant], configs: BaseConfigs, card: Card, light: bool, images: int
) -> Needs:
    """What the study needs with or without gradient checkpointing, in the fewest packs that fit."""
    sizes = range(len(variants), 0, -1)
    found = [needs_of_pack(study, variants, configs, card, most, light, images) for most in sizes]
    return next((needs for needs in found if needs.fit(card)), found[-1])


def needs_of_pack(
    study: Study,
    variants: list[Variant],
    configs: BaseConfigs,
    card: Card,
    most: int,
    light: bool,
    images: int = IMAGES,
) -> Needs:
    """What the study needs in packs of at most `most` variants."""
    rank, training, pixels = max(v.rank for v in variants), study.training, study.images.resolution
    groups = same_steps(training, variants, images)
    packs = [pack for group in groups for pack in even_packs(group, most)]
    size = max(len(pack) for pack in packs)
    each = count_training(configs, pixels, training.targets, rank, light).bytes
    weights, batch = weights_of(configs, pixels), study.sampling.batch_size
    room = int(SHARE * card.bytes) - CONTEXT - weights
    while batch > 1 and drawing_bytes(configs, pixels, batch) > room:
        batch = -(-batch // 2)
    return Needs(
        weights=weights,
        adapters=4 * STATES * size * lora_weights(configs, training.targets, rank),
        activations=size * rows_of(training) * each,
        drawing=drawing_bytes(configs, pixels, batch),
        batch=batch,
        packs=len(packs),
        variants=size,
        checkpointing=light,
        at_once=rows_of(training),
        groups=len(groups),
    )


def same_steps(training: Training, variants: list[Variant], images: int) -> list[list[Variant]]:
    """The variants in groups that take the same number of steps, as they are packed when they are trained."""
    groups: dict[int, list[Variant]] = {}
    for variant in variants:
        groups.setdefault(steps_of(training, variant, images), []).append(variant)
    return list(groups.values())


def steps_of(training: Training, variant: Variant, images: int) -> int:
    """The steps that a variant is trained for, where there are so many images."""
    return training.of(variant, min(variant.images or images, images)).steps


def weights_of(configs: BaseConfigs, pixels: int) -> int:
    """Bytes of the base model: UNet and text encoders in 16 bit, the VAE in fp32."""
    texts = sum(text_parameters(config) for config in configs.text_encoders)
    return 2 * (count_forward(configs, pixels).parameters + texts) + 4 * count_vae(configs.vae, pixels).parameters


def drawing_bytes(configs: BaseConfigs, pixels: int, batch: int) -> int:
    """Bytes of drawing some samples at once, with guidance, and of decoding them."""
    unet, vae = count_forward(configs, pixels).passes["forward"], count_vae(configs.vae, pixels).passes["decode"]
    return batch * max(2 * unet.bytes, vae.bytes)


def rows_of(training: Training) -> int:
    """The rows of a variant in a pass: its images, and as many of the prior, or what the study passes at once."""
    rows = images_of(training)
    return min(rows, training.images_at_once or rows)


def images_of(training: Training) -> int:
    """The images of a variant in a micro-batch, those of the prior among them."""
    return training.batch_size * (2 if training.prior else 1)


def chosen(study: Study, needs: Needs, card: Card) -> str:
    """What was chosen for a card, in sentences; what to change where it does not fit."""
    precision = card.precision if study.training.mixed_precision == "auto" else study.training.mixed_precision
    on = "on" if needs.checkpointing else "off"
    packs = "one pack of" if needs.packs == 1 else f"{needs.packs} packs of at most"
    said = f"{packs} {counted(needs.variants, 'variant')}, gradient checkpointing {on}, {precision}"
    said += f" (variants of {needs.groups} numbers of steps share none)" * (needs.groups > 1)
    said += f", {counted(needs.at_once, 'image')} of a variant at once" * (needs.at_once < images_of(study.training))
    said += f", {counted(needs.batch, 'sample')} at once" if needs.batch < study.sampling.batch_size else ""
    gb = (
        f"{needs.training / 1e9:.1f} GB to train and {needs.sampling / 1e9:.1f} GB to draw of {card.bytes / 1e9:.1f} GB"
    )
    if needs.fit(card):
        return f"{card.name}: {said}: {gb}."
    return (
        f"{card.name}: it does not fit, one variant at a time needs {gb}: lower images.resolution, training.batch_size"
        " or sampling.batch_size."
    )
