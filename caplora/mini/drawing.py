"""A person and a scene → what a painter needs to know of every pixel: colour, surface normal and outline.

Shapes are signed distance functions on a grid (x right, y down, both −1 … 1), so edges are soft at any size and
a style can bend the grid to make a line tremble. Light and style come later, in `styles`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caplora.mini.world import SIZE, Person, Scene

Array = NDArray[np.float32]
Colour = tuple[float, float, float] | Array

HAIR = {
    "black": (0.10, 0.09, 0.11),
    "brown": (0.40, 0.24, 0.13),
    "blonde": (0.90, 0.73, 0.36),
    "red": (0.74, 0.25, 0.10),
    "white": (0.90, 0.90, 0.92),
    "blue": (0.16, 0.36, 0.80),
}
CLOTH = {
    "red": (0.80, 0.13, 0.16),
    "blue": (0.14, 0.34, 0.76),
    "green": (0.13, 0.52, 0.26),
    "yellow": (0.95, 0.80, 0.16),
    "purple": (0.50, 0.20, 0.62),
    "black": (0.13, 0.13, 0.15),
}
YAW = {"forward": 0.0, "left": -0.42, "right": 0.42}  # radians
PIXEL = 2.0 / SIZE


@dataclass
class Canvas:
    """What is known of each pixel; painted back to front."""

    x: Array
    y: Array
    albedo: Array  # (n, n, 3) sRGB
    normal: Array  # (n, n, 3), z towards the viewer
    outline: Array  # (n, n) 0 … 1, where a draughtsman puts a line
    subject: Array  # (n, n) 0 background … 1 person
    noise: Array  # (n, n) smooth, about −1 … 1

    def paint(self, mask: Array, colour: Colour, normal: Array | None = None, line: Array | None = None) -> None:
        """Lay a colour (and a surface, and an outline) over the pixels of `mask`."""
        m = mask[..., None]
        self.albedo += m * (np.asarray(colour, np.float32) - self.albedo)
        if normal is not None:
            self.normal += m * (normal - self.normal)
            np.maximum(self.subject, mask, out=self.subject)
        self.outline *= 1 - mask
        if line is not None:
            np.maximum(self.outline, line, out=self.outline)


def inside(d: Array, soft: float = 1.0) -> Array:
    """1 inside the shape of signed distance `d`, 0 outside, `soft` pixels between."""
    return np.clip(0.5 - d / (PIXEL * soft), 0, 1).astype(np.float32)


def border(d: Array, width: float = 1.6) -> Array:
    """A line of `width` pixels along the shape's edge."""
    return inside(np.abs(d) - 0.5 * width * PIXEL)


def ellipse(x: Array, y: Array, cx: float, cy: float, rx: float, ry: float) -> Array:
    """Signed distance to an ellipse, near enough within a few pixels."""
    k = np.hypot((x - cx) / rx, (y - cy) / ry)
    return (k - 1) * np.float32(np.sqrt(rx * ry))


def segment(x: Array, y: Array, a: tuple[float, float], b: tuple[float, float], thick: float) -> Array:
    """Signed distance to a line from `a` to `b` with round ends, `thick` its half width."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    t = np.clip(((x - a[0]) * dx + (y - a[1]) * dy) / (dx * dx + dy * dy + 1e-9), 0, 1)
    return np.hypot(x - a[0] - t * dx, y - a[1] - t * dy) - thick


def arc(x: Array, y: Array, cx: float, cy: float, half: float, bend: float, thick: float) -> Array:
    """Signed distance to a parabola of half width `half` that sags by `bend` at its middle, tapering to its ends."""
    u = np.clip((x - cx) / half, -1, 1)
    over = np.maximum(np.abs(x - cx) - half, 0)
    return np.hypot(y - cy - bend * (1 - u * u), over) - thick * (1 - 0.55 * u * u)


def box(x: Array, y: Array, half_width: float, half_height: float, corner: float) -> Array:
    """Signed distance to a box around the origin with rounded corners."""
    u, v = np.abs(x) - half_width + corner, np.abs(y) - half_height + corner
    return np.hypot(np.maximum(u, 0), np.maximum(v, 0)) + np.minimum(np.maximum(u, v), 0) - corner


def dome(x: Array, y: Array, cx: float, cy: float, rx: float, ry: float, flat: float = 0.12) -> Array:
    """Normals of an ellipsoid seen from the front, (n, n, 3)."""
    u, v = (x - cx) / rx, (y - cy) / ry
    z = np.sqrt(np.clip(1 - u * u - v * v, flat, 1))
    n = np.stack([u, v, z], -1)
    return n / np.linalg.norm(n, axis=-1, keepdims=True)


@dataclass(frozen=True)
class Head:
    """Where the head of a person stands, and how a place on the face projects when it is turned."""

    cx: float
    cy: float
    w: float
    h: float
    jaw: float
    yaw: float

    def at(self, u: float, v: float) -> tuple[float, float, float]:
        """Canvas place (x, y) of the face place (u, v), and how far its width is foreshortened."""
        angle = np.arcsin(np.clip(u, -0.98, 0.98)) + self.yaw
        return self.cx + self.w * 0.96 * float(np.sin(angle)), self.cy + self.h * v, float(max(np.cos(angle), 0.35))

    def distance(self, x: Array, y: Array) -> Array:
        """Signed distance to the outline of the face, the jaw tapering below the eyes."""
        v = (y - self.cy) / self.h
        taper = 1 - self.jaw * np.clip(v, 0, 1.2) ** 2 - 0.06 * np.clip(-v, 0, 1)
        lean = self.yaw * 0.10 * np.clip(v, 0, 1)  # the chin leads when the head turns
        return (np.hypot((x - self.cx - lean) / (self.w * taper), v) - 1) * np.float32(np.sqrt(self.w * self.h))


def draw(person: Person, scene: Scene, rng: np.random.Generator, wobble: float = 0.0) -> Canvas:
    """The picture's surfaces, 128 × 128; `wobble` bends every line by about that many pixels."""
    c = blank(rng, wobble)
    head = Head(
        cx=float(rng.uniform(-0.05, 0.05)) - 0.12 * YAW[scene.pose],
        cy=float(rng.uniform(-0.10, -0.04)),
        w=0.44 * person.face_width,
        h=0.54 * person.face_height,
        jaw=person.jaw,
        yaw=YAW[scene.pose] + float(rng.uniform(-0.04, 0.04)),
    )
    paint_background(c, scene.background, rng)
    hair = np.asarray(HAIR[scene.hair_colour]) * rng.uniform(0.92, 1.06)
    cloth = np.asarray(CLOTH[scene.clothes_colour]) * rng.uniform(0.92, 1.06)
    paint_hair_behind(c, head, scene.hair, hair)
    paint_body(c, head, person, scene.clothes, cloth)
    paint_face(c, head, person)
    paint_eyes(c, head, person, scene.expression, hair)
    paint_mouth(c, head, person, scene.expression)
    paint_hair_in_front(c, head, scene.hair, hair)
    paint_glasses(c, head, person, scene.glasses)
    c.albedo = np.clip(c.albedo, 0, 1)
    return c


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
    noise = smooth_noise(rng, 10) * 0.6 + smooth_noise(rng, 26) * 0.4
    return Canvas(x, y, np.zeros_like(front), front, flat.copy(), flat.copy(), noise)


def blend(a: Colour, b: Colour, t: Array) -> Array:
    """Colours from `a` to `b` as `t` goes from 0 to 1, (n, n, 3)."""
    t = np.clip(t, 0, 1)[..., None]
    return np.asarray(a, np.float32) * (1 - t) + np.asarray(b, np.float32) * t


def paint_background(c: Canvas, background: str, rng: np.random.Generator) -> None:
    x, y = c.x, c.y
    if background == "studio":
        c.albedo[:] = blend((0.72, 0.73, 0.75), (0.46, 0.47, 0.50), np.hypot(x, y + 0.2) * 0.7)
    elif background == "park":
        c.albedo[:] = blend((0.68, 0.85, 0.95), (0.42, 0.66, 0.26), (y + 0.15) * 2.5)
        for _ in range(7):
            cx, cy, r = rng.uniform(-1.1, 1.1), rng.uniform(-0.75, -0.1), rng.uniform(0.22, 0.42)
            leaf = np.asarray((0.16, 0.42, 0.15)) * rng.uniform(0.8, 1.35)
            d = ellipse(x, y, cx, cy, r, r) + 0.06 * c.noise
            c.paint(inside(segment(x, y, (cx, cy), (cx, 0.6), 0.035)), (0.36, 0.25, 0.16))
            c.paint(inside(d, 3), leaf + 0.06 * c.noise[..., None], line=0.6 * border(d))
    elif background == "sea":
        level = rng.uniform(-0.12, 0.08)
        c.albedo[:] = blend((0.50, 0.76, 0.95), (0.90, 0.95, 0.98), (y + 1) / (level + 1))
        waves = np.sin((y - level + 0.02 * c.noise) * 38 / (0.6 + y - level).clip(0.6)) * 0.5 + 0.5
        water = blend((0.05, 0.36, 0.56), (0.16, 0.58, 0.72), 0.6 * waves + 0.4 * (y - level))
        c.paint(inside(level - y), water, line=0.6 * border(y - level))
    elif background == "sunset":
        sky = blend((0.36, 0.18, 0.45), (0.96, 0.45, 0.24), (y + 1) / 1.1)
        c.albedo[:] = sky + (blend((0.98, 0.66, 0.28), (0.99, 0.75, 0.35), y) - sky) * np.clip(y, 0, 1)[..., None]
        sun = ellipse(x, y, float(rng.choice((-0.68, 0.68))), rng.uniform(-0.5, -0.25), 0.19, 0.19)
        c.paint(inside(sun, 4), (1.0, 0.91, 0.55), line=0.6 * border(sun))
    elif background == "brick":
        row = np.floor((y + 2) / 0.2)
        across = (x + 0.2 * (row % 2) + 3) % 0.4
        joint = np.minimum(np.minimum(across, 0.4 - across), np.minimum((y + 2) % 0.2, 0.2 - (y + 2) % 0.2))
        tone = 1 + 0.13 * np.sin(row * 12.9 + np.floor((x + 0.2 * (row % 2) + 3) / 0.4) * 78.2)
        c.albedo[:] = np.asarray((0.66, 0.30, 0.22)) * (tone + 0.08 * c.noise)[..., None]
        c.paint(inside(joint - 0.017, 1.5), (0.80, 0.74, 0.68))
    else:  # city
        c.albedo[:] = blend((0.05, 0.06, 0.17), (0.16, 0.13, 0.32), (y + 1) / 1.6)
        for left in np.arange(-1.1, 1.1, 0.36):
            top, width = rng.uniform(-0.85, -0.25), 0.17
            d = np.maximum(np.abs(x - left - width) - width, top - y)
            c.paint(inside(d), np.asarray((0.12, 0.13, 0.22)) * rng.uniform(0.7, 1.4), line=0.5 * border(d))
            lit = rng.random((24, 4)) < 0.55
            i = ((y - top) / 0.12).astype(int).clip(0, 23)
            j = ((x - left) / 0.085).astype(int).clip(0, 3)
            pane = np.maximum(np.abs((y - top) % 0.12 - 0.06) - 0.030, np.abs((x - left) % 0.085 - 0.0425) - 0.021)
            c.paint(inside(np.maximum(pane, d + 0.02)) * lit[i, j], (1.0, 0.84, 0.42))


def strands(c: Canvas, head: Head, hair: Colour, across: Array) -> Array:
    """Hair colour with strands that run along constant `across`, and a sheen on the crown."""
    waves = np.sin(across * 34 + 3 * c.noise) * 0.5 + np.sin(across * 71 + 5 * c.noise) * 0.3
    crown = np.exp(-(((c.y - head.cy + 0.72 * head.h + 0.3 * (c.x - head.cx) ** 2) / 0.10) ** 2))
    base = np.asarray(hair, np.float32)
    return base * (1 + 0.20 * waves)[..., None] + (0.10 + 0.12 * base) * (crown * (1 + 0.5 * waves))[..., None]


def paint_hair_behind(c: Canvas, head: Head, style: str, hair: Colour) -> None:
    x, y = c.x - head.cx, c.y - head.cy
    w, h = head.w, head.h
    angle = np.arctan2(y + 0.1 * h, x)
    if style == "long":
        half = w * (1.22 + 0.10 * np.clip(y / h, 0, 2) + 0.03 * np.sin(y * 11))
        d = np.maximum(np.abs(x) - half, -(y + 0.2 * h))
        d = np.minimum(d, ellipse(x, y, 0, -0.18 * h, w * 1.22, h * 1.02))
    elif style == "bob":
        d = box(x, y + 0.05 * h, w * (1.18 + 0.12 * y / h), 0.86 * h, 0.12)
        d = np.minimum(d, ellipse(x, y, 0, -0.2 * h, w * 1.20, h * 1.0))
    elif style == "curly":
        r = np.hypot(x / (w * 1.62), (y + 0.22 * h) / (h * 1.20))
        d = (r - 1 - 0.055 * np.sin(angle * 15) - 0.03 * c.noise) * 0.5
    elif style == "bun":
        d = ellipse(x, y, 0, -1.22 * h, w * 0.50, h * 0.36)
        d = np.minimum(d, ellipse(x, y, 0, -0.30 * h, w * 1.08, h * 0.86))
    elif style == "spiky":
        tooth = np.abs((angle * 13 / (2 * np.pi)) % 1 - 0.5) * 2
        r = np.hypot(x / (w * 1.06), (y + 0.18 * h) / (h * 0.92))
        up = np.clip(-np.sin(angle) + 0.45, 0, 1)
        d = (r - 1 - 0.46 * tooth * up) * 0.4
    else:
        d = ellipse(x, y, 0, -0.24 * h, w * 1.10, h * 0.92)
    flow = angle if style in ("curly", "spiky", "short") else x * 1.3 + 0.1 * np.sin(y * 6)
    colour = strands(c, head, hair, flow) * 0.82
    if style == "curly":
        colour = colour * (1 + 0.30 * np.sin(x * 42 + 3 * c.noise) * np.sin(y * 42 + 3 * c.noise))[..., None]
    c.paint(inside(d), colour, dome(c.x, c.y, head.cx, head.cy, w * 1.7, h * 1.5), border(d))


def paint_hair_in_front(c: Canvas, head: Head, style: str, hair: Colour) -> None:
    """The cap of hair over the forehead, and what falls beside the face."""
    x, y = c.x - head.cx, c.y - head.cy
    w, h = head.w, head.h
    wide, tall = (1.10, 1.10) if style in ("short", "spiky", "bun") else (1.18, 1.14)
    cap = ellipse(x, y, 0, -0.10 * h, w * wide, h * tall * 0.98)
    part = w * (0.0 if style == "bun" else 0.16) + head.yaw * 0.3 * w
    drop = {"short": 1.5, "spiky": 1.2, "bun": 1.3, "curly": 1.9, "bob": 3.0, "long": 1.7}[style]
    edge = {"short": -0.56, "spiky": -0.60, "bun": -0.66, "curly": -0.50, "bob": -0.42, "long": -0.60}[style] * h
    if style == "bob":  # a straight fringe
        line = edge + np.maximum(np.abs(x) - 0.80 * w, 0) * 9
    else:
        line = edge + drop * (x - part) ** 2 + (0.03 * np.sin(x * 46) if style in ("spiky", "curly") else 0)
    d = np.maximum(cap, (y - line) * 0.7)
    if style in ("short", "spiky", "bun"):
        d = np.maximum(d, y + 0.06 * h)
    elif style == "bob":
        d = np.maximum(d, y - 0.80 * h)
    if style in ("curly", "bob"):
        out = 1.04 if style == "bob" else 1.14
        side = box(np.abs(x) - w * out, y + 0.05 * h, w * 0.21, 0.80 * h, w * 0.19)
        d = np.minimum(d, side + (0.02 * np.sin(y * 40) if style == "curly" else 0))
    elif style == "long":
        side = np.abs(np.abs(x) - w * (1.14 + 0.05 * np.sin(y * 9))) - w * 0.19
        d = np.minimum(d, np.maximum(side, -(y + 0.3 * h)))
    flow = np.arctan2(y + 1.0 * h, x - part) if style != "bob" else x * 1.4
    colour = strands(c, head, hair, flow)
    if style == "curly":
        colour = colour * (1 + 0.30 * np.sin(x * 42 + 3 * c.noise) * np.sin(y * 42 + 3 * c.noise))[..., None]
    shadow = inside(d, 9) * inside(head.distance(c.x, c.y))  # the fringe darkens the skin below it
    c.albedo *= 1 - 0.28 * shadow[..., None]
    c.paint(inside(d), colour, dome(c.x, c.y, head.cx, head.cy - 0.1 * h, w * 1.35, h * 1.3), border(d))


def paint_body(c: Canvas, head: Head, person: Person, clothes: str, cloth: Colour) -> None:
    x, y = c.x - head.cx * 0.6, c.y
    skin = np.asarray(person.skin, np.float32)
    chin = head.cy + head.h
    neck = np.maximum(np.abs(x - head.cx * 0.4) - (0.36 if person.kind == "woman" else 0.52) * head.w - 0.10 * np.clip(y - chin, 0, 1), chin - 0.3 - y)
    shade = np.exp(-(np.clip(y - chin + 0.04, 0, 1) / 0.10))[..., None]
    c.paint(inside(neck), skin * (0.92 - 0.34 * shade), dome(x, y, 0, chin, 0.30, 2.0), border(neck))
    top = chin + 0.13
    body = (top + 0.55 * np.abs(x) ** 2.4 - y) * 0.8
    body = np.maximum(body, np.abs(x) - 0.90)
    body = np.minimum(body, np.maximum(np.abs(x) - 0.30, top - 0.02 - y + 0.25 * np.abs(x)))
    fold = 1 + 0.07 * np.sin(x * 17 + 4 * c.noise) * np.clip((y - top) * 3, 0, 1)
    colour = np.asarray(cloth, np.float32) * fold[..., None]
    collar = ellipse(x, y, 0, top - 0.10, 0.25, 0.24)
    if clothes == "striped":
        stripe = inside(np.abs((y - 0.10 * x * x) % 0.17 - 0.085) - 0.040)
        colour = colour + stripe[..., None] * (np.asarray((0.95, 0.94, 0.90)) - colour)
    if clothes == "turtleneck":
        roll = box(x - head.cx * 0.4, y - top + 0.02, 0.235, 0.125, 0.04)
        body = np.minimum(body, roll)
    c.paint(inside(body), colour, dome(x, y, 0, 1.25, 1.15, 1.05), border(body))
    if clothes == "turtleneck":
        c.paint(inside(roll), colour * 1.10, dome(x, y, 0, top, 0.34, 0.6), border(roll))
        fold_line = inside(np.abs(y - top + 0.02) - 0.008) * inside(roll + 0.02)
        c.paint(fold_line * 0.8, colour * 0.6)
    elif clothes == "shirt":
        opening = np.maximum(np.abs(x) - 0.62 * (top + 0.24 - y), -(y - top + 0.20))
        c.paint(inside(opening), skin * 0.94, line=border(opening))
        pale = 0.45 * np.asarray(cloth, np.float32) + 0.55
        for side in (-1, 1):
            u = x * side
            flap = np.maximum(np.abs(u - 0.16 + 0.35 * (y - top)) - 0.095, np.abs(y - top + 0.01 - 0.4 * (u - 0.15)) - 0.125)
            c.paint(inside(flap), pale, dome(x, y, 0, 1.0, 1.0, 1.0), border(flap))
        buttons = np.hypot(x, (y - top - 0.05) % 0.15 - 0.075) - 0.020
        c.paint(inside(buttons) * inside(top + 0.20 - y), (0.97, 0.96, 0.93))
        c.paint(inside(np.abs(x - 0.03) - 0.006) * inside(top + 0.24 - y) * 0.7, np.asarray(cloth) * 0.55)
    else:
        c.paint(inside(collar) * inside(0.03 - (y - top + 0.14)) * inside(neck - 0.2), skin * 0.93)
        rim = inside(np.abs(collar) - 0.014) * inside(top - 0.04 - y)
        c.paint(rim, np.asarray(cloth) * 0.72, line=rim * 0.6)


def paint_face(c: Canvas, head: Head, person: Person) -> None:
    x, y = c.x, c.y
    skin = np.asarray(person.skin, np.float32)
    for side in (-1, 1):
        if side * head.yaw > 0.2:
            continue  # the far ear is hidden
        ex = head.cx + side * head.w * (0.99 - 0.10 * abs(head.yaw))
        ear = ellipse(x, y, ex, head.cy + 0.06, 0.065 * person.ear_size, 0.115 * person.ear_size)
        c.paint(inside(ear), skin * 0.93, dome(x, y, ex, head.cy, 0.1, 0.2), border(ear))
        c.paint(inside(ellipse(x, y, ex, head.cy + 0.06, 0.028, 0.06 * person.ear_size), 2) * 0.5, skin * 0.62)
    face = head.distance(x, y)
    c.paint(inside(face), skin, dome(x, y, head.cx, head.cy, head.w * 1.12, head.h * 1.12), border(face))
    for side in (-1, 1):  # cheeks
        bx, by, squeeze = head.at(0.58 * side, 0.32)
        cheek = np.exp(-(((x - bx) / (0.11 * squeeze)) ** 2) - ((y - by) / 0.09) ** 2)
        c.paint(0.30 * cheek * inside(face), skin * np.asarray((1.02, 0.70, 0.66)))
    if person.freckles:
        dots = np.random.default_rng(int(person.face_width * 1e6)).uniform(-1, 1, (16, 2))
        for u, v in dots:
            fx, fy, _ = head.at(0.55 * u, 0.20 + 0.16 * v)
            c.paint(inside(np.hypot(x - fx, y - fy) - 0.009, 1.5) * 0.55 * person.freckles, skin * (0.72, 0.55, 0.45))
    if person.beard:
        below = inside(0.42 * head.h - (y - head.cy) + 1.1 * np.abs(x - head.cx) ** 2 * -1.4, 8)
        c.paint(0.75 * person.beard * below * inside(face), skin * (0.42, 0.36, 0.34))
    paint_nose(c, head, person, skin)
    if person.mole:
        mx, my, _ = head.at(*person.mole)
        c.paint(inside(np.hypot(x - mx, y - my) - 0.024), (0.25, 0.14, 0.10))


def paint_nose(c: Canvas, head: Head, person: Person, skin: Array) -> None:
    x, y = c.x, c.y
    tip = 0.08 + 0.26 * person.nose_length
    nx, ny, _ = head.at(0.0, tip)
    nx += 0.10 * head.yaw * head.w
    rx, ry = 0.075 * person.nose_width, 0.16 * person.nose_length
    bump = np.exp(-(((x - nx) / rx) ** 2) - ((y - ny + 0.4 * ry) / ry) ** 2)[..., None]
    c.normal += bump * 0.9 * np.stack([(x - nx) / rx, 0.8 * (y - ny + 0.2 * ry) / ry, 0 * x], -1)
    c.normal /= np.linalg.norm(c.normal, axis=-1, keepdims=True)
    under = arc(x, y, nx, ny + 0.01, rx * 0.95, 0.025, 0.011)
    c.paint(inside(under) * 0.75, skin * (0.58, 0.45, 0.42), line=inside(under) * 0.8)
    if abs(head.yaw) > 0.2:  # the bridge shows from the side
        s = np.sign(head.yaw)
        bridge = segment(x, y, (nx + s * 0.2 * rx, ny - 1.6 * ry), (nx + s * rx, ny), 0.008)
        c.paint(inside(bridge, 2) * 0.55, skin * (0.66, 0.52, 0.48), line=inside(bridge) * 0.6)


OPEN = {"smiling": 0.84, "serious": 0.84, "surprised": 1.35, "sad": 0.78}  # how far the eyes are open
BROW_LIFT = {"smiling": 0.02, "serious": -0.035, "surprised": 0.10, "sad": 0.03}
BROW_SLANT = {"smiling": 0.0, "serious": -0.16, "surprised": 0.0, "sad": 0.42}  # inner end up when positive


def paint_eyes(c: Canvas, head: Head, person: Person, expression: str, hair: Colour) -> None:
    x, y = c.x, c.y
    for side in (-1, 1):
        ex, ey, squeeze = head.at(0.41 * person.eye_gap * side, 0.02)
        rx = 0.098 * person.eye_size * (0.45 + 0.55 * squeeze)
        ry = 0.066 * person.eye_size * OPEN[expression]
        tilted = y + side * person.eye_tilt * (x - ex)
        white = ellipse(x, tilted, ex, ey, rx, ry)
        c.paint(inside(white), (0.97, 0.97, 0.96), line=border(white, 1.2))
        gaze = ex + 0.05 * head.yaw * rx / 0.1
        iris = inside(np.hypot(x - gaze, tilted - ey) - 0.050 * person.eye_size) * inside(white)
        c.paint(iris, person.iris)
        pupil = inside(np.hypot(x - gaze, tilted - ey) - 0.024 * person.eye_size) * inside(white)
        c.paint(pupil, (0.04, 0.04, 0.05))
        glint = np.hypot(x - gaze + 0.018, tilted - ey + 0.020) - 0.012
        c.paint(inside(glint) * inside(white), (1, 1, 1))
        lash = 0.016 if person.kind == "woman" else 0.009
        lid = arc(x, tilted, ex, ey, rx * 1.08, -ry * 1.05, lash)
        c.paint(inside(lid), (0.12, 0.08, 0.08), line=inside(lid))
        bx, by, _ = head.at(0.43 * person.eye_gap * side, -0.20 * person.brow_height)
        slope = side * (BROW_SLANT[expression] + 0.10)
        brow = arc(
            x, y + BROW_LIFT[expression] - slope * (x - bx), bx, by, rx * 1.20, -0.025, 0.017 * person.brow_weight
        )
        dark = 0.55 * np.asarray(hair, np.float32) * 0.8 + 0.05
        c.paint(inside(brow) * 0.95, dark, line=inside(brow) * 0.7)


def paint_mouth(c: Canvas, head: Head, person: Person, expression: str) -> None:
    x, y = c.x, c.y
    mx, my, _ = head.at(0.0, 0.62)
    mx += 0.04 * head.yaw * head.w
    half = 0.135 * person.mouth_width * (1 - 0.25 * abs(head.yaw))
    skin = np.asarray(person.skin, np.float32)
    rosy = 0.88 if person.kind == "woman" else 0.12
    lip = skin * (1 - rosy) * 0.82 + np.asarray((0.76, 0.22, 0.26)) * rosy * (0.5 + 0.5 * skin[0])
    full = 0.026 * person.lip_fullness
    if expression == "surprised":
        ring = ellipse(x, y, mx, my + 0.02, half * 0.52, 0.085)
        c.paint(inside(ring - full * 0.7), lip, line=border(ring - full * 0.7, 1.2))
        c.paint(inside(ring), (0.28, 0.07, 0.08), line=border(ring, 1.0))
        return
    if expression == "smiling":
        u = np.clip((x - mx) / (half * 1.25), -1, 1)
        upper, lower = 0.02 * (1 - u * u) - 0.035, 0.105 * (1 - u * u) - 0.035
        d = np.maximum(np.maximum(upper - (y - my), (y - my) - lower), np.abs(x - mx) - half * 1.25)
        c.paint(inside(d - full * 0.6), lip, line=border(d - full * 0.6, 1.2))
        c.paint(inside(d), (0.98, 0.97, 0.95), line=border(d, 0.8))
        return
    bend = -0.075 if expression == "sad" else 0.004
    drop = 0.03 if expression == "sad" else 0.0
    lips = arc(x, y, mx, my + drop, half, bend, full * 1.25)
    c.paint(inside(lips), lip, line=0.4 * border(lips, 1.0))
    between = arc(x, y, mx, my + drop, half, bend, 0.009)
    c.paint(inside(between), (0.35, 0.12, 0.12), line=inside(between))


def paint_glasses(c: Canvas, head: Head, person: Person, glasses: str) -> None:
    if glasses == "none":
        return
    x, y = c.x, c.y
    places = [head.at(0.41 * person.eye_gap * side, 0.03) for side in (-1, 1)]
    frame = (0.09, 0.08, 0.09)
    for ex, ey, squeeze in places:
        rx, ry = 0.150 * (0.45 + 0.55 * squeeze), 0.118
        lens = ellipse(x, y, ex, ey, rx, ry) if glasses == "glasses" else ellipse(x, y - 0.01, ex, ey, rx * 1.08, ry * 1.06)
        if glasses == "sunglasses":
            glass = blend((0.05, 0.05, 0.07), (0.22, 0.20, 0.24), (y - ey + ry) / (2 * ry))
            c.paint(inside(lens), glass)
            c.paint(inside(segment(x, y, (ex - 0.06, ey - 0.02), (ex - 0.01, ey - 0.06), 0.010)) * 0.7, (0.75, 0.78, 0.82))
        c.paint(inside(np.abs(lens) - 0.014), frame, line=inside(np.abs(lens) - 0.014))
    (lx, ly, ls), (rx_, ry_, rs) = places
    bridge = segment(x, y, (lx + 0.14 * (0.45 + 0.55 * ls), ly - 0.02), (rx_ - 0.14 * (0.45 + 0.55 * rs), ry_ - 0.02), 0.013)
    c.paint(inside(bridge), frame, line=inside(bridge))
    for side, (ex, ey, s) in zip((-1, 1), places, strict=True):
        if side * head.yaw < 0.2:
            start = ex + side * 0.15 * (0.45 + 0.55 * s)
            temple = segment(x, y, (start, ey - 0.02), (head.cx + side * head.w * 0.98, ey - 0.04), 0.011)
            c.paint(inside(temple), frame, line=inside(temple))
