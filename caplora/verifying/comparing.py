"""Two runs of a study, the second's files beside the first's → identical, within tolerance, or different; how far.

Bits are promised on one CPU with the same libraries and as many threads. Elsewhere sums are taken in another order and
a result is another one in its last bits, which training carries further: there a tolerance is what can be said. On CPUs
it is at least ten times what benchmarks/determinism.json and a whole mini study by one thread instead of two had. Where
one of two runs was on a GPU it is wider, and an estimate: fp16 and bf16 have 11 and 8 bits; no two cards were compared.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from caplora.lora import read_adapter
from caplora.study import Study, counted
from caplora.verifying.manifest import Manifest, located

IDENTICAL, WITHIN, DIFFERENT, GONE = "identical", "within tolerance", "different", "not made"
COMPARED = ("images", "captions", "adapters", "samples", "scores", "tables")
PASSING = ("versions",)  # columns that say with what libraries a number was made: said beside, and no result


@dataclass(frozen=True)
class Measure:
    """How far two files of a kind may be apart."""

    of: str
    what: str
    on_cpus: float  # tolerance where both runs were on a CPU
    on_gpus: float  # where one of them was not
    distance: Callable[[Path, Path], float]


def adapters_apart(one: Path, other: Path) -> float:
    """‖ΔW − ΔW′‖ / ‖ΔW‖ over all layers, where ΔW is what an adapter adds to the weights of its base model.

    Infinite where layers or shapes differ, or a file cannot be read.
    """
    try:
        a, b = read_adapter(one), read_adapter(other)
    except ValueError:
        return math.inf
    if {k: up.shape for k, (_, up) in a.weights.items()} != {k: up.shape for k, (_, up) in b.weights.items()}:
        return math.inf
    apart = math.sqrt(sum(float((a.delta(k) - b.delta(k)).square().sum()) for k in a.weights))
    whole = math.sqrt(sum(float(a.delta(k).square().sum()) for k in a.weights))
    return apart / (whole or 1.0)


def pictures_apart(one: Path, other: Path) -> float:
    """The mean difference of two pictures in levels of 255; infinite where their sizes differ."""
    a, b = (np.asarray(Image.open(path).convert("RGB"), dtype=np.float64) for path in (one, other))
    return float(np.abs(a - b).mean()) if a.shape == b.shape else math.inf


def tables_apart(one: Path, other: Path) -> float:
    """The largest difference of two numbers in the same place; infinite where rows, columns or words differ.

    Of numbers above 1 the difference is relative, so that steps, counts and loss curves do not decide alone.
    """
    a, b = (pd.read_csv(path).drop(columns=list(PASSING), errors="ignore") for path in (one, other))
    if list(a) != list(b) or len(a) != len(b):
        return math.inf
    return max((_columns_apart(a[name], b[name]) for name in a), default=0.0)


def _columns_apart(a: "pd.Series", b: "pd.Series") -> float:
    if not all(pd.api.types.is_numeric_dtype(c) and not pd.api.types.is_bool_dtype(c) for c in (a, b)):
        return 0.0 if (a.eq(b) | (a.isna() & b.isna())).all() else math.inf
    x, y = a.to_numpy(float), b.to_numpy(float)
    if not (np.isnan(x) == np.isnan(y)).all():
        return math.inf
    apart = np.abs(x - y) / np.maximum(1.0, np.abs(x))
    return float(np.nanmax(np.where(x == y, 0.0, apart), initial=0.0))


MEASURES = {  # end of a file's name → how far apart
    ".safetensors": Measure("adapter", "‖ΔW − ΔW′‖ / ‖ΔW‖", 1e-3, 1e-1, adapters_apart),
    ".png": Measure("picture", "mean difference in levels of 255", 0.5, 5.0, pictures_apart),
    ".csv": Measure("table", "difference of a number", 1e-2, 5e-2, tables_apart),
}


@dataclass(frozen=True)
class Compared:
    """One file of the first run, and what the second has in its place."""

    kind: str
    path: str
    state: str  # identical, within tolerance, different or not made
    apart: float | None = None  # by its measure; None where the first run's file is gone, or the second's
    tolerance: float | None = None
    new: bool = False  # the second run made it, and the first did not

    def said(self) -> str:
        """In a sentence."""
        if self.new:
            return f"{self.kind}: {self.path} is new: the first run has no such file"
        measure = MEASURES[Path(self.path).suffix]
        far = "" if self.apart is None else f": {measure.what} {self.apart:.3g}, tolerance {self.tolerance:g}"
        alone = "" if far or self.state == GONE else ": how far apart is not known, the first run's file is gone"
        return f"{self.kind}: {self.path} is {self.state}{far}{alone}"


def compared(first: Study, was: Manifest, second: Study, now: Manifest) -> Iterator[Compared]:
    """Every result that the first run's manifest names, beside what the second run has; then what is new."""
    on_cpus = was.machine.get("device") == now.machine.get("device") == "CPU"
    for kind in COMPARED:
        before, after = was.files.get(kind, {}), now.files.get(kind, {})
        for path, digest in before.items():
            if after.get(path) == digest:
                yield Compared(kind, path, IDENTICAL, 0.0)
            elif path not in after:
                yield Compared(kind, path, GONE)
            else:
                yield _apart(kind, path, located(first, kind, path), located(second, kind, path), on_cpus)
        yield from (Compared(kind, path, DIFFERENT, new=True) for path in after if before and path not in before)


def _apart(kind: str, path: str, one: Path | None, other: Path | None, on_cpus: bool) -> Compared:
    if one is None or other is None:
        return Compared(kind, path, DIFFERENT)
    measure = MEASURES[Path(path).suffix]
    tolerance, apart = measure.on_cpus if on_cpus else measure.on_gpus, measure.distance(one, other)
    return Compared(kind, path, WITHIN if apart <= tolerance else DIFFERENT, apart, tolerance)


def summary(found: Sequence[Compared]) -> list[str]:
    """A sentence for each kind of files and of measure, and one for each file that is not within tolerance."""
    groups: dict[tuple[str, str], list[Compared]] = {}
    for one in found:
        groups.setdefault((one.kind, Path(one.path).suffix), []).append(one)
    lines = [_group_said(kind, MEASURES[suffix], group) for (kind, suffix), group in groups.items()]
    return [*lines, *(one.said() for one in found if one.state not in (IDENTICAL, WITHIN))]


def _group_said(kind: str, measure: Measure, group: Sequence[Compared]) -> str:
    counts = {state: sum(one.state == state for one in group) for state in (IDENTICAL, WITHIN, DIFFERENT, GONE)}
    said = ", ".join(f"{n} {state}" for state, n in counts.items() if n)
    measured = [(one.apart, one.tolerance) for one in group if one.apart is not None and one.tolerance is not None]
    apart, tolerance = max(measured, default=(0.0, 0.0))
    far = f"; {measure.what} up to {apart:.3g}, tolerance {tolerance:g}" if measured else ""
    return f"{kind}: {counted(len(group), measure.of)}, {said}{far}"


def as_json(found: Sequence[Compared], surroundings: Sequence[str]) -> str:
    """All of it for scripts."""
    rows = [asdict(one) | {"apart": str(one.apart) if one.apart == math.inf else one.apart} for one in found]
    return json.dumps({"surroundings": list(surroundings), "files": rows}, indent=1, ensure_ascii=False) + "\n"
