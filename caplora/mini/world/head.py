"""The head: where each place of a face is when it is turned, and how face, eyes, mouth and glasses are painted."""

from dataclasses import dataclass

import numpy as np

from caplora.mini.world.canvas import Array, Canvas, Colour, arc, blend, border, dome, ellipse, inside, segment
from caplora.mini.world.world import Person

OPEN = {"smiling": 0.84, "serious": 0.84, "surprised": 1.35, "sad": 0.78}  # how far the eyes are open
BROW_LIFT = {"smiling": 0.02, "serious": -0.035, "surprised": 0.10, "sad": 0.03}
BROW_SLANT = {"smiling": 0.0, "serious": -0.16, "surprised": 0.0, "sad": 0.42}  # inner end up when positive


@dataclass(frozen=True)
class Head:
    """Position, size and turn of a head on the canvas; angles in radians."""

    cx: float
    cy: float
    w: float
    h: float
    jaw: float
    yaw: float

    def at(self, u: float, v: float) -> tuple[float, float, float]:
        """Where the place (u, v) of the face is on the canvas, (x, y), and the factor by which widths shrink there."""
        angle = np.arcsin(np.clip(u, -0.98, 0.98)) + self.yaw
        return self.cx + self.w * 0.96 * float(np.sin(angle)), self.cy + self.h * v, float(max(np.cos(angle), 0.35))

    def distance(self, x: Array, y: Array) -> Array:
        """Signed distance to the outline of the face, which narrows towards the chin."""
        v = (y - self.cy) / self.h
        taper = 1 - self.jaw * np.clip(v, 0, 1.2) ** 2 - 0.06 * np.clip(-v, 0, 1)
        lean = self.yaw * 0.10 * np.clip(v, 0, 1)  # when the head turns, the chin moves furthest
        return (np.hypot((x - self.cx - lean) / (self.w * taper), v) - 1) * np.float32(np.sqrt(self.w * self.h))


def paint_face(c: Canvas, head: Head, person: Person) -> None:
    """Paint ears, skin, cheeks, freckles, beard, nose and mole."""
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
    """Paint the nose: a bump in the surface, its shadow, and the bridge where the head is turned."""
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


def paint_eyes(c: Canvas, head: Head, person: Person, expression: str, hair: Colour) -> None:
    """Paint eyes, lashes and brows with an expression."""
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
    """Paint the mouth with an expression."""
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
    """Paint glasses or sunglasses, or nothing for "none"."""
    if glasses == "none":
        return
    x, y = c.x, c.y
    places = [head.at(0.41 * person.eye_gap * side, 0.03) for side in (-1, 1)]
    frame = (0.09, 0.08, 0.09)
    for ex, ey, squeeze in places:
        rx, ry = 0.150 * (0.45 + 0.55 * squeeze), 0.118
        lens = (
            ellipse(x, y, ex, ey, rx, ry)
            if glasses == "glasses"
            else ellipse(x, y - 0.01, ex, ey, rx * 1.08, ry * 1.06)
        )
        if glasses == "sunglasses":
            glass = blend((0.05, 0.05, 0.07), (0.22, 0.20, 0.24), (y - ey + ry) / (2 * ry))
            c.paint(inside(lens), glass)
            c.paint(
                inside(segment(x, y, (ex - 0.06, ey - 0.02), (ex - 0.01, ey - 0.06), 0.010)) * 0.7, (0.75, 0.78, 0.82)
            )
        c.paint(inside(np.abs(lens) - 0.014), frame, line=inside(np.abs(lens) - 0.014))
    (lx, ly, ls), (rx_, ry_, rs) = places
    bridge = segment(
        x, y, (lx + 0.14 * (0.45 + 0.55 * ls), ly - 0.02), (rx_ - 0.14 * (0.45 + 0.55 * rs), ry_ - 0.02), 0.013
    )
    c.paint(inside(bridge), frame, line=inside(bridge))
    for side, (ex, ey, s) in zip((-1, 1), places, strict=True):
        if side * head.yaw < 0.2:
            start = ex + side * 0.15 * (0.45 + 0.55 * s)
            temple = segment(x, y, (start, ey - 0.02), (head.cx + side * head.w * 0.98, ey - 0.04), 0.011)
            c.paint(inside(temple), frame, line=inside(temple))
