"""A captioner's folder or hub id → a loaded model, and what it says of images: the same words every time.

The `model_type` in a model's config chooses a class of transformers, so no code that comes with a model is run. This
file does not know the folders of studies, nor what was said before.
"""

import copy
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from caplora.captioning.blip import generate_blip, quicken
from caplora.jobs import no_secret_told
from caplora.models import DTYPES, precision_of
from caplora.study import Captioning

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, ProcessorMixin
else:
    GenerationConfig = PreTrainedModel = ProcessorMixin = Any  # seconds to import: `load_captioner` does

TASK = "<MORE_DETAILED_CAPTION>"  # of Florence, unless the study's prompt is another of its tasks


class CaptioningError(RuntimeError):
    """Captions cannot be had; the message names the captioner or file, and the way out."""


def not_asked(processor: ProcessorMixin, prompt: str) -> None:
    """No prompt: the model was trained to caption and takes no words."""


def by_task(processor: ProcessorMixin, prompt: str) -> str:
    """The token of a task: the study's prompt if it is one, else TASK."""
    return prompt if prompt in processor.task_prompts_without_inputs else TASK


def by_chat(processor: ProcessorMixin, prompt: str) -> str:
    """The prompt in the model's own chat template, said by a person who shows an image."""
    said = [{"type": "image"}, {"type": "text", "text": prompt}]
    return processor.apply_chat_template([{"role": "user", "content": said}], add_generation_prompt=True)


@dataclass(frozen=True)
class Family:
    """The classes of a captioner by their names in transformers, and the function that makes its prompt."""

    model: str
    processor: str
    asked: Callable[[ProcessorMixin, str], str | None] = not_asked


FAMILIES = {  # model_type of the config → its classes
    "blip": Family("BlipForConditionalGeneration", "BlipProcessor"),
    "blip-2": Family("Blip2ForConditionalGeneration", "Blip2Processor"),
    "florence2": Family("Florence2ForConditionalGeneration", "Florence2Processor", by_task),
    "git": Family("GitForCausalLM", "GitProcessor"),
    "idefics3": Family("Idefics3ForConditionalGeneration", "Idefics3Processor", by_chat),  # SmolVLM
    "llava": Family("LlavaForConditionalGeneration", "LlavaProcessor", by_chat),
    "qwen2_5_vl": Family("Qwen2_5_VLForConditionalGeneration", "Qwen2_5_VLProcessor", by_chat),
}


@dataclass(frozen=True)
class Captioner:
    """A captioning model on its device, with its processor."""

    model: PreTrainedModel
    processor: ProcessorMixin
    family: Family


def load_captioner(
    model: str,
    revision: str | None = None,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    setting: str = "captioning.model",
) -> Captioner:
    """The captioner from a folder or hub id, ready to caption: bf16 or fp16 on a GPU, else fp32, or as `dtype` says.

    Raises CaptioningError, naming the `setting`, if it is missing, is of an unknown family or has no safetensors
    weights.
    """
    dtype = dtype or DTYPES[precision_of(torch.device(device))]
    transformers = importlib.import_module("transformers")
    try:
        with no_secret_told():
            config = transformers.PreTrainedConfig.get_config_dict(model, revision=revision)[0]
            family = _family(config.get("model_type"))
            trust: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
            processor = getattr(transformers, family.processor).from_pretrained(model, **trust)
            trust |= {"use_safetensors": True, "device_map": {"": device}}  # straight there: Colab has little memory
            loaded = getattr(transformers, family.model).from_pretrained(model, dtype=dtype, **trust)
    except (OSError, ValueError, ImportError) as error:
        raise CaptioningError(f"the captioner {model!r} ({setting} of the study) cannot be loaded: {error}") from error
    processor.tokenizer.padding_side = "left"  # the caption follows the prompt directly
    if family is FAMILIES["blip"]:
        quicken(loaded)
    return Captioner(loaded.eval(), processor, family)


def machine_captions(captioner: Captioner, images: Sequence[Image.Image], settings: Captioning) -> Iterator[list[str]]:
    """What the model says of `images`, word for word and in order, one list per batch of `settings.batch_size`."""
    for start in range(0, len(images), settings.batch_size):
        tokens = _generated(captioner, images[start : start + settings.batch_size], settings)
        yield [text.strip() for text in captioner.processor.batch_decode(tokens, skip_special_tokens=True)]


def decoding_of(model: PreTrainedModel, settings: Captioning) -> GenerationConfig:
    """The model's own decoding settings, with the beam search of the study and without sampling."""
    decoding = copy.deepcopy(model.generation_config)
    decoding.update(num_beams=settings.num_beams, max_new_tokens=settings.max_new_tokens, max_length=None)
    decoding.update(do_sample=False, temperature=None, top_k=None, top_p=None)
    return decoding


@torch.no_grad()
def _generated(captioner: Captioner, images: Sequence[Image.Image], settings: Captioning) -> Int[Tensor, "n tokens"]:
    """The token ids of the captions, without those of the prompt."""
    model = captioner.model
    inputs = _inputs(captioner, images, [settings.prompt] * len(images)).to(model.device, model.dtype)
    with torch.autocast(model.device.type, model.dtype, enabled=model.dtype != torch.float32):
        if captioner.family is FAMILIES["blip"]:
            return generate_blip(model, inputs["pixel_values"], decoding_of(model.text_decoder, settings))
        tokens = model.generate(**inputs, generation_config=decoding_of(model, settings))
    asked = "input_ids" in inputs and not model.config.is_encoder_decoder
    return tokens[:, inputs["input_ids"].shape[1] :] if asked else tokens


def check_chat(captioner: Captioner, setting: str) -> None:
    """Raise CaptioningError, naming the `setting`, where the captioner is of a family that takes no questions."""
    if captioner.family.asked is not by_chat:
        chats = ", ".join(kind for kind, family in FAMILIES.items() if family.asked is by_chat)
        model = type(captioner.model).__name__
        raise CaptioningError(f"{setting}: {model} takes no questions: name a model of {chats}")


@torch.no_grad()
def first_words(
    captioner: Captioner, images: Sequence[Image.Image], questions: Sequence[str]
) -> Float[Tensor, "n words"]:
    """What a chat model would answer first to a question about each image: the logits of every token, in fp32."""
    inputs = _inputs(captioner, images, questions).to(captioner.model.device, captioner.model.dtype)
    spared = {"logits_to_keep": 1, "use_cache": False}  # of a whole prompt in pictures either takes gigabytes
    return captioner.model(**inputs, **spared).logits[:, -1].float()


def _inputs(captioner: Captioner, images: Sequence[Image.Image], prompts: Sequence[str]) -> Any:
    """The images, and the prompt of each if the family takes one, as the model reads them."""
    words = [captioner.family.asked(captioner.processor, prompt) for prompt in prompts]
    if words[0] is None:
        return captioner.processor(images=list(images), return_tensors="pt")
    shown = [[image] for image in images]
    return captioner.processor(images=shown, text=words, padding=True, return_tensors="pt")


def _family(model_type: str | None) -> Family:
    if model_type not in FAMILIES:
        raise ValueError(f"its model_type is {model_type!r} and must be one of {', '.join(FAMILIES)}")
    return FAMILIES[model_type]
