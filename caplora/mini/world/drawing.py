"""A person and a scene → a painted `Canvas`, from background to glasses. Light and style come later, in `styles`."""

import numpy as np

from caplora.mini.world.canvas import (
    CELL,
    Array,
    Canvas,
    Colour,
    blank,
    blend,
    border,
    box,
    dome,
    ellipse,
    inside,
    segment,
)
from caplora.mini.world.hair import paint_hair_behind, paint_hair_in_front
from caplora.mini.world.head import Head, paint_eyes, paint_face, paint_glasses, paint_mouth
from caplora.mini.world.world import Person, Scene

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


def draw(person: Person, scene: Scene, rng: np.random.Generator, wobble: float = 0.0) -> Canvas:
    """The canvas of `person` in `scene`, 128 × 128; `wobble` bends every line by about that many pixels."""
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


def paint_background(c: Canvas, background: str, rng: np.random.Generator) -> None:
    """Paint what is behind the person: a value of the attribute `background`."""
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
        high, wide = 2 * CELL, 4 * CELL
        row = np.floor((y + 2) / high)
        along = x + 0.5 * wide * (row % 2) + 3
        joint = np.minimum(np.minimum(along % wide, -along % wide), np.minimum((y + 2) % high, -(y + 2) % high))
        tone = 1 + 0.13 * np.sin(row * 12.9 + np.floor(along / wide) * 78.2)
        c.albedo[:] = np.asarray((0.66, 0.30, 0.22)) * (tone + 0.08 * c.noise)[..., None]
        c.paint(inside(joint - 0.017, 1.5), (0.80, 0.74, 0.68))
    else:  # city
        c.albedo[:] = blend((0.05, 0.06, 0.17), (0.16, 0.13, 0.32), (y + 1) / 1.6)
        for left in np.arange(-1.0, 1.0, 3 * CELL):
            top = CELL * rng.integers(-7, -2)
            d = np.maximum(np.abs(x - left - 1.5 * CELL) - 1.4 * CELL, top - y)
            c.paint(inside(d), np.asarray((0.12, 0.13, 0.22)) * rng.uniform(0.7, 1.4), line=0.5 * border(d))
            lit = rng.random((9, 3)) < 0.6
            i, j = ((y - top) / (2 * CELL)).astype(int).clip(0, 8), ((x - left) / CELL).astype(int).clip(0, 2)
            pane = box((x - left) % CELL - 0.5 * CELL, (y - top) % (2 * CELL) - CELL, 0.28 * CELL, 0.55 * CELL, 0.01)
            c.paint(inside(np.maximum(pane, d + 0.02), 1.5) * lit[i, j], (1.0, 0.84, 0.42))


def paint_body(c: Canvas, head: Head, person: Person, clothes: str, cloth: Colour) -> None:
    """Paint neck, shoulders and clothes."""
    x, y = c.x - head.cx * 0.6, c.y
    skin = np.asarray(person.skin, np.float32)
    chin = head.cy + head.h
    neck = np.maximum(
        np.abs(x - head.cx * 0.4)
        - (0.36 if person.kind == "woman" else 0.52) * head.w
        - 0.10 * np.clip(y - chin, 0, 1),
        chin - 0.3 - y,
    )
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
        stripe = inside(np.abs((y - 0.10 * x * x) % (1.5 * CELL) - 0.75 * CELL) - 0.045)
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
        paint_shirt(c, x, y, top, skin, cloth)
    else:
        c.paint(inside(collar) * inside(0.03 - (y - top + 0.14)) * inside(neck - 0.2), skin * 0.93)
        rim = inside(np.abs(collar) - 0.014) * inside(top - 0.04 - y)
        c.paint(rim, np.asarray(cloth) * 0.72, line=rim * 0.6)


def paint_shirt(c: Canvas, x: Array, y: Array, top: float, skin: Array, cloth: Colour) -> None:
    """Paint a shirt's open collar, its flaps and the buttons; `top` is where the shoulders begin."""
    opening = np.maximum(np.abs(x) - 0.62 * (top + 0.24 - y), -(y - top + 0.20))
    c.paint(inside(opening), skin * 0.94, line=border(opening))
    pale = 0.45 * np.asarray(cloth, np.float32) + 0.55
    for side in (-1, 1):
        u = x * side
        flap = np.maximum(
            np.abs(u - 0.16 + 0.35 * (y - top)) - 0.095, np.abs(y - top + 0.01 - 0.4 * (u - 0.15)) - 0.125
        )
        c.paint(inside(flap), pale, dome(x, y, 0, 1.0, 1.0, 1.0), border(flap))
    buttons = np.hypot(x, (y - top - 0.05) % 0.15 - 0.075) - 0.020
    c.paint(inside(buttons) * inside(top + 0.20 - y), (0.97, 0.96, 0.93))
    c.paint(inside(np.abs(x - 0.03) - 0.006) * inside(top + 0.24 - y) * 0.7, np.asarray(cloth) * 0.55)
