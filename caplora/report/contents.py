"""The contents of the report: its sections, and the figures of each with their captions."""

import base64
from collections.abc import Mapping
from pathlib import Path

from caplora.study import disk_errors_name

FIGURES = {  # name → its section, what it shows for those who cannot see it, what is said under it
    "teaser": (
        "top",
        "training portraits, and samples of the baseline above samples of the adapter",
        "The first test prompts, not a choice. Baseline and adapter start from the same noise.",
    ),
    "pipeline": (
        "question",
        "from images to captions, adapters, samples, scores and figures",
        "The way of the data: five notebooks, and the files that each one leaves.",
    ),
    "captions": ("data", "lengths of the captions and their commonest words", "The captions that were trained on."),
    "corrections": ("data", "what persons changed in the captions of the machine", "What reviewing changed."),
    "lora": (
        "method",
        "LoRA beside the q and v projections of a transformer block",
        "What is trained and what is not.",
    ),
    "loss_curves": ("method", "training loss of every variant", "The training itself."),
    "forest": (
        "result",
        "difference of every variant from the baseline with its interval",
        "Every variant’s difference from the baseline, with its 95 % interval, clustered by prompt.",
    ),
    "heatmap": ("result", "differences by rank and alpha as a grid of colours", "Differences by rank and alpha."),
    "slopes": (
        "prompts",
        "a line for each prompt from the baseline to the adapter",
        "Every prompt as a line from baseline to adapter.",
    ),
    "prompts": (
        "prompts",
        "the change of every prompt from baseline to adapter",
        "What changes, prompt by prompt.",
    ),
    "extremes": (
        "prompts",
        "the samples that gained most and those that lost most",
        "The samples that gained most and those that lost most: chosen by the numbers, both ends.",
    ),
    "samples": ("prompts", "samples of every arm for the same prompts", "Every arm, the same prompts and noise."),
    "metrics": ("panel", "differences from the baseline in every metric", "Every metric, every variant."),
    "tradeoff": (
        "panel",
        "likeness, text alignment and drift of every variant",
        "What likeness costs: fidelity, alignment with the prompt, and drift.",
    ),
    "scales": ("scales", "metrics by the scale at which an adapter is used", "The same adapter at other scales."),
    "closest": (
        "memory",
        "the samples most like a training image, each beside it",
        "The samples most like a training image, and that image.",
    ),
    "copies": (
        "memory",
        "images beside what the adapter draws from their captions, training images above held-out ones",
        "Asked with captions: the image, and what is drawn from its caption. Held-out images were never trained on.",
    ),
    "attributes": (
        "judge",
        "differences from the baseline in single attributes",
        "What samples show more or less often than the baseline’s.",
    ),
    "people": (
        "people",
        "how often people preferred each arm, and which metrics prefer the same pictures",
        "What people prefer, blind, and which metrics say the same.",
    ),
    "caption_ablation": (
        "ablation",
        "CLIPScore and identity by the captions that an adapter was trained on",
        "The same training on other captions. The differences at the right are what to judge by.",
    ),
    "steps": (
        "steps",
        "alignment, likeness, memorisation and drift by the step at which the adapter was kept",
        "The same training at several steps, on the development prompts.",
    ),
    "images": (
        "images",
        "alignment, likeness, memorisation and drift by the number of images that the adapter was trained on",
        "The same training on fewer images, smaller sets within larger ones.",
    ),
    "caption_samples": (
        "ablation",
        "samples of the baseline and of the adapter trained on each kind of captions",
        "The first test prompts, from the same noise, by the captions that the adapter was trained on.",
    ),
}


def placed(figures: Mapping[str, Path]) -> dict[str, list[tuple[str, str, str]]]:
    """Section → its figures, in the order of FIGURES: the PNG in base64, what it shows, what is said under it."""
    order = [*(name for name in FIGURES if name in figures), *(name for name in figures if name not in FIGURES)]
    sections: dict[str, list[tuple[str, str, str]]] = {}
    for name in order:
        words = name.replace("_", " ")
        section, alt, caption = FIGURES.get(name, ("further", words, words.capitalize() + "."))
        with disk_errors_name(figures[name], "read"):
            picture = base64.b64encode(figures[name].read_bytes()).decode()
        sections.setdefault(section, []).append((picture, alt, caption))
    return sections
