"""Base models in memory and what a training sees of some portraits, the same for every side of a benchmark.

`mini` is the miniature Stable Diffusion, `tiny` the one of the tests, and `sd15` has the shape of Stable Diffusion 1.5
with random weights, made on the device: nothing is downloaded or read.
"""

import io
from functools import cache

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from shapes import NOISE, TEXTS, UNETS, VAES, clip_tokenizer
from torch.utils.data import Dataset
from torchvision import transforms
from transformers import CLIPTextConfig, CLIPTextModel

from caplora.mini.world.portraits import PORTRAITS
from caplora.models.base import load_base
from caplora.models.devices import DTYPES, device_of, precision_of
from caplora.models.texts import encode_texts
from caplora.study.study import read_study
from caplora.training.inputs import Inputs, pixels_of

BASES = ("mini", "tiny", "sd15")
MINI = read_study("mini")
IMAGES = 32
PIXELS = {"mini": 128, "tiny": 32}


def pipeline_of(base: str, pixels: int) -> StableDiffusionPipeline:
    """A base model as `load_base` gives it: frozen, UNet and text encoder in the device's precision, VAE in fp32."""
    if base == "mini":
        return load_base(MINI)
    if base == "tiny":
        from tests.tiny import tiny_pipeline  # which needs what only the tests need

        pipeline = tiny_pipeline().to(device_of())
    else:
        pipeline = _stable_diffusion(pixels)
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        part.requires_grad_(False).eval()
    if device_of().type == "cuda":
        pipeline.unet.to(memory_format=torch.channels_last)
    pipeline.vae.to(memory_format=torch.channels_last)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _stable_diffusion(pixels: int) -> StableDiffusionPipeline:
    """Stable Diffusion 1.5 with random weights, the same at every call; its speed is that of the trained one."""
    torch.manual_seed(0)
    device, own = device_of(), torch.get_default_dtype()
    with torch.device(device):
        vae = AutoencoderKL(**VAES["sd15"])
        try:
            torch.set_default_dtype(DTYPES[precision_of(device)])
            unet = UNet2DConditionModel(**UNETS["sd15"] | {"sample_size": pixels // 8})
            text = CLIPTextModel(CLIPTextConfig(**TEXTS["sd15"][0]))
        finally:
            torch.set_default_dtype(own)
    scheduler = DPMSolverMultistepScheduler(**NOISE)
    return StableDiffusionPipeline(vae, text, _tokenizer(), unet, scheduler, None, None, requires_safety_checker=False)


_tokenizer = cache(clip_tokenizer)


class Portraits(Dataset):
    """Portraits and captions as diffusers' example reads them: decoded, prepared and put into tokens at each access."""

    def __init__(self, pipeline: StableDiffusionPipeline, pixels: int) -> None:
        self.tokenizer = pipeline.tokenizer
        prompts = MINI.sampling.test + MINI.sampling.development
        self.captions, self.files = [prompts[i % len(prompts)] for i in range(IMAGES)], _files(pixels)
        self.prepare = transforms.Compose(
            [
                transforms.Resize(pixels, interpolation=transforms.InterpolationMode.BILINEAR),
                transforms.CenterCrop(pixels),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize([0.5], [0.5]),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def image(self, index: int) -> Image.Image:
        """A portrait, decoded."""
        return Image.open(io.BytesIO(self.files[index])).convert("RGB")

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        ids = self.tokenizer(
            self.captions[index],
            max_length=self.tokenizer.model_max_length,
            padding="max_length",
            truncation=True,
            return_tensors="pt",
        ).input_ids
        return {"pixel_values": self.prepare(self.image(index)), "input_ids": ids[0]}


@cache
def _files(pixels: int) -> list[bytes]:
    """The portraits as PNG files of that size."""
    made = []
    for portrait in sorted(PORTRAITS.glob("*.png"))[:IMAGES]:
        file = io.BytesIO()
        Image.open(portrait).convert("RGB").resize((pixels, pixels)).save(file, format="PNG")
        made.append(file.getvalue())
    return made


@cache
@torch.no_grad()
def inputs_of(base: str, pixels: int) -> Inputs:
    """What our training sees of the portraits: moments and embeddings, made once."""
    pipeline = pipeline_of(base, pixels)
    portraits, vae, moments = Portraits(pipeline, pixels), pipeline.vae, []
    for i in range(IMAGES):
        x = pixels_of(portraits.image(i))[None].to(vae.device, vae.dtype)
        moments.append(vae.encode(x).latent_dist.parameters)
    texts = torch.cat([encode_texts(pipeline, [caption]) for caption in portraits.captions])
    sources = {f"{i:03d}.png": {"caption": text} for i, text in enumerate(portraits.captions)}
    return Inputs(sources, torch.cat(moments)[:, None], texts, encode_texts(pipeline, [""])[0])
