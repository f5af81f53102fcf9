"""The portrait world: the attributes of a picture, the persons and scenes that have them, and captions that name them.

A `Person` has fixed traits; a `Scene` is everything else that a caption can name. Both are drawn at random from a
generator, so a seed gives a whole world. This file knows no pixels; `drawing` and `styles` turn the two into a picture.
"""

from dataclasses import dataclass, fields

import numpy as np

SIZE = 128  # pixels, the side of every picture of this world

# What each attribute can be, and how a caption says it; the first wording is the plain one.
WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "style": {
        "photo": ("a photo of", "a photograph of", "a portrait photo of"),
        "cartoon": ("a cartoon of", "a comic of", "a cartoon portrait of"),
        "watercolour": ("a watercolour of", "a watercolour painting of", "a watercolour portrait of"),
        "pencil": ("a pencil drawing of", "a pencil sketch of", "a coloured pencil portrait of"),
        "oil": ("an oil painting of", "an oil portrait of", "a painting in oil of"),
        "ink": ("an ink drawing of", "an ink portrait of", "a pen and ink drawing of"),
    },
    "kind": {"woman": ("a woman", "a lady"), "man": ("a man", "a gentleman")},
    "hair": {
        "short": ("short {} hair",),
        "bob": ("a {} bob", "{} hair in a bob"),
        "long": ("long {} hair",),
        "curly": ("curly {} hair",),
        "bun": ("{} hair in a bun", "a {} bun"),
        "spiky": ("spiky {} hair",),
    },
    "hair_colour": {
        "black": ("black",),
        "brown": ("brown",),
        "blonde": ("blonde",),
        "red": ("red",),
        "white": ("white",),
        "blue": ("blue",),
    },
    "expression": {
        "smiling": ("smiling", "with a smile"),
        "serious": ("serious", "with a serious face"),
        "surprised": ("surprised", "looking surprised"),
        "sad": ("sad", "looking sad"),
    },
    "glasses": {
        "none": ("",),
        "glasses": ("wearing glasses", "with glasses"),
        "sunglasses": ("wearing sunglasses", "with sunglasses"),
    },
    "clothes": {
        "tshirt": ("in a {} t-shirt", "wearing a {} t-shirt"),
        "shirt": ("in a {} shirt with a collar", "wearing a {} collared shirt"),
        "turtleneck": ("in a {} turtleneck", "wearing a {} turtleneck"),
        "striped": ("in a {} striped sweater", "wearing a {} sweater with stripes"),
    },
    "clothes_colour": {
        "red": ("red",),
        "blue": ("blue",),
        "green": ("green",),
        "yellow": ("yellow",),
        "purple": ("purple",),
        "black": ("black",),
    },
    "pose": {
        "forward": ("facing forward", "facing the viewer"),
        "left": ("turned to the left", "facing left"),
        "right": ("turned to the right", "facing right"),
    },
    "lighting": {
        "soft": ("in soft light", "evenly lit"),
        "left": ("lit from the left", "light from the left"),
        "right": ("lit from the right", "light from the right"),
        "golden": ("in golden light", "in warm evening light"),
    },
    "background": {
        "studio": ("in front of a grey wall", "grey background"),
        "park": ("in a park", "in front of green trees"),
        "sea": ("by the sea", "in front of the sea"),
        "sunset": ("at sunset", "in front of a sunset"),
        "brick": ("in front of a brick wall", "against a brick wall"),
        "city": ("in a city at night", "in front of a city at night"),
    },
}
ATTRIBUTES = {name: tuple(values) for name, values in WORDS.items()}  # name → its values, in label order
BASE_STYLES = tuple(s for s in ATTRIBUTES["style"] if s != "ink")  # what the diffusion model may see
NEW_STYLE = "ink"
Colour = tuple[float, float, float]  # sRGB in 0 … 1


@dataclass(frozen=True)
class Person:
    """The fixed traits of one person; numbers are relative to an average face unless a comment says otherwise."""

    kind: str
    skin: Colour
    iris: Colour
    face_width: float
    face_height: float
    jaw: float  # 0 round … 0.4 pointed
    eye_size: float
    eye_gap: float
    eye_tilt: float
    brow_weight: float
    brow_height: float
    nose_length: float
    nose_width: float
    mouth_width: float
    lip_fullness: float
    ear_size: float
    freckles: float  # 0 none … 1
    mole: tuple[float, float] | None  # place on the face, −1 … 1
    beard: float  # 0 none … 1


@dataclass(frozen=True)
class Scene:
    """What a caption can name of a picture: a value of each of `ATTRIBUTES` except `kind`, which is the person's."""

    style: str
    hair: str
    hair_colour: str
    expression: str
    glasses: str
    clothes: str
    clothes_colour: str
    pose: str
    lighting: str
    background: str


SKINS = ((0.98, 0.86, 0.77), (0.95, 0.78, 0.65), (0.87, 0.67, 0.50), (0.72, 0.50, 0.35), (0.52, 0.34, 0.23))
IRISES = ((0.30, 0.18, 0.10), (0.25, 0.45, 0.75), (0.25, 0.55, 0.32), (0.55, 0.42, 0.16), (0.35, 0.38, 0.42))


def between(a: Colour, b: Colour, t: float) -> Colour:
    """The colour that is `t` of the way from `a` to `b`."""
    return (a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), a[2] + t * (b[2] - a[2]))


def draw_person(rng: np.random.Generator, kind: str | None = None) -> Person:
    """A random person; the same generator state gives the same person."""
    kind = kind or str(rng.choice(ATTRIBUTES["kind"]))
    tone = rng.uniform(0, len(SKINS) - 1)
    low, high = SKINS[int(tone)], SKINS[int(tone) + 1]
    man = kind == "man"
    return Person(
        kind=kind,
        skin=between(low, high, tone % 1),
        iris=IRISES[rng.integers(len(IRISES))],
        face_width=float(rng.uniform(0.86, 1.14)),
        face_height=float(rng.uniform(0.92, 1.10)),
        jaw=float(rng.uniform(0.0, 0.18) if man else rng.uniform(0.14, 0.40)),
        eye_size=float(rng.uniform(0.82, 1.05) if man else rng.uniform(0.95, 1.28)),
        eye_gap=float(rng.uniform(0.84, 1.18)),
        eye_tilt=float(rng.uniform(-0.3, 0.3)),
        brow_weight=float(rng.uniform(1.0, 1.9) if man else rng.uniform(0.5, 1.2)),
        brow_height=float(rng.uniform(0.85, 1.25)),
        nose_length=float(rng.uniform(0.75, 1.3)),
        nose_width=float(rng.uniform(0.75, 1.35)),
        mouth_width=float(rng.uniform(0.78, 1.25)),
        lip_fullness=float(rng.uniform(0.5, 0.85) if man else rng.uniform(0.9, 1.5)),
        ear_size=float(rng.uniform(0.7, 1.35)),
        freckles=float(rng.uniform(0.5, 1) if rng.random() < 0.3 else 0.0),
        mole=(float(rng.uniform(-0.6, 0.6)), float(rng.uniform(0.15, 0.6))) if rng.random() < 0.45 else None,
        beard=float(rng.uniform(0.35, 1.0)) if man and rng.random() < 0.6 else 0.0,
    )


def draw_scene(rng: np.random.Generator, styles: tuple[str, ...] = ATTRIBUTES["style"]) -> Scene:
    """A random scene in one of `styles`; half of the persons wear no glasses."""
    values = {f.name: str(rng.choice(ATTRIBUTES[f.name])) for f in fields(Scene)}
    values["style"] = str(rng.choice(styles))
    values["glasses"] = str(rng.choice(ATTRIBUTES["glasses"], p=(0.5, 0.28, 0.22)))
    return Scene(**values)


def truth(person: Person, scene: Scene) -> dict[str, str]:
    """Attribute → value in the picture of `person` in `scene`."""
    return {name: person.kind if name == "kind" else getattr(scene, name) for name in ATTRIBUTES}


def change_one(attributes: dict[str, str], rng: np.random.Generator) -> dict[str, str]:
    """The same attributes with exactly one changed; it may be the person's kind."""
    name = str(rng.choice(list(ATTRIBUTES)))
    others = [v for v in ATTRIBUTES[name] if v != attributes[name]]
    return {**attributes, name: str(rng.choice(others))}


def clauses(attributes: dict[str, str], rng: np.random.Generator | None = None) -> dict[str, str]:
    """The parts of a caption by name, in their plain wording, or with `rng` in a random one."""

    def say(name: str) -> str:
        words = WORDS[name][attributes[name]]
        return words[0] if rng is None else str(rng.choice(words))

    return {
        "subject": f"{say('style')} {say('kind')}",
        "hair": "with " + say("hair").format(say("hair_colour")),
        "expression": say("expression"),
        "glasses": say("glasses"),
        "clothes": say("clothes").format(say("clothes_colour")),
        "pose": say("pose"),
        "lighting": say("lighting"),
        "background": say("background"),
    }


def caption(attributes: dict[str, str], rng: np.random.Generator | None = None, keep: float = 1.0) -> str:
    """A caption of the attributes. With `rng` words and order vary, and each clause is kept with probability `keep`.

    The subject comes first and the hair second, as in captions that people write; the rest is shuffled.
    """
    parts = clauses(attributes, rng)
    head = [parts.pop("subject"), parts.pop("hair")]
    rest = [text for text in parts.values() if text]
    if rng is not None:
        if rng.random() > keep:
            head.pop()
        rest = [text for text in rest if rng.random() < keep]
        rng.shuffle(rest)
    return ", ".join([" ".join(head), *rest])
