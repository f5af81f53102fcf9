"""Variants → packs: those that one job trains, and draws with before the choice. What was begun stays together."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from caplora.study import Study, StudyError, Variant, read_variants, write_text

Packs = dict[str, tuple[Variant, ...]]  # name → variants


def packs_of(variants: Sequence[Variant], size: int | None, known: Mapping[str, Sequence[Variant]]) -> Packs:
    """The variants in packs of at most `size` (None: all in one), in their order.

    Those of a pack that is known stay together while all of them are asked for, so that variants that come later are
    packs of their own.
    """
    asked = {v.name for v in variants}
    kept = {name: tuple(own) for name, own in known.items() if asked.issuperset(v.name for v in own)}
    begun = {v.name for own in kept.values() for v in own}
    rest = [v for v in variants if v.name not in begun]
    most = size or len(rest) or 1
    new = [tuple(rest[i : i + most]) for i in range(0, len(rest), most)]
    return kept | {pack_name(own): own for own in new}


def pack_name(pack: Sequence[Variant]) -> str:
    """p and eight characters that change with the variants."""
    return f"p{hashlib.sha256(' '.join(v.name for v in pack).encode()).hexdigest()[:8]}"


def pack_path(study: Study, name: str) -> Path:
    """Where a pack is written down: a file of variants."""
    return study.run / "packs" / f"{name}.yaml"


def pack_text(pack: Sequence[Variant]) -> str:
    """The content of that file."""
    return yaml.safe_dump({"variants": [v.model_dump(exclude_defaults=True) for v in pack]}, sort_keys=False)


def write_pack(study: Study, pack: Sequence[Variant]) -> Path:
    """Write a pack down; where."""
    path = pack_path(study, pack_name(pack))
    write_text(path, pack_text(pack))
    return path


def read_packs(study: Study) -> Packs:
    """The packs that were written down, those left out that cannot be read or that share a variant with one before."""
    found: Packs = {}
    seen: set[str] = set()
    for path in sorted((study.run / "packs").glob("p*.yaml")):
        try:
            own = read_variants(str(path))
        except (StudyError, OSError):
            continue
        if path.stem == pack_name(own) and not seen & {v.name for v in own}:
            found[path.stem] = own
            seen |= {v.name for v in own}
    return found
