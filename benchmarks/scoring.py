"""How fast samples are scored: one table, all sides in one run, ratios first.

    python benchmarks/scoring.py              # as many pictures as the mini study has samples, its two CLIPs
    python benchmarks/scoring.py --shared     # processor seconds of one thread, where other programs run

one by one: open_clip as its example has it, a picture and its prompt at a time, nothing kept, for each CLIP.
ours, cold: in batches, an empty folder of embeddings, everything written to disk; warm: all of it found there, every
picture read again to know it.
Sides take turns; a figure is the median round. Pictures are the study's portraits, each a little different, with its
prompts. Raw cosines must agree to 1e-5.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import open_clip
import torch
from PIL import Image
from timing import Spread, machine, ratio

from caplora.mini.world.portraits import PORTRAITS
from caplora.models.devices import device_of
from caplora.sampling.samples import Sample
from caplora.scoring import embeddings
from caplora.scoring.clip import ClipEmbeddings, ClipEncoder
from caplora.scoring.scores import clip_table
from caplora.study.study import read_study

SIDES = ("one by one", "ours, cold", "ours, warm")
STUDY = read_study("mini")


def pictures(folder: Path, count: int, side: int = 128) -> list[Sample]:
    """Portraits of the mini study, `side` pixels wide, no two alike, each with one of its prompts."""
    prompts, portraits = STUDY.sampling.development + STUDY.sampling.test, sorted(PORTRAITS.glob("*.png"))
    rng, made = np.random.default_rng(0), []
    for i in range(count):
        portrait = Image.open(portraits[i % len(portraits)]).convert("RGB").resize((side, side))
        pixels = np.asarray(portrait).astype(int)
        path = folder / f"{i:04d}.png"
        Image.fromarray(np.uint8(np.clip(pixels + rng.integers(-8, 9, pixels.shape), 0, 255))).save(path)
        made.append(Sample("baseline", path, prompts[i % len(prompts)], i, "test"))
    return made


class OneByOne:
    """open_clip's own example: a picture and a text at a time."""

    def __init__(self, name: str) -> None:
        self.model, _, self.preprocess = open_clip.create_model_and_transforms(name, device=device_of())
        self.model.eval()
        self.tokenize = open_clip.get_tokenizer(name)

    @torch.no_grad()
    def cosines(self, samples: list[Sample]) -> list[float]:
        """Raw cosine of each picture with its prompt."""
        return [self._cosine(sample) for sample in samples]

    def _cosine(self, sample: Sample) -> float:
        picture = self.preprocess(Image.open(sample.path)).unsqueeze(0).to(device_of())
        image = self.model.encode_image(picture, normalize=True)
        text = self.model.encode_text(self.tokenize([sample.prompt]).to(device_of()), normalize=True)
        return float(image @ text.T)


def ours(encoders: list[ClipEncoder], samples: list[Sample], folder: Path) -> list[float]:
    """Raw cosines by all CLIPs, embeddings kept in `folder`."""
    embeddings._CONTENTS.clear()  # as in a new process
    found, clips = [], [ClipEmbeddings(encoder, folder, STUDY.scoring.batch_size) for encoder in encoders]
    for _ in embeddings.embed(clips, [sample.path for sample in samples]):
        pass
    for clip in clips:
        table = clip_table(clip, samples, "")
        found += table.loc[table["metric"] == "clip_cosine", "value"].tolist()
    return found


def timed(side: Callable[[], list[float]], clock: Callable[[], float]) -> tuple[float, list[float]]:
    """Seconds, and what came of them."""
    began = clock()
    found = side()
    return clock() - began, found


def rounds(count: int, times: int, clock: Callable[[], float]) -> tuple[dict[str, list[float]], float]:
    """Seconds of each side, round by round, and the largest disagreement of a cosine."""
    names = [STUDY.clip_name(clip) for clip in STUDY.scoring.clips]
    alone = [OneByOne(name) for name in names]
    encoders = [ClipEncoder(name, None, name, device_of()) for name in names]
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    worst = 0.0
    for number in range(times + 1):  # the first round warms up
        with TemporaryDirectory() as at:
            samples, kept = pictures(Path(at), count if number else 8), Path(at) / "kept"
            sides = [
                lambda samples=samples: [value for clip in alone for value in clip.cosines(samples)],
                lambda samples=samples, kept=kept: ours(encoders, samples, kept),
                lambda samples=samples, kept=kept: ours(encoders, samples, kept),
            ]
            ran = [timed(side, clock) for side in sides]
        worst = max(worst, *(float(np.abs(np.subtract(ran[0][1], own)).max()) for _, own in ran[1:]))
        for side, (took, _) in zip(SIDES, ran, strict=True):
            seconds[side] += [took] if number else []
    return seconds, worst


def main() -> None:
    """Print the machine and the table."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--pictures", type=int, default=672, help="as the mini study has of seven arms")
    top.add_argument("--rounds", type=int, default=5)
    top.add_argument("--shared", action="store_true", help="measure processor seconds of one thread")
    given = top.parse_args()
    if given.shared:
        torch.set_num_threads(1)
    print(f"{machine()}\n", flush=True)
    s, worst = rounds(given.pictures, given.rounds, time.process_time if given.shared else time.perf_counter)
    print(f"| pictures | one by one / cold | one by one / warm | {', s | '.join(SIDES)}, s | largest difference |")
    print("|---" * 7 + "|")
    ratios = [ratio(s[SIDES[0]], s[side]) for side in SIDES[1:]]
    cells = [str(given.pictures), *(f"**{r.median:.1f}×** ({r.low:.1f}–{r.high:.1f})" for r in ratios)]
    print(f"| {' | '.join(cells + [Spread.of(s[side]).said() for side in SIDES])} | {worst:.1e} |")
    if worst > 1e-5:
        raise SystemExit("the sides disagree by more than 1e-5")


if __name__ == "__main__":
    main()
