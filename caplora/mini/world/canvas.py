"""The canvas: the surface at each pixel, before light and style, and the shapes that can be painted on it.

Shapes are signed distance functions on a grid (x right, y down, both −1 … 1). So edges are soft at any size, and
a style can bend the grid to make lines tremble.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caplora.mini.world.world import SIZE

Array = NDArray[np.floating]
Colour = tuple[float, float, float] | Array
PIXEL = 2.0 / SIZE
CELL = 8 * PIXEL  # the period of textures: an autoencoder that shrinks eightfold can learn these


@dataclass
class Canvas:
    """Colour, surface, outline and subject of each pixel; painted from back to front."""

    x: Array
    y: Array
    albedo: Array  # (n, n, 3) sRGB
    normal: Array  # (n, n, 3), z towards the viewer
    outline: Array  # (n, n) 0 … 1, where a draughtsman puts a line
    subject: Array  # (n, n) 0 background … 1 person
    noise: Array  # (n, n) smooth, about −1 … 1

    def paint(self, mask: Array, colour: Colour, normal: Array | None = None, line: Array | None = None) -> None:
        """Paint the pixels of `mask` with a colour, and if given with a surface normal and an outline."""
        m = mask[..., None]
        self.albedo += m * (np.asarray(colour, np.float32) - self.albedo)
        if normal is not None:
            self.normal += m * (normal - self.normal)
            np.maximum(self.subject, mask, out=self.subject)
        self.outline *= 1 - mask
        if line is not None:
            np.maximum(self.outline, line, out=self.outline)


def smooth_noise(rng: np.random.Generator, cells: int) -> Array:
    """Noise with about `cells` bumps across, (n, n), roughly −1 … 1."""
    grid = rng.uniform(-1, 1, (cells + 2, cells + 2)).astype(np.float32)
    t = np.linspace(0, cells, SIZE, endpoint=False, dtype=np.float32)
    i, f = t.astype(int), t % 1
    f = f * f * (3 - 2 * f)
    rows = grid[i] * (1 - f)[:, None] + grid[i + 1] * f[:, None]
    return rows[:, i] * (1 - f) + rows[:, i + 1] * f


def blank(rng: np.random.Generator, wobble: float) -> Canvas:
    """An empty canvas whose grid trembles by `wobble` pixels."""
    t = ((np.arange(SIZE) + 0.5) * PIXEL - 1).astype(np.float32)
    x, y = np.meshgrid(t, t)
    if wobble:
        x = x + PIXEL * wobble * smooth_noise(rng, 14)
        y = y + PIXEL * wobble * smooth_noise(rng, 14)
    front = np.zeros((SIZE, SIZE, 3), np.float32)
    front[..., 2] = 1
    flat = np.zeros((SIZE, SIZE), np.float32)
    noise = smooth_noise(rng, 8) * 0.7 + smooth_noise(rng, 16) * 0.3
    return Canvas(x, y, np.zeros_like(front), front, flat.copy(), flat.copy(), noise)


def blend(a: Colour, b: Colour, t: Array) -> Array:
    """Colours from `a` to `b` as `t` goes from 0 to 1, (n, n, 3)."""
    t = np.clip(t, 0, 1)[..., None]
    return np.asarray(a, np.float32) * (1 - t) + np.asarray(b, np.float32) * t


def inside(d: Array, soft: float = 1.0) -> Array:
    """A mask: 1 inside the shape of signed distance `d`, 0 outside, with an edge `soft` pixels wide."""
    return np.clip(0.5 - d / (PIXEL * soft), 0, 1).astype(np.float32)


def border(d: Array, width: float = 1.6) -> Array:
    """A mask of a line, `width` pixels wide, along the edge of the shape of signed distance `d`."""
    return inside(np.abs(d) - 0.5 * width * PIXEL)


def ellipse(x: Array, y: Array, cx: float, cy: float, rx: float, ry: float) -> Array:
    """Signed distance to an ellipse, approximate but good within a few pixels of its edge."""
    k = np.hypot((x - cx) / rx, (y - cy) / ry)
    return (k - 1) * np.float32(np.sqrt(rx * ry))


def segment(x: Array, y: Array, a: tuple[float, float], b: tuple[float, float], thick: float) -> Array:
    """Signed distance to a line from `a` to `b` with round ends; `thick` is half its width."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    t = np.clip(((x - a[0]) * dx + (y - a[1]) * dy) / (dx * dx + dy * dy + 1e-9), 0, 1)
    return np.hypot(x - a[0] - t * dx, y - a[1] - t * dy) - thick


def arc(x: Array, y: Array, cx: float, cy: float, half: float, bend: float, thick: float) -> Array:
    """Signed distance to a parabola of half width `half` that sags by `bend` in the middle; its ends are thinner."""
    u = np.clip((x - cx) / half, -1, 1)
    over = np.maximum(np.abs(x - cx) - half, 0)
    return np.hypot(y - cy - bend * (1 - u * u), over) - thick * (1 - 0.55 * u * u)


def box(x: Array, y: Array, half_width: float | Array, half_height: float, corner: float) -> Array:
    """Signed distance to a box around the origin with rounded corners."""
    u, v = np.abs(x) - half_width + corner, np.abs(y) - half_height + corner
    return np.hypot(np.maximum(u, 0), np.maximum(v, 0)) + np.minimum(np.maximum(u, v), 0) - corner


def dome(x: Array, y: Array, cx: float, cy: float, rx: float, ry: float, flat: float = 0.12) -> Array:
    """Normals of an ellipsoid seen from the front, (n, n, 3)."""
    u, v = (x - cx) / rx, (y - cy) / ry
    z = np.sqrt(np.clip(1 - u * u - v * v, flat, 1))
    n = np.stack([u, v, z], -1)
    return n / np.linalg.norm(n, axis=-1, keepdims=True)
