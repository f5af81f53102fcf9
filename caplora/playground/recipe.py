"""Everything that a person chooses of one picture: a `Recipe`, checked when it is read from a form or from a file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from caplora.lora import DIFFUSERS, PEFT
from caplora.sampling import SOLVERS, UNNAMED
from caplora.study import BASELINE

LIMITS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**32 - 1), "steps": (1, 150), "guidance": (1, 30), "scale": (-4, 4), "second_scale": (-4, 4),
}  # fmt: skip
WHOLE = ("seed", "steps")
AS_ALL = tuple(name.removesuffix(".safetensors") for name in (DIFFUSERS, PEFT))  # what every such file is called


@dataclass(frozen=True)
class Recipe:
    """One picture as it is asked for; two that are equal are the same picture, as long as models and adapters are."""

    prompt: str = ""
    negative: str = ""
    seed: int = 0  # of the noise, as diffusers and A1111 mean it
    solver: str = UNNAMED
    steps: int = 20
    guidance: float = 7.5
    variant: str = ""  # the name of a trained variant, or the path of an adapter's file; empty: the baseline
    scale: float = 1.0
    second: str = ""  # another one, blended with it
    second_scale: float = 1.0


def recipe_of(values: Mapping[str, Any]) -> Recipe:
    """The recipe of such values, texts or numbers; raises ValueError naming the first that cannot be.

    What decides nothing is as it is by default: the scale of no adapter. A second adapter alone is the first.
    """
    if unknown := sorted(set(values) - {f.name for f in fields(Recipe)}):
        raise ValueError(f"a picture has no setting {unknown[0]!r}")
    own = {name: value_of(name, value) for name, value in values.items()}
    if not own.get("variant"):
        own |= {"variant": own.get("second", ""), "scale": own.get("second_scale", 1.0), "second": ""}
    for adapter, scale in (("variant", "scale"), ("second", "second_scale")):
        own |= {} if own.get(adapter) else {adapter: "", scale: 1.0}
    return Recipe(**own)


def changed(recipe: Recipe, **values: Any) -> Recipe:
    """The recipe with other values, checked."""
    return recipe_of(asdict(recipe) | values)


def baseline_of(recipe: Recipe) -> Recipe:
    """The same noise and words without an adapter."""
    return changed(recipe, variant="", second="")


def value_of(name: str, value: Any) -> Any:
    """A setting as a recipe has it; raises ValueError naming setting, value and what it may be."""
    return _READ.get(name, _number)(name, value)


def _number(name: str, value: Any) -> float:
    low, high = LIMITS[name]
    kind, said = (int, "a whole number") if name in WHOLE else (float, "a number")
    try:
        number = kind(str(value).strip())
    except ValueError:
        number = None
    if number is None or not low <= number <= high:
        raise ValueError(f"{name.replace('_', ' ')} must be {said} from {low:g} to {high:.10g}, got {str(value)!r}")
    return number


def _text(name: str, value: Any) -> str:
    return str(value).strip()


def _adapter(name: str, value: Any) -> str:
    return "" if (text := str(value).strip()) == BASELINE else text


def _solver(name: str, value: Any) -> str:
    text = str(value).strip()
    known = {title.lower(): own for own, solver in SOLVERS.items() for title in (own, solver.title)}
    if text.lower() not in known:
        raise ValueError(f"scheduler must be one of {', '.join(s.title for s in SOLVERS.values())}, got {text!r}")
    return known[text.lower()]


_READ: dict[str, Callable[[str, Any], Any]] = {
    "prompt": _text, "negative": _text, "solver": _solver, "variant": _adapter, "second": _adapter,
}  # fmt: skip


def in_words(recipe: Recipe, leave_out: tuple[str, ...] = ()) -> str:
    """A recipe in a line for a person, without its prompts and what stands elsewhere."""
    variant, second = names_of((recipe.variant, recipe.second))
    said = {
        "variant": variant,
        "scale": f"scale {recipe.scale:g}" if recipe.variant or "variant" in leave_out else "",
        "second": f"with {second}" if recipe.second else "",
        "second_scale": f"scale {recipe.second_scale:g}" if recipe.second or "second" in leave_out else "",
        "seed": f"seed {recipe.seed}",
        "solver": SOLVERS[recipe.solver].title,
        "steps": f"{recipe.steps} steps",
        "guidance": f"guidance {recipe.guidance:g}",
    }
    return ", ".join(words for name, words in said.items() if words and name not in leave_out)


def adapters_in_words(recipe: Recipe) -> str:
    """What a recipe is drawn with: `r4_a8 at 1 + r8_a8 at 0.5`."""
    variant, second = names_of((recipe.variant, recipe.second))
    if not recipe.variant:
        return BASELINE
    return f"{variant} at {recipe.scale:g}" + (f" + {second} at {recipe.second_scale:g}" if recipe.second else "")


def names_of(adapters: Sequence[str]) -> list[str]:
    """What adapters are called beside each other: `name_of`, with as much of the folder as tells them apart."""
    parts = {adapter: _parts(adapter) for adapter in adapters}

    def told_apart(adapter: str) -> str:
        own = parts[adapter]
        others = [other for name, other in parts.items() if name != adapter]
        counts = range(1, len(own) + 1)
        count = next((n for n in counts if all(other[-n:] != own[-n:] for other in others)), len(own))
        return "/".join(own[-count:])

    return [told_apart(adapter) for adapter in adapters]


def name_of(adapter: str) -> str:
    """What an adapter is called on a label: of a path the end, of a file that is called as all are its folder's."""
    return _parts(adapter)[-1]


def _parts(adapter: str) -> list[str]:
    """The folders of an adapter's path and, at the end, its name."""
    *folders, name = adapter.replace("\\", "/").rstrip("/").removesuffix(".safetensors").split("/")
    own = [folder for folder in folders if folder] if name in AS_ALL else []
    return own or [*folders, name or BASELINE]
