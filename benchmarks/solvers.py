"""Which solver, and how many steps: what fewer steps cost in latents and in scores, from the same noise.

    python benchmarks/solvers.py runs/mini r8_a8      # after `make demo`: an adapter of its run

The baseline and the adapter draw the mini study's development prompts by each solver in so many steps; the reference is
DPM-Solver++ 2M in 100 steps, evenly spaced. Columns: how far the latents are from the reference's, as a share of their
size (root mean square); CLIPScore by the first CLIP, of both arms, less what the reference scores, and what the adapter
gains, less what it gains there; the same by the second CLIP and the judge. ± is two standard errors over prompts of the
difference from the reference, picture by picture.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
import torch
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler
from torch import Tensor

from caplora.lora.adapter import NOTHING
from caplora.lora.pack import Pack
from caplora.lora.reading import read_adapter
from caplora.models.base import load_base, parts_of
from caplora.sampling.drawing import decode, draw_batch
from caplora.sampling.samples import wanted_samples
from caplora.scoring.clip import clip_embeddings
from caplora.scoring.judge import Judge
from caplora.scoring.sample_metrics import clip_scores
from caplora.study.study import read_study

PLUS, UNIPC, LINSPACE = DPMSolverMultistepScheduler, UniPCMultistepScheduler, {"timestep_spacing": "linspace"}
SOLVERS = {
    "DPM-Solver++ 2M": (PLUS, {}),
    "DPM-Solver++ 2M, linspace": (PLUS, LINSPACE),
    "DPM-Solver++ 2M, Karras": (PLUS, {"use_karras_sigmas": True}),
    "DPM-Solver++ 2M, exponential": (PLUS, {"use_exponential_sigmas": True}),
    "DPM-Solver++ 2M, Lu": (PLUS, {"use_lu_lambdas": True}),
    "UniPC": (UNIPC, {}),
    "UniPC, linspace": (UNIPC, LINSPACE),
    "UniPC, Karras": (UNIPC, {"use_karras_sigmas": True}),
}
REFERENCE = ("DPM-Solver++ 2M, linspace", 100)
METRICS = ("clip_a", "clip_b", "judge")
STUDY = read_study("mini")


class Bench:
    """The baseline and an adapter over the development prompts, drawn by any solver and scored."""

    def __init__(self, run: Path, variant: str, seeds: int) -> None:
        self.pipeline, self.arms = load_base(STUDY), ("baseline", variant)
        self.config, device = self.pipeline.scheduler.config, self.pipeline.unet.device
        [weights] = (run / "adapters" / variant).glob(f"*_{variant}.safetensors")
        Pack(parts_of(self.pipeline), [NOTHING, read_adapter(weights)]).lay()
        own = STUDY.sampling
        self.wanted = [w for w in wanted_samples(own) if w.split == "development" and w.seed in own.seeds[:seeds]]
        self.clips = [clip_embeddings(c, STUDY.clip_name(c), STUDY.scoring, device) for c in STUDY.scoring.clips]
        self.judge = Judge(STUDY, STUDY.scoring.judge, device)

    def latents(self, solver: str, steps: int) -> Tensor:
        """What both arms draw, (2, samples, c, h, w)."""
        kind, own = SOLVERS[solver]
        self.pipeline.scheduler = kind.from_config(self.config, **own)
        settings, drawn = STUDY.sampling.model_copy(update={"num_inference_steps": steps}), []
        for i in range(0, len(self.wanted), 6):
            batch = self.wanted[i : i + 6]
            noises = [w.noise for w in batch]
            drawn.append(draw_batch(self.pipeline, 2, [w.prompt for w in batch], noises, settings).cpu())
        return torch.cat(drawn, 1)

    def scored(self, latents: Tensor) -> pd.DataFrame:
        """A row per arm and sample: prompt, and a column per metric."""
        return pd.concat([self._scored(arm, own) for arm, own in zip(self.arms, latents, strict=True)])

    def _scored(self, arm: str, latents: Tensor) -> pd.DataFrame:
        images, flags = decode(self.pipeline, latents.to(self.pipeline.device))
        if any(flags):
            raise ValueError(f"{arm}: {flags}")
        prompts = [w.prompt for w in self.wanted]
        found = {
            name: clip_scores(clip.encoder.embed_images(images).cpu(), clip.texts([clip.prefix + p for p in prompts]))
            for name, clip in zip(METRICS, self.clips, strict=False)
        }
        seen = self.judge.seen(self.judge.embed_images(images))
        named = [self.judge.named(prompt) for prompt in prompts]
        right = [sum(s[k] == v for k, v in n.items()) / len(n) for s, n in zip(seen, named, strict=True)]
        columns = {name: values.tolist() for name, values in found.items()} | {"judge": right}
        return pd.DataFrame({"arm": arm, "prompt": prompts, "seed": [w.seed for w in self.wanted]} | columns)


def by_prompt(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Means of a metric: a row per prompt, a column per arm and one for what the adapter gains."""
    table = scores.groupby(["prompt", "arm"])[metric].mean().unstack()
    [variant] = set(table) - {"baseline"}
    return table.assign(gain=table[variant] - table["baseline"]).rename(columns={variant: "adapter"})


def row(scores: pd.DataFrame, reference: pd.DataFrame) -> list[str]:
    """By metric: baseline, adapter and gain, each less the reference's, with two standard errors over prompts."""
    cells = []
    for metric in METRICS:
        apart = by_prompt(scores, metric) - by_prompt(reference, metric)
        error = 2 * apart.std(ddof=1) / len(apart) ** 0.5
        cells += [f"{apart[c].mean():+.3f} ± {error[c]:.3f}" for c in ("baseline", "adapter", "gain")]
    return cells


def main() -> None:
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("run", type=Path)
    top.add_argument("variant")
    top.add_argument("--seeds", type=int, default=4)
    top.add_argument("--steps", type=int, nargs="+", default=(6, 8, 10, 12, 16, 20))
    top.add_argument("--solvers", nargs="+", choices=SOLVERS, default=tuple(SOLVERS))
    top.add_argument("--table", type=Path, help="where every score goes, as CSV")
    given = top.parse_args()
    bench, kept = Bench(given.run, given.variant, given.seeds), []
    limit = bench.latents(*REFERENCE)
    reference = bench.scored(limit)
    means = ", ".join(f"{m} {[round(x, 3) for x in by_prompt(reference, m).mean()]}" for m in METRICS)
    head = [f"{m}: {c}" for m in METRICS for c in ("baseline", "adapter", "gain")]
    print(f"{len(bench.wanted)} samples an arm; the reference scores {means} (baseline, adapter, gain)\n")
    print(f"| solver | steps | latents apart | {' | '.join(head)} |\n{'|---' * (3 + len(head))}|", flush=True)
    for solver in given.solvers:
        for steps in given.steps:
            latents = bench.latents(solver, steps)
            scores = bench.scored(latents)
            apart = ((latents - limit).square().mean() / limit.square().mean()).sqrt()
            print(f"| {solver} | {steps} | {apart:.3f} | {' | '.join(row(scores, reference))} |", flush=True)
            kept.append(scores.assign(solver=solver, steps=steps))
    if given.table:
        pd.concat([reference.assign(solver=REFERENCE[0], steps=REFERENCE[1]), *kept]).to_csv(given.table, index=False)


if __name__ == "__main__":
    sys.exit(main())
