"""A VQA score: a vision-language model is asked whether a picture shows each phrase of its prompt.

P("Yes") after a question about the text is the VQAScore of Lin et al. 2024 (arXiv 2404.01291, equation 1); here each
phrase between commas is asked for alone, and yes is weighed against no, so that other words do not count.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from caplora.captioning import check_chat, first_words, load_captioner
from caplora.models import out_of_memory_names
from caplora.sampling import Sample
from caplora.scoring import Kept, batches, content_of, fingerprint_of, hash_of, open_picture, score_rows
from caplora.study import Study

QUESTION = "Does this picture show: {}? Please answer yes or no."
YES, NO = ("yes", "Yes", " yes", " Yes"), ("no", "No", " no", " No")


def phrases_of(prompt: str) -> list[str]:
    """What a prompt asks for, phrase by phrase: what stands between its commas."""
    return [phrase for part in prompt.split(",") if (phrase := part.strip())] or [prompt]


class Asked:
    """A chat model in fp32 that is asked about pictures."""

    def __init__(self, study: Study, device: torch.device) -> None:
        settings = study.scoring.vqa
        path = study.model_path(settings)
        self.captioner = load_captioner(path, settings.revision, str(device), torch.float32, "scoring.vqa")
        check_chat(self.captioner, "scoring.vqa")
        self.yes, self.no = (self._ids(words) for words in (YES, NO))
        self.label = Path(settings.path).name
        self.weights = hash_of(self.captioner.model)
        self.versions = f"transformers {version('transformers')}, torch {torch.__version__}"
        asked = self.captioner.family.asked(self.captioner.processor, QUESTION)  # in its chat template
        read = self.captioner.processor.tokenizer(asked).input_ids
        shown = {"processor": self.captioner.processor.to_dict(), "read": read, "yes": self.yes, "no": self.no}
        self.fingerprint = fingerprint_of(self.weights, shown, self.versions, device)

    def _ids(self, words: Sequence[str]) -> list[int]:
        """The tokens with which an answer may begin; raises ValueError where the model knows none of them."""
        tokenizer = self.captioner.processor.tokenizer
        said = [tokenizer.encode(word, add_special_tokens=False) for word in words]
        ids = sorted({ids[0] for ids in said if len(ids) == 1} - {tokenizer.unk_token_id})
        if not ids:
            raise ValueError(f"scoring.vqa: no token of its model is {words[0]!r}: name another model")
        return ids

    def probabilities(self, images: Sequence[Image.Image], phrases: Sequence[str]) -> Float[Tensor, " n"]:
        """P(yes) of yes and no for a phrase about each picture, 0 … 1."""
        logits = first_words(self.captioner, images, [QUESTION.format(phrase) for phrase in phrases])
        return torch.sigmoid(logits[:, self.yes].logsumexp(1) - logits[:, self.no].logsumexp(1))


class Vqa:
    """The VQA score of samples, 0 … 1: the mean P(yes) over the phrases of the prompt."""

    metric = "vqa"

    def __init__(self, study: Study, device: torch.device) -> None:
        self.by, self.size = Asked(study, device), study.captioning.batch_size
        self.answers, self.at_once = Kept(self.by, study.embeddings), self.size

    @staticmethod
    def batches(study: Study, samples: Sequence[Sample]) -> int:
        """How many batches `embed` yields; no model is loaded for that."""
        return -(-len(_asked(samples)) // study.captioning.batch_size)

    def embed(self, samples: Sequence[Sample]) -> Iterator[object]:
        """Ask what was not asked yet, batch by batch; as many questions at once as fit into the memory."""
        for batch in batches(_asked(samples), self.size):
            keys = {key_of(path, phrase): (path, phrase) for path, phrase in batch}
            lacking = [key for key in keys if key not in self.answers.kept]
            while lacking:
                part, lacking = lacking[: self.at_once], lacking[self.at_once :]
                if (values := self._answered([keys[key] for key in part])) is None:
                    self.at_once, lacking = -(-len(part) // 2), part + lacking
                    torch.cuda.empty_cache()
                else:
                    self.answers.keep(part, values[:, None])
            yield batch

    def _answered(self, asked: Sequence[tuple[Path, str]]) -> Tensor | None:
        """P(yes) of each question, or None where so many do not fit; one alone that does not raises."""
        images = [open_picture(path) for path, _ in asked]
        try:
            with out_of_memory_names("a single question about a picture", "name a smaller model in scoring.vqa"):
                return self.by.probabilities(images, [phrase for _, phrase in asked])
        except torch.OutOfMemoryError:
            if len(asked) == 1:
                raise
        return None

    def table(self, samples: Sequence[Sample]) -> pd.DataFrame:
        """A row of the score table for each sample."""
        deque(self.embed(samples), maxlen=0)
        return score_rows(samples, self.metric, [self._mean(s) for s in samples], self.by)

    def _mean(self, sample: Sample) -> float:
        said = [self.answers.kept[key_of(sample.path, phrase)] for phrase in phrases_of(sample.prompt)]
        return float(torch.cat(said).double().mean())


def _asked(samples: Sequence[Sample]) -> list[tuple[Path, str]]:
    """Each picture with each phrase of its prompt, once."""
    return list(dict.fromkeys((s.path, phrase) for s in samples for phrase in phrases_of(s.prompt)))


def key_of(path: Path, phrase: str) -> str:
    """A hash of a picture's pixels and of what was asked about it."""
    return hashlib.sha256(f"{content_of(path)} {phrase}".encode()).hexdigest()
