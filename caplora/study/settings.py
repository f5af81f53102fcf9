"""The parts of a study file, typed and frozen: base model, captioning, scoring and claims, with their defaults.

The larger parts have files of their own: `image_settings`, `training_settings` and `sampling_settings`. Every default
of caplora is written in one of the four, once.
"""

from difflib import get_close_matches
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

Positive = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]


class Part(BaseModel):
    """A part of a study: frozen, and an unknown key is an error."""

    # the string below a field says what it is: `--help` shows it
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Model(Part):
    """A model by folder or by hub id; a hub id needs a pinned `revision`."""

    path: Text
    """A folder, or `owner/name` of the hub."""
    revision: str | None = None
    """The commit of the hub id to use."""


Facet = Literal["hair", "expression", "lighting", "background", "clothes"]


class Captioning(Part):
    """Who writes the machine captions, and what every caption starts with."""

    model: Model = Model(
        path="Salesforce/blip-image-captioning-large", revision="2227ac38c9f16105cb0412e7cab4759978a8fd90"
    )
    """The captioner: BLIP, or another that notebook 01 names."""
    subject: Text = "a photo of a person"
    """What replaces the machine's own opening; say style and trigger here."""
    batch_size: Positive = 8
    """Images captioned at once."""
    num_beams: Positive = 3
    """Captions followed at once in search of the likeliest; 1: no search."""
    max_new_tokens: Positive = 60
    """Tokens of a caption, at most."""
    overrule: tuple[str, ...] = ()
    """Items of notebook 01's checklist that need not be green."""
    prompt: Text = (
        "Describe this picture of one person in a single line of at most 40 words: short phrases with commas between"
        " them for the hair, the expression, the lighting, the background and the clothes. Give no name, and do not"
        " guess who it is, how old the person is or where the person is from."
    )
    """What chat models are asked; Florence takes the name of a task, `<CAPTION>`; BLIP nothing."""
    facets: tuple[Facet, ...] = get_args(Facet)
    """What every caption should say; one that lacks is reported."""


class Clip(Part):
    """An open_clip model: a name it knows with `pretrained`, or `local-dir:` and a folder."""

    name: Text
    """A name that open_clip knows, `local-dir:` and a folder, or `hf-hub:owner/name@commit`."""
    pretrained: str | None = None
    """The weights of that name: a file, or what open_clip calls them, with the commit of the hub behind an @."""
    prefix: str | None = None
    """What goes before each text for this model; None: what its folder says of itself, else `scoring.prefix`."""


EXTRA_METRICS = ("pick_score", "vqa", "quality")


def known_metric(name: str) -> str:
    """The name of a further metric; raises ValueError for one that is not known, with the one that may be meant."""
    if name in EXTRA_METRICS:
        return name
    near = get_close_matches(name, EXTRA_METRICS, 1)
    meant = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(EXTRA_METRICS)}"
    raise ValueError(f"no metric is called {name!r}: {meant}")


class Scoring(Part):
    """Who judges the samples. The first CLIP is primary, the others confirm."""

    clips: Annotated[tuple[Clip, ...], Field(min_length=1)] = (
        Clip(name="ViT-B-32-quickgelu", pretrained="openai"),
        Clip(name="ViT-B-32", pretrained="laion2b_s34b_b79k"),
    )
    """The CLIP models that score, the primary one first."""
    prefix: str = "A photo depicts "
    """What goes before each prompt, where a CLIP does not say its own; CLIPScore has “A photo depicts ”."""
    identity: Model = Model(path="facebook/dinov2-small", revision="ed25f3a31f01632728cabb09d1542f84ab7b0056")
    """The encoder that says how alike two pictures of a person are."""
    judge: Model | None = None
    """An image classifier whose labels are attributes that prompts name."""
    batch_size: Positive = 32
    """Pictures embedded at once."""
    extra: tuple[Annotated[str, AfterValidator(known_metric)], ...] = ()
    """Further metrics, each by a large model of its own: pick_score, vqa, quality. Nothing needs them."""
    pick_score: Model = Model(path="yuvalkirstain/PickScore_v1", revision="a4e4367c6dfa7288a00c550414478f865b875800")
    """The CLIP-H of pick_score, 3.9 GB."""
    vqa: Model = Model(path="HuggingFaceTB/SmolVLM-Instruct", revision="96c99888fb9bdd0910b1e5fbbfeaf39843a0255e")
    """The vision-language model that vqa asks, 4.5 GB; any chat model that `captioning.model` takes."""
    quality: Model = Model(path="chaofengc/IQA-PyTorch-Weights", revision="ebbdd2dfb8fe6d653fb4652719cb6136fb1fe846")
    """Where musiq_koniq_ckpt-e95806b9.pth of quality is, 109 MB: MUSIQ as pyiqa has it."""

    @field_validator("extra")
    @classmethod
    def no_metric_stands_twice(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        """Raise ValueError where a metric stands twice."""
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name!r} stands twice")
        return names


class Publishing(Part):
    """What an adapter's model card says that nobody but its author can say."""

    licence: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9.+-]*)?$")] = ""
    """Of the adapter, as the hub names licences: creativeml-openrail-m, apache-2.0. Nothing is sent without."""
    about: str = ""
    """What people should know of it, in your own words: the card opens with it."""


class Claims(Part):
    """What is said in advance of the differences that a study looks for."""

    margin: dict[Text, Annotated[float, Field(gt=0)]] = {}
    """Metric → the difference too small to matter, in its own unit (`{clip_score: 0.02}`).

    A variant whose 90 % interval lies within ± that is equivalent to the baseline. A metric without one is never said
    to be.
    """
    interest: dict[Text, Annotated[float, Field(gt=0)]] = {}
    """Metric → the smallest difference worth finding, in its own unit (`{clip_score: 0.05}`); else its margin.

    Notebook 03 says how many test prompts and seeds find it 4 times in 5, and the report whether the study had them. A
    margin above it would call a difference of interest too small to matter.
    """

    @model_validator(mode="after")
    def nothing_of_interest_is_too_small_to_matter(self) -> "Claims":
        """Raise ValueError where a margin is larger than the smallest difference of interest."""
        for metric, least in self.interest.items():
            if self.margin.get(metric, 0) > least:
                raise ValueError(
                    f"claims.margin of {metric} is {self.margin[metric]:g}, above claims.interest, {least:g}: what is"
                    " of interest would be too small to matter; lower the margin"
                )
        return self

    def smallest(self, metric: str) -> float | None:
        """The smallest difference worth finding: `interest`, else the margin; None where neither is said."""
        return self.interest.get(metric, self.margin.get(metric))
