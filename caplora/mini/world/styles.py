"""A `Canvas` → a picture with light and a drawing style; one function for each style."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from caplora.mini.world.canvas import CELL, Array, Canvas, smooth_noise
from caplora.mini.world.drawing import draw
from caplora.mini.world.world import SIZE, Person, Scene

# direction to the light (x, y, z), its colour, its strength, strength of the ambient light
LIGHTS = {
    "soft": ((0.0, -0.25, 1.0), (1.0, 1.0, 1.0), 0.42, 0.66),
    "left": ((-1.0, -0.25, 0.35), (1.04, 1.0, 0.96), 1.02, 0.26),
    "right": ((1.0, -0.25, 0.35), (1.04, 1.0, 0.96), 1.02, 0.26),
    "golden": ((0.0, -0.75, 0.65), (1.16, 0.95, 0.64), 0.80, 0.42),
}
TURN = np.float32(2 * np.pi / CELL)  # one line of hatching every eight pixels, across and down
WOBBLE = {"photo": 0.0, "cartoon": 0.0, "watercolour": 0.8, "pencil": 0.4, "oil": 0.4, "ink": 0.4}  # pixels


def render(person: Person, scene: Scene, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture of `person` in `scene`, (128, 128, 3) sRGB; the same generator state gives the same pixels."""
    canvas = draw(person, scene, rng, WOBBLE[scene.style])
    picture = STYLES[scene.style](
        canvas, brightness(canvas, scene.lighting), np.asarray(LIGHTS[scene.lighting][1]), rng
    )
    soft = np.stack([gaussian_filter(np.clip(picture[..., i], 0, 1), 0.5) for i in range(3)], -1)
    return (soft * 255 + 0.5).astype(np.uint8)


def brightness(c: Canvas, lighting: str) -> Array:
    """How much light each pixel reflects, (n, n), about 0.2 … 1.4."""
    towards, _, strength, ambient = LIGHTS[lighting]
    light = np.asarray(towards, np.float32) / np.linalg.norm(towards)
    facing = np.clip((c.normal @ light + 0.15) / 1.15, 0, 1)  # light wraps around edges, as on skin
    across = 0.5 + 0.5 * (c.x * light[0] + 0.5 * c.y * light[1])
    wall = strength * np.clip(across, 0, 1) * 0.9
    return ambient + np.where(c.subject > 0.5, strength * facing, wall)


def luma(rgb: Array) -> Array:
    """The luma of Rec. 601, (n, n), of colours (n, n, 3)."""
    return rgb @ np.asarray((0.299, 0.587, 0.114), np.float32)


def saturate(rgb: Array, amount: float) -> Array:
    """Colours with their saturation multiplied by `amount`, in [0, 1]."""
    grey = luma(rgb)[..., None]
    return np.clip(grey + amount * (rgb - grey), 0, 1)


def grain(rng: np.random.Generator, dx: float, dy: float) -> Array:
    """Noise stretched by `dx` and `dy` pixels, as brush strokes are, (n, n), with unit standard deviation."""
    noise = gaussian_filter(rng.standard_normal((SIZE, SIZE)).astype(np.float32), (dy, dx), mode="wrap")
    return noise / noise.std()


def photo(c: Canvas, light: Array, colour: Array, rng: np.random.Generator) -> Array:
    """A photograph: soft background, shining skin, dark corners, a little noise."""
    lit = c.albedo * light[..., None] * colour
    soft = np.stack([gaussian_filter(lit[..., i], 1.6) for i in range(3)], -1)  # the background is out of focus
    person = gaussian_filter(c.subject, 0.6)[..., None]
    shine = np.clip(light - 0.95, 0, 1)[..., None] * c.subject[..., None] * 0.35
    falloff = 1 - 0.22 * (c.x**2 + c.y**2)[..., None]
    picture = (soft + person * (lit - soft) + shine) * falloff
    return picture + 0.006 * rng.standard_normal((SIZE, SIZE, 1)).astype(np.float32)


def cartoon(c: Canvas, light: Array, colour: Array, rng: np.random.Generator) -> Array:
    """Flat, saturated colours in three steps of light, with dark outlines."""
    bands = np.where(light < 0.58, 0.62, np.where(light < 1.02, 0.95, 1.10))
    flat = np.clip(saturate(c.albedo, 1.35) * 1.05 + 0.03, 0, 1) * gaussian_filter(bands, 0.5)[..., None] * colour
    return flat * (1 - 0.92 * c.outline[..., None])


def watercolour(c: Canvas, light: Array, colour: Array, rng: np.random.Generator) -> Array:
    """Uneven washes that leave white paper at the edges."""
    pigment = 1 - np.clip(c.albedo * np.clip(light + 0.08, 0, 1.2)[..., None] * colour, 0, 1)
    wash = np.stack([gaussian_filter(pigment[..., i], 1.0) for i in range(3)], -1)
    pools = 1 + 0.28 * smooth_noise(rng, 7) + 0.10 * smooth_noise(rng, 14)
    rim = gaussian_filter(c.outline, 0.8)
    edge = np.clip(1.55 - 1.25 * np.maximum(np.abs(c.x), np.abs(c.y)) ** 4 + 0.35 * smooth_noise(rng, 7), 0, 1)
    strength = 0.80 * pools * np.maximum(edge, 0.25 * c.subject)
    paper = np.asarray((0.99, 0.98, 0.95), np.float32)
    return paper * (1 - wash * strength[..., None]) - 0.30 * rim[..., None]


def pencil(c: Canvas, light: Array, colour: Array, rng: np.random.Generator) -> Array:
    """Coloured pencil, hatched, denser where the picture is dark."""
    lit = saturate(np.clip(c.albedo * light[..., None] * colour, 0, 1), 0.95)
    hatch = 0.5 + 0.5 * np.sin(TURN * (c.x + c.y))
    cover = np.clip(0.56 + 0.50 * (1 - luma(lit)) - 0.40 * hatch + 0.06 * smooth_noise(rng, 12), 0.10, 0.95)
    paper = np.asarray((0.98, 0.98, 0.97), np.float32)
    drawn = paper + cover[..., None] * (lit * 0.92 - paper)
    return drawn * (1 - 0.55 * gaussian_filter(c.outline, 0.5)[..., None])


def oil(c: Canvas, light: Array, colour: Array, rng: np.random.Generator) -> Array:
    """Dabs of warm colour with visible strokes."""
    lit = np.clip(saturate(c.albedo, 1.15) * light[..., None] * colour * (0.98, 0.93, 0.84), 0, 1.2)
    step = np.stack([smooth_noise(rng, 16), smooth_noise(rng, 16)]) * 1.4  # each dab takes the colour of a place nearby
    i, j = np.mgrid[0:SIZE, 0:SIZE]
    dabs = lit[np.clip(i + step[0], 0, SIZE - 1).astype(int), np.clip(j + step[1], 0, SIZE - 1).astype(int)]
    ridge = grain(rng, 4.0, 1.6)
    relief = 0.035 * ridge + 0.03 * smooth_noise(rng, 12)
    falloff = 1.02 - 0.26 * (c.x**2 + c.y**2)[..., None]
    return (dabs * (1 + relief[..., None]) + 0.012 * ridge[..., None]) * falloff


def ink(c: Canvas, light: Array, colour: Array, rng: np.random.Generator) -> Array:
    """Bold pen lines and hatched shadows over a flat, broken wash on cream paper."""
    paper = np.asarray((0.96, 0.91, 0.79), np.float32)
    wash = paper * (0.16 + 0.88 * saturate(np.clip(c.albedo, 0, 1), 1.1) * (0.5 + 0.5 * colour))
    tone = luma(np.clip(c.albedo * light[..., None], 0, 1))
    shadow = np.clip(1.15 - light, 0, 1) * (0.78 - 0.16 * c.subject) + 0.35 * np.clip(0.45 - tone, 0, 1)
    one = 0.5 + 0.5 * np.cos(TURN * (c.x + c.y))
    two = 0.5 + 0.5 * np.cos(TURN * (c.x - c.y))
    first = np.clip((shadow - 0.22 - 0.62 * one) * 5, 0, 1)
    cross = np.clip((shadow - 0.52 - 0.62 * two) * 5, 0, 1)
    line = gaussian_filter(np.clip(c.outline * 1.3, 0, 1), 0.45)
    stroke = np.clip(np.maximum(np.maximum(first, cross) * 0.70, line * 1.25), 0, 1)[..., None]
    return wash * (1 - stroke) + np.asarray((0.07, 0.06, 0.10)) * stroke


STYLES = {"photo": photo, "cartoon": cartoon, "watercolour": watercolour, "pencil": pencil, "oil": oil, "ink": ink}
