"""What is known of each further metric: its licence, what it is said to measure, and what it cannot tell.

Left out, each tried with the libraries that caplora pins (November 2026): ImageReward (image-reward 1.5 of 2023 does
not build with today's setuptools), HPSv2 (hpsv2 asks for pytest 7.2.0 exactly) and DreamSim (dreamsim 0.2.1 fetches
its weights without a revision or a hash). DINOv2, which every study has as `identity`, is the likeness that is nearest.
"""

from typing import NamedTuple


class About(NamedTuple):
    """A metric, as the report tells of it."""

    source: str  # the paper, for a reader to look up
    code: str  # licence of what computes it
    weights: str  # the default weights and their licence
    measures: str  # what it is said to measure, to end a sentence
    cannot: str  # what it does not tell, a sentence


ABOUT = {
    "pick_score": About(
        "Kirstain et al. 2023, arXiv 2305.01569",
        "transformers, Apache-2.0",
        "yuvalkirstain/PickScore_v1, whose page names no licence",
        "which of two pictures of one prompt people would pick: a CLIP-H trained on half a million such choices",
        "It mixes beauty with following the prompt, in one number, by the taste of those who chose (users of one "
        "website in 2023); it knows nothing of the person, and its values compare pictures of one prompt only.",
    ),
    "vqa": About(
        "after Lin et al. 2024, arXiv 2404.01291",
        "transformers, Apache-2.0",
        "HuggingFaceTB/SmolVLM-Instruct, Apache-2.0",
        "how sure a vision-language model is that the picture shows each phrase of the prompt: P(yes) of yes and no, "
        "the mean over the phrases between commas",
        "It answers for words, phrase by phrase: not how they belong together, not the likeness, not beauty; a model "
        "that says yes to everything scores high, so look at the differences and never at the level.",
    ),
    "quality": About(
        "MUSIQ: Ke et al. 2021, arXiv 2108.05997",
        "pyiqa, PolyForm Noncommercial 1.0.0",
        "chaofengc/IQA-PyTorch-Weights, CC BY-NC-SA 4.0",
        "how good a photograph looks by itself, 0 … 100: noise, blur, compression, as people rated photographs (KonIQ)",
        "It never reads the prompt and knows no person; a drawing or a style that is rough on purpose is a bad "
        "photograph to it.",
    ),
}
