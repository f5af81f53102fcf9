"""How long a study takes: its arithmetic over the rate that may be expected of a card, or a step that was measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from caplora.planning.cards import Card
from caplora.planning.configs import BaseConfigs
from caplora.planning.counting import clip_config, count_forward, count_training, count_vae, transformer_flop
from caplora.planning.further import Further
from caplora.planning.needs import IMAGES, Needs, images_of, steps_of
from caplora.planning.pictures import pictures_of
from caplora.study import Clip, Study, Variant

READING = 0.05  # seconds to decode a picture and to make it ready for the scoring models, on a processor; assumed
IDENTITY = transformer_flop(384, 1536, 12, 257)  # DINOv2 small at 224 pixels


@dataclass(frozen=True)
class Minutes:
    """Minutes of notebooks 02, 03 and 04; loading and downloading are not among them."""

    training: float
    sampling: float
    scoring: float

    @property
    def all(self) -> float:
        """Of the three."""
        return self.training + self.sampling + self.scoring

    def said(self) -> str:
        """In words."""
        return (
            f"about {self.training:.0f} minutes for 02, {self.sampling:.0f} for 03 and {self.scoring:.0f} for 04,"
            f" {self.all:.0f} in all"
        )


def minutes_of(
    study: Study,
    variants: list[Variant],
    configs: BaseConfigs,
    card: Card,
    needs: Needs,
    images: int = IMAGES,
    further: Sequence[Further] = (),
) -> Minutes:
    """What the study takes on a card before anything is measured."""
    drawn = sum(pictures_of(study, variants).values())
    training = training_seconds(study, variants, configs, card, needs.checkpointing, images)
    training += encoding_seconds(study, configs, card, images)
    each, scored = picture_seconds(study, configs, card), scoring_seconds(study, card)
    scoring = (drawn + images) * scored + sum(metric.seconds for metric in further)
    return Minutes(training / 60, drawn * each / 60, scoring / 60)


def training_seconds(
    study: Study, variants: Sequence[Variant], configs: BaseConfigs, card: Card, light: bool, images: int
) -> float:
    """Every step of every variant, of epochs as many as its images take."""
    settings, pixels = study.training, study.images.resolution
    each = count_training(configs, pixels, settings.targets, max(v.rank for v in variants), light).flop
    steps = sum(steps_of(settings, variant, images) for variant in variants)
    rows = steps * settings.gradient_accumulation_steps * images_of(settings)
    return rows * each / card.half_rate


def encoding_seconds(study: Study, configs: BaseConfigs, card: Card, images: int) -> float:
    """Each image once through the VAE, and its mirror image where there are flips."""
    each = count_vae(configs.vae, study.images.resolution).passes["encode"].flop
    return images * (2 if study.training.random_flip else 1) * each / card.single_rate


def picture_seconds(study: Study, configs: BaseConfigs, card: Card) -> float:
    """Of one sample: every denoising step, with guidance twice, and the VAE."""
    settings, pixels = study.sampling, study.images.resolution
    unet = count_forward(configs, pixels)
    rows = settings.num_inference_steps * (1 if settings.guidance_scale == 1 else 2)
    decode = count_vae(configs.vae, pixels).passes["decode"].flop
    return rows * unet.passes["forward"].flop / card.half_rate + decode / card.single_rate


def scoring_seconds(study: Study, card: Card) -> float:
    """Of one picture in notebook 04: read once, and through every model in fp32."""
    flop = sum(clip_flop(clip) for clip in study.scoring.clips) + IDENTITY
    return READING + flop / card.plain_rate


def clip_flop(clip: Clip) -> int:
    """The arithmetic of a CLIP's image encoder; one that is no transformer of open_clip's list counts as small."""
    c = clip_config(clip.name).get("vision_cfg") or {}
    if not c.get("patch_size"):
        return 0
    tokens = (c.get("image_size", 224) // c["patch_size"]) ** 2 + 1
    return transformer_flop(c["width"], int(c.get("mlp_ratio", 4) * c["width"]), c["layers"], tokens)
