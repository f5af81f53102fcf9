"""The table of what reads files and words of others: its way, its valid inputs, how they are changed, what it may say.

`ours` are the errors that a way may end with, whose message must hold one of `named`: a file's name, or for words any.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from caplora.captions import LedgerError
from caplora.captions.ledger import COLUMNS, SPLITS, STATUSES
from caplora.rating import RatingError
from caplora.review.filters import NUMBERS, TEXTS, WORDS, FilterError
from caplora.study import StudyError
from tests.fuzzing import seeds, ways
from tests.fuzzing.formats import adapter_mutated, image_mutated, text_mutated
from tests.fuzzing.mutations import Mutate, json_mutated, lines_mutated, table_mutated, words_mutated, yaml_mutated

CELLS = (*COLUMNS, *STATUSES, *SPLITS, "caption", "tags", "image", "prompt", "a.png", "b.png", "x/../a.png", "..")
CHANGES = (*CELLS, "number", "rows", "kind", "of", "undo", "redo", "change", "time", "who", "why")
ANSWERS = (
    "rater", "plan", "order", "question", "answer", "seconds", "undo", "words", "person", "left", "right",
    "equal", "skipped", "kind", "pair", "repeat", "simulated", "baseline", "r4_a8", "Mina",
)  # fmt: skip
KEYS = tuple(
    form.format(layer if "." in form[:6] else layer.replace(".", "_"))
    for layer in (*seeds.LAYERS, "x.y", "input_blocks.4.1.proj_in", "text_model.encoder.layers.0.self_attn.q_proj")
    for form in (
        "unet.{}.lora_A.weight", "unet.{}.lora_B.weight", "unet.{}.alpha", "lora_unet_{}.lora_down.weight",
        "lora_unet_{}.lora_mid.weight", "lora_unet_{}.alpha", "base_model.model.{}.lora_A.weight", "lora_te1_{}.alpha",
        "unet.{}.hada_w1_a", "unet.{}.lora.down.weight",
    )
)  # fmt: skip
STATED = (*seeds.config(), "unet.r", "(a+)+$", ".*.*.*.*x", "(a|a)*", "DORA", "__metadata__", "lora_adapter_metadata")
SAYS = (
    "<lora:a:1>", "Steps: 20, ", "Negative prompt: ", "Sampler: Euler a", "CFG scale: x", "Size: 1x1", 'x: "', "\\",
    "RNG", "recipe", "made", "adapter", "adapters", "sampling", "noise", "together", "x", "y", "setting", "values",
    "scale", "seed", "prompt", "flag", "variant", "(a:1)", "r4_a8",
)  # fmt: skip
LANGUAGE = (
    "OR", "AND", "NOT", "(", ")", "-(", "-", '"', '""', ":", *(f"{f}:" for f in (*WORDS, *TEXTS, *NUMBERS)),
    "tokens:>75", "words:<=٣", "agreement:=-0.5", "status:kept", "\u3000", "é",
)  # fmt: skip


@dataclass(frozen=True)
class Parser:
    """What reads an input, and what is known of its inputs."""

    run: Callable[[Path, bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    mutate: Mutate
    ours: tuple[type[Exception], ...]
    named: tuple[str, ...]
    longest: int = 4096  # bytes of an input
    examples: int = 300  # that the suite tries
    ready: Callable[[Path], object] = lambda folder: None  # lays into a folder what all cases need

    def names(self, message: str) -> bool:
        """Whether a message names what is wrong."""
        return any(name in message for name in self.named)


LEDGER = ((LedgerError,), ("metadata.csv", "captions.", "history.jsonl", "captioned", "lab", "alone", "another hand"))
PARSERS = {
    "images": Parser(ways.image, seeds.images, image_mutated, (), (), 4096, 250, ways.study_in),
    "metadata_csv": Parser(ways.ledger, seeds.ledgers, table_mutated(CELLS), *LEDGER, ready=ways.study_in),
    "captions_json": Parser(
        ways.captions("json"), lambda: seeds.captions()["json"], json_mutated(CELLS), *LEDGER, ready=ways.study_in
    ),
    "captions_jsonl": Parser(
        ways.captions("jsonl"), lambda: seeds.captions()["jsonl"], lines_mutated(CELLS), *LEDGER, ready=ways.study_in
    ),
    "captions_csv": Parser(
        ways.captions("csv"), lambda: seeds.captions()["csv"], table_mutated(CELLS), *LEDGER, ready=ways.study_in
    ),
    "history_jsonl": Parser(ways.history, seeds.histories, lines_mutated(CHANGES), *LEDGER, ready=ways.study_in),
    "study_yaml": Parser(ways.study, seeds.studies, yaml_mutated(seeds.tags()), (StudyError,), ("x.yaml", "study ")),
    "variants_yaml": Parser(ways.variants, seeds.variants, yaml_mutated(seeds.tags()), (StudyError,), ("v.yaml",)),
    "adapters": Parser(ways.adapter, seeds.adapters, adapter_mutated(KEYS, STATED), (ValueError,), ("adapter",), 16384),
    "adapter_config": Parser(
        ways.config, seeds.configs, json_mutated(STATED), (ValueError,), ("adapter_config.json", "adapter_model")
    ),
    "png_text": Parser(
        ways.picture, seeds.pictures, text_mutated(SAYS), (ValueError,), ("p.png",), ready=ways.pictures_in
    ),
    "filters": Parser(
        ways.words, lambda: [f.encode() for f in seeds.FILTERS], words_mutated(LANGUAGE), (FilterError,), ("",)
    ),
    "ratings": Parser(
        ways.rating,
        lambda: seeds.answers(ways.plan_of_mina(False)),
        lines_mutated(ANSWERS),
        (),
        (),
        ready=ways.rated_in,
    ),
    "rating_page": Parser(
        ways.page,
        lambda: seeds.answers(ways.plan_of_mina(True)),
        lines_mutated(ANSWERS),
        (RatingError,),
        ("down.jsonl",),
        ready=ways.rated_in,
    ),
}
