"""A variant, which is a rank, an alpha and what else it varies, and the files of variants in `params/variants`."""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from caplora.study.reading import PROJECT, StudyError, read_yaml, validated
from caplora.study.settings import Part, Positive

BASELINE = "baseline"  # the arm without an adapter


TARGETS = {  # the projections of the UNet's attention that LoRA changes; SD 1.5's count per rank in brackets
    "qv": r"attn[12]\.to_[qv]$",  # query and value, self- and cross-attention (99,648; Hu et al. 2021, section 4.2)
    "qv_cross": r"attn2\.to_[qv]$",  # cross-attention only (49,728)
    "qkvo": r"attn[12]\.to_(q|k|v|out\.0)$",  # every projection (199,296; the default of diffusers' script)
    "qkvo_cross": r"attn2\.to_(q|k|v|out\.0)$",
}


def _expression(targets: str) -> str:
    try:
        re.compile(targets)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{targets!r} is none of {', '.join(TARGETS)} and no regular expression: {error}") from error
    return targets


Targets = Annotated[str, Field(min_length=1), AfterValidator(_expression)]


class Variant(Part):
    """What a study varies: rank and alpha, and what else it says differently from `Training`.

    `captions` is the kind of captions that it is trained on in a caption ablation: the empty one for every image, the
    study's subject alone, the machine's raw words, or the ledger's dealt out to other images. None: the ledger's.
    """

    rank: Positive
    """Inner size of the adapter's matrices."""
    alpha: Annotated[float, Field(gt=0)]
    """What scales the adapter, divided by the rank."""
    use_rslora: bool = False
    """Scale alpha / √rank instead of alpha / rank (Kalajdzievski 2023)."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """None: that of `Training`."""
    seed: int | None = None
    """None: that of `Training`."""
    targets: Targets | None = None
    """None: those of `Training`."""
    images: Positive | None = None
    """So many of the study's images: fewer are among more, the training seed draws, near-duplicates last. None: all."""
    epochs: Annotated[float, Field(gt=0)] | None = None
    """Passes over its images, instead of the steps of `Training`. None: these."""
    step: Positive | None = None
    """The adapter as it was after so many steps (`training.keep`), not at the end. No file of variants says it."""
    retrained: Literal[True] | None = None
    """A finalist's further training, from a seed that had no say in its choice. No file of variants says it."""
    captions: Literal["none", "subject", "machine", "shuffled"] | None = None
    """The kind of captions that it is trained on in a caption ablation (see above); None: the ledger's."""

    @property
    def name(self) -> str:
        """`r4_a8`, `r4_a8_rs_lr0.001_s1_qkvo_n25_e10_shuffled`: the name of its folder, its files and its curve."""
        name = f"r{self.rank}_a{self.alpha:g}" + "_rs" * self.use_rslora
        name += f"_lr{self.learning_rate:g}" if self.learning_rate else ""
        name += f"_s{self.seed}" if self.seed is not None else ""
        if self.targets is not None:
            digest = hashlib.sha256(self.targets.encode()).hexdigest()[:6]
            name += f"_{self.targets if self.targets in TARGETS else 't' + digest}"
        name += f"_n{self.images}" * bool(self.images) + (f"_e{self.epochs:g}" if self.epochs else "")
        name += f"_{self.captions}" if self.captions else ""
        return f"{name}_step{self.step}" if self.step else name

    @property
    def scale(self) -> float:
        """What multiplies BA: alpha / rank (Hu et al. 2021), or alpha / √rank."""
        return self.alpha / (math.sqrt(self.rank) if self.use_rslora else self.rank)


def candidates(variants: Sequence[Variant]) -> list[Variant]:
    """The variants from which the best is chosen: those trained on the ledger's captions and on all images, if any."""
    return [v for v in variants if v.captions is None and v.images is None] or list(variants)


def drawn_images(
    names: Iterable[str], count: int | None, seed: int, clusters: Mapping[str, int] | None = None
) -> list[str]:
    """`count` of the names (None: all), sorted, as a hash of seed and name draws them: fewer are among more.

    `clusters` gives near-duplicates the same number: a second one of a cluster is drawn once there is no other cluster
    left to draw of. Raises ValueError where there are not so many.
    """
    known, before = sorted(names), Counter[object]()
    if count is not None and count > len(known):
        raise ValueError(f"there are {len(known)} images to train on, and {count} are asked for")
    places: dict[str, int] = {}  # of a name among those of its cluster
    for name in sorted(known, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest()):
        cluster: object = (clusters or {}).get(name, name)
        places[name] = before[cluster]
        before[cluster] += 1
    return known if count is None else sorted(sorted(places, key=places.__getitem__)[:count])


def image_arms(variants: Sequence[Variant]) -> list[dict[int | None, str]]:
    """Number of images (None: all) → the name of the variant trained on so many, the fewest first.

    One of these for each variant that was trained on all images and on fewer.
    """
    groups: dict[Variant, list[Variant]] = {w: [] for w in variants if w.images is None}
    for v in variants:
        groups.get(v.model_copy(update={"images": None}), []).append(v)
    ordered = (sorted(group, key=lambda v: v.images or math.inf) for group in groups.values() if len(group) > 1)
    return [{v.images: v.name for v in group} for group in ordered]


def asked_with_captions(variants: Sequence[Variant], best: str) -> list[list[Variant]]:
    """The variants that are asked for their training images back, in groups that are compared by the same captions.

    The training of `best` at every step that is kept of it, and those on fewer images of the ledger's captions.
    """
    chosen = next((v for v in variants if v.name == best), None)
    steps = [v for v in variants if chosen and v.model_copy(update={"step": chosen.step}) == chosen]
    images = image_arms([v for v in variants if not v.step and not v.captions])
    groups = [[v for v in variants if v.name in arms.values()] for arms in images]
    return [steps, *groups] if len(steps) > 1 else groups


def read_variants(variants: str | list[dict[str, Any]]) -> tuple[Variant, ...]:
    """Variants as a notebook is given them: a file of `params/variants` by name, one by its path, or the list it holds.

    Several files are joined by a plus, `grid+captions`; a variant that stands in more than one of them counts once.
    A file that says `seeds: [0, 1, 2]` beside its variants has each of them trained from each of these seeds.
    """
    if not isinstance(variants, str):
        return _variants(variants, "variants")
    return tuple({v.name: v for name in variants.split("+") for v in _variants_of_file(name)}.values())


def _variants_of_file(name: str) -> tuple[Variant, ...]:
    path = Path(name).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        path = PROJECT / "params" / "variants" / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.yaml"))
        raise StudyError(f"there is no file of variants {path} (there are: {', '.join(known)})")
    content = read_yaml(path)
    if "variants" not in content or not set(content) <= {"variants", "seeds"}:
        raise StudyError(
            f"{path}: the keys are 'variants' and, where it trains from several, 'seeds', got {list(content)}"
        )
    read = _variants(content["variants"], str(path))
    return _from_seeds(read, content["seeds"], str(path)) if "seeds" in content else read


def _from_seeds(variants: Sequence[Variant], seeds: Any, where: str) -> tuple[Variant, ...]:
    """Each of these variants from each of these training seeds; raises StudyError where one names its own."""
    if not isinstance(seeds, list) or not seeds or any(type(seed) is not int for seed in seeds):
        raise StudyError(f"{where}: seeds: a list of at least one whole number is needed, got {seeds!r}")
    if twice := [seed for seed, n in Counter(seeds).items() if n > 1]:
        raise StudyError(f"{where}: seeds: {twice[0]} stands twice")
    for i, variant in enumerate(variants):
        if variant.seed is not None:
            raise StudyError(f"{where}[{i}]: seed: seeds of the file says it for all variants, got {variant.seed}")
    return tuple(v.model_copy(update={"seed": seed}) for v in variants for seed in seeds)


def _variants(variants: Any, where: str) -> tuple[Variant, ...]:
    if not isinstance(variants, list) or not variants:
        raise StudyError(f"{where}: a list of at least one {{rank, alpha}} is needed, got {variants!r}")
    read = tuple(validated(Variant, v, f"{where}[{i}]") for i, v in enumerate(variants))
    for key, instead in (("step", "training.keep"), ("retrained", "training.finalist_seeds")):
        if any(getattr(v, key) for v in read):
            raise StudyError(f"{where}: {key} is not for a file of variants: {instead} of the study says it for all")
    names = [v.name for v in read]
    twice = sorted(name for name, n in Counter(names).items() if n > 1)
    if twice:
        raise StudyError(f"{where}: {twice[0]} stands twice")
    return read
