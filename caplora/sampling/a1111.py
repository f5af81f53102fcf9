"""How a picture was drawn, in the words that A1111 writes into a PNG and ComfyUI, Forge and Civitai read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from caplora.sampling.solvers import in_words_of_a1111

# what may repeat has an end, or the time to read a picture's text would grow with the square of its length
LORA = re.compile(r"<lora:([^:>]{0,255})(?::([^>]{0,255}))?>")
SETTING = re.compile(r'(\w[\w \-/]{1,80}):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')


@dataclass(frozen=True)
class Written:
    """What the text of A1111 in a picture says: prompts without adapters, the adapters by name, the other settings."""

    prompt: str
    negative: str = ""
    adapters: Mapping[str, str] = field(default_factory=dict)  # name → its scale, as it is written
    settings: Mapping[str, str] = field(default_factory=dict)


def written(
    asked: tuple[str, str, int], size: tuple[int, int], made: Mapping[str, Any], worn: Sequence[Mapping], own: str
) -> str:
    """The text for a picture of (prompt, negative prompt, seed of the noise); `own` is what only caplora has to say.

    `made` is what else decides the picture, and `worn` are its adapters: name, scale and sha256 of each.
    """
    prompt, negative, seed = asked
    tags = "".join(f" <lora:{adapter['name']}:{adapter['scale']:g}>" for adapter in worn)
    hashes = ", ".join(f"{adapter['name']}: {adapter['sha256'][:10]}" for adapter in worn)
    settings = {
        "Steps": made["sampling"]["num_inference_steps"], **in_words_of_a1111(made["sampling"]),
        "CFG scale": f"{made['sampling']['guidance_scale']:g}",
        "Seed": seed, "Size": "x".join(map(str, size)), "Model": made["model"], "RNG": "CPU",
    } | ({"Lora hashes": f'"{hashes}"'} if worn else {})  # fmt: skip
    said = ", ".join(f"{key}: {value}" for key, value in settings.items())
    return f"{_plain(prompt)}{tags}\nNegative prompt: {_plain(negative)}\n{said}, {own}"


def _plain(prompt: str) -> str:
    """A prompt in one line, without what would be read as another adapter."""
    return " ".join(prompt.split()).replace("<lora:", "< lora:")


def read_written(text: str) -> Written:
    """What such a text says; a text of another kind is a prompt and no more."""
    begins = [*re.finditer(r"^Steps: ", text, re.M)] or [*re.finditer(r"(?<!\S)Steps: \d+, ", text)]  # or joined lines
    place = begins[-1].start() if begins else len(text)  # the last, for a prompt may have these words too
    body, last = text[:place], text[place:]
    prompt, *negative = re.split(r"(?:^|\s)Negative prompt:", body, maxsplit=1)
    settings = {key: value.strip().strip('"') for key, value in SETTING.findall(last)}
    return Written(_words(prompt), _words("".join(negative)), dict(LORA.findall(prompt)), settings)


def _words(prompt: str) -> str:
    return " ".join(LORA.sub(" ", prompt).split())
