"""What a study says, part by part, typed and frozen: every default of caplora is written here, once."""

import hashlib
import math
import re
import unicodedata
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]


class Part(BaseModel):
    """A part of a study: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Model(Part):
    """A model by folder or by hub id; a hub id needs a pinned `revision`."""

    path: Text
    revision: str | None = None


class Provenance(Part):
    """Where a study's pictures are from and by what right they are used: what the ledger keeps for each of them."""

    origin: str = ""  # who took them, or where they were found
    licence: str = ""
    consent: str = ""  # of the person they show: when and for what


class Limit(Part):
    """From where on a picture is flagged, and from where on refused; None: never."""

    flag: float | None
    refuse: float | None = None


class Curation(Part):
    """What of a picture is worth a second look, flag by flag; what is measured says `measuring.py`."""

    small: Limit = Limit(flag=1.0)  # above: how many times the crop is enlarged to images.resolution
    blurry: Limit = Limit(flag=40.0)  # below: sharpness; a sharp photograph blurred by σ = 1.3 pixels has 40
    dark: Limit = Limit(flag=0.15)  # below: brightness
    bright: Limit = Limit(flag=0.85)  # above: brightness
    clipped: Limit = Limit(flag=0.3)  # above: share of pixels that are black or white
    flat: Limit = Limit(flag=0.3)  # below: contrast
    cast: Limit = Limit(flag=25.0)  # above: distance of the mean colour from grey in CIELAB
    side_lit: Limit = Limit(flag=0.25)  # beyond ±: light from the right, or from the left
    duplicate: Limit = Limit(flag=6.0)  # up to: bits of 64 in which two perceptual hashes differ
    no_face: Limit = Limit(flag=1.0)  # below: faces found
    many_faces: Limit = Limit(flag=1.0)  # above: faces found
    small_face: Limit = Limit(flag=0.03)  # below: share of the picture; less than 90 pixels of 512
    rolled: Limit = Limit(flag=20.0)  # beyond ±: degrees
    turned: Limit = Limit(flag=50.0)  # beyond ±: degrees, as estimated


class Faces(Part):
    """The detector of faces: a file for OpenCV's FaceDetectorYN, used only if it has this hash."""

    model: Text = "~/.cache/caplora/face_detection_yunet_2023mar.onnx"
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = (
        "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
    )
    fetch: bool = False  # get the default file (232 kB) when it is not there
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.7  # of a face, at least


class Images(Part):
    """The images a person has, and how they are made ready."""

    folder: Text
    resolution: Annotated[int, Field(ge=64, multiple_of=8)] = 512  # pixels, the side of the square
    background: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] = "#ffffff"  # shows through transparency
    smallest: Positive = 256  # pixels; an image with a shorter side is refused
    largest: Positive = 100_000_000  # pixels in all; a larger image is refused unopened
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.17  # share kept from training, for identity and validation
    provenance: Provenance = Provenance()
    curation: Curation = Curation()
    faces: Faces = Faces()
    accept: tuple[Text, ...] = ()  # files, by their path below the folder, that no limit flags or refuses
    refuse: tuple[Text, ...] = ()  # files that are not used

    @model_validator(mode="after")
    def no_file_is_accepted_and_refused(self) -> "Images":
        accepted = {unicodedata.normalize("NFC", name) for name in self.accept}
        both = sorted(accepted & {unicodedata.normalize("NFC", name) for name in self.refuse})
        if both:
            raise ValueError(f"{both[0]!r} stands in accept and in refuse: take it out of one")
        return self


Facet = Literal["hair", "expression", "lighting", "background", "clothes"]


class Captioning(Part):
    """Who writes the machine captions, and what every caption starts with."""

    model: Model = Model(
        path="Salesforce/blip-image-captioning-large", revision="2227ac38c9f16105cb0412e7cab4759978a8fd90"
    )
    subject: Text = "a photo of a person"  # replaces the machine's own opening; say style and trigger here
    batch_size: Positive = 8
    num_beams: Positive = 3
    max_new_tokens: Positive = 60
    overrule: tuple[str, ...] = ()  # items of notebook 01's checklist that need not be green
    prompt: Text = (  # what chat models are asked; Florence takes the name of a task, `<CAPTION>`; BLIP nothing
        "Describe this picture of one person in a single line of at most 40 words: short phrases with commas between"
        " them for the hair, the expression, the lighting, the background and the clothes. Give no name, and do not"
        " guess who it is, how old the person is or where the person is from."
    )
    facets: tuple[Facet, ...] = get_args(Facet)  # what every caption should say; one that lacks is reported


TARGETS = {  # the projections of the UNet's attention that LoRA changes; SD 1.5's count per rank in brackets
    "qv": r"attn[12]\.to_[qv]$",  # query and value, self- and cross-attention (99,648; Hu et al. 2021, section 4.2)
    "qv_cross": r"attn2\.to_[qv]$",  # cross-attention only (49,728)
    "qkvo": r"attn[12]\.to_(q|k|v|out\.0)$",  # every projection (199,296; the default of diffusers' script)
    "qkvo_cross": r"attn2\.to_(q|k|v|out\.0)$",
}


def _expression(targets: str) -> str:
    try:
        re.compile(targets)
    except re.error as error:
        raise ValueError(f"{targets!r} is none of {', '.join(TARGETS)} and no regular expression: {error}") from error
    return targets


Targets = Annotated[str, Field(min_length=1), AfterValidator(_expression)]


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


class Sampling(Part):
    """What is drawn to compare the arms: every prompt with every seed, from the same noise."""

    development: Annotated[tuple[Text, ...], Field(min_length=1)]  # prompts that choose the best variant
    test: Annotated[tuple[Text, ...], Field(min_length=2)]  # prompts that judge it; one alone has no spread
    edits: tuple[Text, ...] = ()  # prompts that ask of the subject what its images never show: told apart from test
    unrelated: tuple[Text, ...] = ()  # prompts of what was not trained: how far an adapter drifts there
    # of an adapter, beside 0 and 1; drawn for development and unrelated prompts with the first seed
    scales: tuple[Annotated[float, Field(gt=0, le=4)], ...] = (0.4, 0.7, 1.2)
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0, 1, 2, 3)
    num_inference_steps: Positive = 30
    guidance_scale: Annotated[float, Field(ge=1)] = 7.5
    batch_size: Positive = 4

    @model_validator(mode="after")
    def nothing_stands_twice(self) -> "Sampling":
        suites = self.suites
        prompts = [prompt for suite in suites.values() for prompt in suite]
        twice = sorted({p for p in prompts if prompts.count(p) > 1})
        if twice:
            raise ValueError(f"each prompt may stand once, in one of {', '.join(suites)}: {twice[0]!r} stands twice")
        for name in ("edits", "unrelated"):
            if len(suites[name]) == 1:
                raise ValueError(f"{name} needs no prompts or at least 2: {suites[name][0]!r} alone has no spread")
        if 1 in self.scales or len(set(self.scales)) < len(self.scales):
            raise ValueError(f"each scale may stand once, and 1 is drawn anyway, got {list(self.scales)}")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"each seed may stand once, got {list(self.seeds)}")
        return self

    @property
    def suites(self) -> dict[str, tuple[str, ...]]:
        """The prompts by what they are for, the split of a sample: development, test, edits, unrelated."""
        return {name: getattr(self, name) for name in ("development", "test", "edits", "unrelated")}


class Clip(Part):
    """An open_clip model: a name it knows with `pretrained`, or `local-dir:` and a folder."""

    name: Text
    pretrained: str | None = None


class Scoring(Part):
    """Who judges the samples. The first CLIP is primary, the others confirm."""

    clips: Annotated[tuple[Clip, ...], Field(min_length=1)] = (
        Clip(name="ViT-B-32-quickgelu", pretrained="openai"),
        Clip(name="ViT-B-32", pretrained="laion2b_s34b_b79k"),
    )
    prefix: str = "A photo depicts "  # before each prompt, as CLIPScore has it
    identity: Model = Model(path="facebook/dinov2-small", revision="ed25f3a31f01632728cabb09d1542f84ab7b0056")
    judge: Model | None = None  # an image classifier whose labels are attributes that prompts name
    batch_size: Positive = 32


class Claims(Part):
    """What is said in advance of the differences that a study looks for."""

    # metric → the difference too small to matter, in its own unit (`{clip_score: 0.02}`): a variant whose 90 % interval
    # lies within ± that is equivalent to the baseline. A metric without one is never said to be.
    margin: dict[Text, Annotated[float, Field(gt=0)]] = {}


class Variant(Part):
    """What a study varies: rank and alpha, and what else it says differently from `Training`.

    `captions` is the kind of captions that it is trained on in a caption ablation: the empty one for every image, the
    study's subject alone, the machine's raw words, or the ledger's dealt out to other images. None: the ledger's.
    """

    rank: Positive
    alpha: Annotated[float, Field(gt=0)]
    use_rslora: bool = False  # scale alpha / √rank instead of alpha / rank (Kalajdzievski 2023)
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    seed: int | None = None
    targets: Targets | None = None
    captions: Literal["none", "subject", "machine", "shuffled"] | None = None

    @property
    def name(self) -> str:
        """`r4_a8`, `r4_a8_rs_lr0.001_s1_qkvo_shuffled`: the name of its folder, its files and its curve."""
        name = f"r{self.rank}_a{self.alpha:g}" + "_rs" * self.use_rslora
        name += f"_lr{self.learning_rate:g}" if self.learning_rate else ""
        name += f"_s{self.seed}" if self.seed is not None else ""
        if self.targets is not None:
            digest = hashlib.sha256(self.targets.encode()).hexdigest()[:6]
            name += f"_{self.targets if self.targets in TARGETS else 't' + digest}"
        return f"{name}_{self.captions}" if self.captions else name

    @property
    def scale(self) -> float:
        """What multiplies BA: alpha / rank (Hu et al. 2021), or alpha / √rank."""
        return self.alpha / (math.sqrt(self.rank) if self.use_rslora else self.rank)
