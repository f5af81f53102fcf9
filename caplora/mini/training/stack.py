"""What notebook 00 holds: the miniature models, trained one after another on a painted world, measured and saved."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from transformers import CLIPTokenizer

from caplora.figures import Figure
from caplora.images import contact_sheet
from caplora.mini.training import blip, clip, diffusion, identity, judge, measure, vae
from caplora.mini.world import (
    BASE_STYLES,
    NEW_STYLE,
    PORTRAITS,
    Pictures,
    bert_tokenizer,
    caption,
    clip_tokenizer,
    paint,
    paint_portraits,
    read_pictures,
)
from caplora.models import device_of
from caplora.study import PROJECT

EACH = 8  # pictures of a person
CLIPS = {"a": 10, "b": 11}  # letter → training seed


class MiniStack:
    """The world, the models so far, their losses and how good they are.

    The methods are called in the order of the notebook. Those that train yield each step's loss and go on from the last
    checkpoint; a model is saved in 16 bits once it is measured, and serves with these weights from then on.
    """

    def __init__(self, work: Path, made: Path) -> None:
        self.work, self.made, self.device = work, made, device_of()
        self.curves: dict[str, list[tuple[int, float]]] = {}  # model → step and loss, of this session
        self.figures: dict[str, float] = {}  # what is measured → how good it is

    @classmethod
    def open(cls, study: str, models: str) -> "MiniStack":
        """The stack whose work is kept in runs/<study> and whose models go into the folder `models`."""
        return cls(PROJECT / "runs" / study, PROJECT / models)

    def paint_held_out(self, people: int) -> Iterator[int]:
        """Paint the people who are kept for measuring, yielding how many are done."""
        yield from paint(self.work / "held_out.npz", people, EACH, seed=2)

    def paint_people(self, people: int) -> Iterator[int]:
        """Paint the people whom the models learn from, yielding how many are done."""
        yield from paint(self.work / "world.npz", people, EACH, seed=1)

    @cached_property
    def held_out(self) -> Pictures:
        """The pictures that are kept for measuring."""
        return read_pictures(self.work / "held_out.npz")

    @cached_property
    def world(self) -> Pictures:
        """The pictures that the models learn from."""
        return read_pictures(self.work / "world.npz")

    @cached_property
    def known(self) -> Pictures:
        """Those of them that are drawn in the base styles."""
        return self.world.of_styles(BASE_STYLES)

    @cached_property
    def tokenizer(self) -> CLIPTokenizer:
        """The tokenizer of the text encoder and of the CLIPs."""
        return clip_tokenizer()

    def styles(self) -> Image.Image:
        """Eight pictures of each style, a row each."""
        shown = [image for style in (*BASE_STYLES, NEW_STYLE) for image in self.held_out.of_styles((style,)).images[:8]]
        return contact_sheet([Image.fromarray(image) for image in shown], columns=8, side=128)

    def captions(self, count: int = 4) -> str:
        """Captions of the first pictures, a line each."""
        return "\n".join(caption(self.held_out.attributes(i), np.random.default_rng(i)) for i in range(count))

    def portraits(self) -> Image.Image:
        """Paint the portraits of the mini study; the first forty."""
        paint_portraits()
        return contact_sheet([Image.open(path) for path in sorted(PORTRAITS.glob("*.png"))[:40]], columns=10)

    def train_judge(self, steps: int) -> Iterator[float]:
        """Train the judge."""
        self.judge = judge.new_judge().to(self.device)
        yield from self._losses("judge", judge.train_judge(self.judge, self.world, steps, self.work / "judge"))

    def judge_accuracy(self) -> pd.DataFrame:
        """Measure and save the judge: the share of held-out pictures judged right, by style and attribute."""
        right = pd.DataFrame(judge.accuracy_by_style(self.judge, self.held_out)).T
        self.figures["judge: attributes right on renders, worst style"] = right.mean(axis=1).min()
        self._save(self.judge, judge.processor(), "judge")
        return right.round(3)

    def train_vae(self, steps: int) -> Iterator[float]:
        """Train the autoencoder."""
        self.vae = vae.new_vae().to(self.device)
        yield from self._losses("VAE", vae.train_vae(self.vae, self.world, steps, self.work / "vae"))

    def train_decoder(self, steps: int) -> Iterator[float]:
        """Train the autoencoder's decoder alone; then measure the whole."""
        yield from self._losses("decoder", vae.train_decoder(self.vae, self.world, steps, self.work / "decoder"))
        vae.set_scaling(self.vae, self.world)
        self.figures["VAE: reconstruction, dB PSNR"] = float(vae.psnr(self.vae, self.held_out).mean())

    def reconstructions(self) -> Image.Image:
        """Eight held-out pictures, and below them what the autoencoder makes of them."""
        images = self.held_out.images[:8]
        both = [*images, *vae.reconstructed(self.vae, images)]
        return contact_sheet([Image.fromarray(image) for image in both], columns=8, side=128)

    def train_diffusion(self, steps: int) -> Iterator[float]:
        """Train the text encoder and the UNet together."""
        moments = diffusion.latent_moments(self.vae, self.known)
        captions = diffusion.caption_tokens(self.known, self.tokenizer)
        encoder, unet = diffusion.new_text_encoder(self.tokenizer), diffusion.new_unet()
        self.diffusion = diffusion.TextToLatents(encoder, unet).to(self.device)
        scaling, folder = self.vae.config.scaling_factor, self.work / "diffusion"
        losses = diffusion.train_diffusion(self.diffusion, moments, captions, scaling, steps, folder)
        yield from self._losses("diffusion", losses)

    def baseline_accuracy(self, count: int) -> pd.DataFrame:
        """Save the pipeline and measure it: the share of `count` samples that show what their prompt names."""
        self.pipeline().to(torch.float16).save_pretrained(self.made / "stable_diffusion")
        self.diffusion.float()
        self.vae.float()
        wanted, self.drawn = measure.baseline_samples(self.pipeline(), count)
        shown = measure.shown_as_named(self.judge, wanted, self.drawn)
        self.figures["baseline: samples show what the prompt names, known styles"] = float(np.mean([*shown.values()]))
        return pd.Series(shown, name="share of samples that show it").round(3).to_frame()

    def pipeline(self) -> StableDiffusionPipeline:
        """The parts as a pipeline of diffusers."""
        return diffusion.pipeline_of(self.diffusion, self.vae, self.tokenizer)

    def baseline_samples(self, count: int = 32) -> Image.Image:
        """The first samples that were measured."""
        return contact_sheet(self.drawn[:count], columns=8, side=128)

    def train_blip(self, steps: int) -> Iterator[float]:
        """Train BLIP on the base styles."""
        self.words = bert_tokenizer()
        self.blip = blip.new_blip(self.words).to(self.device)
        yield from self._losses("BLIP", blip.train_blip(self.blip, self.known, self.words, steps, self.work / "blip"))

    def caption_accuracy(self) -> pd.DataFrame:
        """Measure and save BLIP: the share of its captions that name an attribute right, in known styles and in ink."""
        table = {}
        for name, styles in (("known styles", BASE_STYLES), (NEW_STYLE, (NEW_STYLE,))):
            part = self.held_out.of_styles(styles)
            table[name] = measure.caption_precision(measure.captions_of(self.blip, self.words, part), part)
        self.figures["BLIP: attributes right, known styles"] = float(np.mean([*table["known styles"].values()]))
        self._save(self.blip, blip.processor_of(self.words), "blip")
        return pd.DataFrame(table).round(3)

    def train_clip(self, letter: str, steps: int) -> Iterator[float]:
        """Train a CLIP by its letter; then measure and save it."""
        seed, name = CLIPS[letter], f"clip_{letter}"
        scorer = clip.new_clip(len(self.tokenizer), seed).to(self.device)
        model = clip.Described(scorer).to(self.device)
        losses = clip.train_clip(model, self.world, self.tokenizer, steps, self.work / name, seed)
        yield from self._losses(f"CLIP {letter}", losses)
        share = clip.ranks_true_caption(scorer, self.held_out, self.tokenizer)
        self.figures[f"CLIP {letter}: true caption above one with an attribute changed"] = share
        clip.save_clip(scorer, self.tokenizer, self.made / name)

    def train_teacher(self, steps: int) -> Iterator[float]:
        """Train the identity encoder's teacher."""
        traits = identity.traits_of(1, len(self.world.images) // EACH)
        recogniser = identity.Recogniser(identity.new_teacher(), *traits.shape).to(self.device)
        self.teacher = recogniser.network
        losses = identity.train_teacher(recogniser, self.world, traits, steps, self.work / "identity_teacher")
        yield from self._losses("teacher", losses)

    def train_identity(self, steps: int) -> Iterator[float]:
        """Train the identity encoder; then measure and save it."""
        student, folder = identity.Student(identity.new_encoder(), self.teacher).to(self.device), self.work / "identity"
        losses = identity.train_identity(student, self.teacher, self.world, steps, folder)
        yield from self._losses("identity", losses)
        auc = identity.verification_auc(student.encoder, self.held_out)
        self.figures["identity: AUC of same or different person"] = auc
        self._save(student.encoder, identity.processor(), "identity")

    def loss_curves(self) -> Figure:
        """The loss of each model in this session, as a running mean of 50 steps."""
        figure = Figure((2.4 * len(self.curves), 2), layout="constrained")
        panels = figure.subplots(1, len(self.curves), squeeze=False)[0]
        for axes, (name, points) in zip(panels, self.curves.items(), strict=True):
            losses = pd.Series(dict(points), dtype=float).rolling(50, min_periods=1).mean()
            axes.plot(losses.index, losses.to_numpy())
            axes.set(title=name, xlabel="step", yscale="log")
        return figure

    def measured(self) -> pd.DataFrame:
        """Write figures.json and the model card: how good each model is beside what a study needs."""
        measure.write_figures(self.figures, self.made)
        table = pd.DataFrame({"to reach": measure.TARGETS, "measured": self.figures})
        return table.assign(reached=table["measured"] >= table["to reach"]).round(3)

    def _losses(self, name: str, steps: Iterator[tuple[int, float]]) -> Iterator[float]:
        """The loss of each step as it comes, kept in `curves`."""
        self.curves[name] = []
        for step, loss in steps:
            self.curves[name].append((step, loss))
            yield loss

    def _save(self, model: Any, processor: Any, name: str) -> None:
        """Write a model in 16 bits with its processor; it goes on in 32 bits, rounded as it was written."""
        model.half().save_pretrained(self.made / name)
        processor.save_pretrained(self.made / name)
        model.float()
