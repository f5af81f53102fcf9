"""How fast images are captioned: one table each, all sides in one run, ratios first.

    python benchmarks/captioning.py large    # the shape of BLIP large, random weights, a fixed number of tokens
    python benchmarks/captioning.py mini     # a hundred portraits of the mini study, nothing remembered

large: transformers one image after another, as its example has it, and in batches; ours one by one and in batches.
Five minutes on two idle cores; `--rounds 1` gives a first idea.
Sides take turns; a figure is the median round. Every side goes from picture to words, with the beams of a study.
"""

import argparse
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from timing import machine
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
)

from caplora.captioning.blip import quicken
from caplora.captioning.captioners import FAMILIES, Captioner, machine_captions
from caplora.captioning.machine_captions import captions_of
from caplora.models.devices import DTYPES, device_of, precision_of
from caplora.study.settings import Captioning
from caplora.study.study import read_study

BATCH = Captioning().batch_size
SIDES = ("transformers one by one", "transformers in batches", "ours one by one", "ours in batches")


SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # of the image encoder, of the decoder
    "large": (  # Salesforce/blip-image-captioning-large
        {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
        | {"image_size": 384, "patch_size": 16},
        {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
    ),
    "tiny": (
        {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
        | {"image_size": 32, "patch_size": 16},
        {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2},
    ),
}


def blip(tokens: int, shape: str) -> BlipForConditionalGeneration:
    """A BLIP of random weights, made on the device; always says `tokens` tokens, and the same at every call."""
    torch.manual_seed(0)
    image, text = SHAPES[shape]
    ids = {"vocab_size": 30524, "bos_token_id": 30522, "sep_token_id": 102, "pad_token_id": 0}
    config = BlipConfig(vision_config=image, text_config=text | ids | {"encoder_hidden_size": image["hidden_size"]})
    with torch.device(device_of()):
        made = BlipForConditionalGeneration(config)
    made.text_decoder.generation_config.min_new_tokens = tokens
    return made.to(device_of(), DTYPES[precision_of(device_of())]).eval()


def processor(side: int) -> BlipProcessor:
    """BLIP's own pixels, `side` of them a side, and a word for each of its ids."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(30519))]
    images = BlipImageProcessor(size={"height": side, "width": side})
    return BlipProcessor(images, BertTokenizer(vocab={word: i for i, word in enumerate(words)}))


def sides(tokens: int, shape: str = "large") -> dict[str, Callable[[list[Image.Image]], list[str]]]:
    """Side → pictures to captions."""
    settings, made = Captioning(max_new_tokens=tokens), processor(SHAPES[shape][0]["image_size"])
    plain, ours = blip(tokens, shape), Captioner(quicken(blip(tokens, shape)), made, FAMILIES["blip"])

    @torch.no_grad()
    def theirs(pictures: list[Image.Image]) -> list[str]:
        pixels = made(images=pictures, return_tensors="pt").pixel_values.to(plain.device, plain.dtype)
        found = plain.generate(pixel_values=pixels, num_beams=settings.num_beams, max_new_tokens=tokens)
        return made.batch_decode(found, skip_special_tokens=True)

    def ours_all(pictures: list[Image.Image]) -> list[str]:
        return next(machine_captions(ours, pictures, settings))

    def each(side: Callable[[list[Image.Image]], list[str]]) -> Callable[[list[Image.Image]], list[str]]:
        return lambda pictures: [text for picture in pictures for text in side([picture])]

    return dict(zip(SIDES, (each(theirs), theirs, each(ours_all), ours_all), strict=True))


def seconds(
    side: Callable[[list[Image.Image]], list[str]], pictures: list[Image.Image], clock: Callable[[], float]
) -> tuple[float, list[str]]:
    """Seconds an image, and what was said."""
    began = clock()
    said = side(pictures)
    return (clock() - began) / len(pictures), said


def large(tokens: int, rounds: int, clock: Callable[[], float]) -> Iterator[str]:
    """The table of BLIP large, row by row; the sides' words must agree."""
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (512, 512, 3), dtype=np.uint8)) for _ in range(BATCH)]
    shown = {name: pictures[:2] if "one by one" in name else pictures for name in SIDES}
    turns = sides(tokens)
    for name in SIDES:
        turns[name](pictures[:1])
    measured = [{name: seconds(side, shown[name], clock) for name, side in turns.items()} for _ in range(rounds)]
    differ = {tuple(said[:2]) for turn in measured for _, said in turn.values()}
    s = {name: statistics.median(turn[name][0] for turn in measured) for name in SIDES}
    heads = ["tokens", "transformers one by one / ours in batches", "ours one by one / in batches"]
    yield f"| {' | '.join(heads + [f'{name}, s an image' for name in SIDES])} | the same words |"
    yield "|---" * (len(heads) + len(SIDES) + 1) + "|"
    yield (
        f"| {tokens} | **{s[SIDES[0]] / s[SIDES[3]]:.2f}×** | **{s[SIDES[2]] / s[SIDES[3]]:.2f}×** |"
        + "".join(f" {s[name]:.2f} |" for name in SIDES)
        + f" {'yes' if len(differ) == 1 else 'NO'} |"
    )


def mini(rounds: int) -> Iterator[str]:
    """The table of the mini study, row by row."""
    study = read_study("mini")
    model = study.captioning.model.model_copy(update={"path": str(study.path(study.captioning.model.path))})
    study = study.model_copy(update={"captioning": study.captioning.model_copy(update={"model": model})})
    portraits = sorted(study.images_folder.glob("*.png"))[:100]
    first, again = [], []
    for _ in range(rounds):
        with TemporaryDirectory() as folder:
            study._root = Path(folder)
            study.dataset.mkdir(parents=True)
            for portrait in portraits:
                shutil.copy(portrait, study.dataset)
            for times in (first, again):
                began = time.perf_counter()
                parts = list(captions_of(study, [p.name for p in portraits], str(device_of())))
                times.append(time.perf_counter() - began)
                assert sum(map(len, parts)) == len(portraits)
    yield "| portraits | seconds, model loaded anew | seconds, all remembered |"
    yield "|---|---|---|"
    yield f"| {len(portraits)} | **{statistics.median(first):.1f}** | {statistics.median(again):.2f} |"


def main() -> None:
    """Print the machine and the table."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("model", choices=("large", "mini"))
    top.add_argument("--tokens", type=int, default=20, help="of each caption, exactly; BLIP large says about 15")
    top.add_argument("--rounds", type=int, default=3)
    top.add_argument(
        "--shared", action="store_true", help="one thread, and its processor's seconds: others are at work"
    )
    given = top.parse_args()
    clock = time.process_time if given.shared else time.perf_counter
    if given.shared:
        torch.set_num_threads(1)
    print(f"{given.model}, {machine()}\n", flush=True)
    for row in large(given.tokens, given.rounds, clock) if given.model == "large" else mini(given.rounds):
        print(row, flush=True)


if __name__ == "__main__":
    main()
