"""Hair, painted in two layers: behind the head, and in front of it."""

import numpy as np

from caplora.mini.world.canvas import CELL, Array, Canvas, Colour, border, box, dome, ellipse, inside
from caplora.mini.world.head import Head


def strands(c: Canvas, head: Head, hair: Colour, across: Array) -> Array:
    """The colour of hair, (n, n, 3), with a sheen on the crown; strands follow lines of equal `across`."""
    waves = np.sin(across * 26 + 2 * c.noise)
    crown = np.exp(-(((c.y - head.cy + 0.72 * head.h + 0.3 * (c.x - head.cx) ** 2) / 0.10) ** 2))
    base = np.asarray(hair, np.float32)
    return base * (1 + 0.12 * waves)[..., None] + (0.10 + 0.12 * base) * (crown * (1 + 0.3 * waves))[..., None]


def curls(c: Canvas) -> Array:
    """The factor by which curls darken or lighten hair, (n, n), around 1."""
    turn = np.float32(2 * np.pi / CELL)
    return 1 + 0.22 * np.sin(turn * c.x) * np.sin(turn * c.y)


def paint_hair_behind(c: Canvas, head: Head, style: str, hair: Colour) -> None:
    """Paint the hair that is seen behind the head."""
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
        colour = colour * curls(c)[..., None]
    c.paint(inside(d), colour, dome(c.x, c.y, head.cx, head.cy, w * 1.7, h * 1.5), border(d))


def paint_hair_in_front(c: Canvas, head: Head, style: str, hair: Colour) -> None:
    """Paint the hair over the forehead and beside the face."""
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
        colour = colour * curls(c)[..., None]
    shadow = inside(d, 9) * inside(head.distance(c.x, c.y))  # the fringe darkens the skin below it
    c.albedo *= 1 - 0.28 * shadow[..., None]
    c.paint(inside(d), colour, dome(c.x, c.y, head.cx, head.cy - 0.1 * h, w * 1.35, h * 1.3), border(d))
