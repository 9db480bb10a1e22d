"""What actors look like: a few tapered blocks and surface patches per shape, shared by camera and line of sight.

Everything is relative to the actor's box: x as a fraction of the length (0 = centre, 0.5 = front), y of the width
(negative = left), z of the height (0 = ground), so that one table fits every size.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simdrive.sim.state import Float, Int, Shape


class Paint(IntEnum):
    """Surface of a block or patch; lamps follow the actor's lights."""

    BODY = 0  # the actor's own colour
    BODY_DARK = 1
    GLASS = 2
    TYRE = 3
    RIM = 4
    SKIN = 5
    HAIR = 6
    TROUSERS = 7
    CARGO = 8
    METAL = 9
    WHITE = 10
    RED = 11
    PLATE = 12
    UNDERSIDE = 13
    WINDOW_ROW = 14
    BRAKE_LEFT = 15
    BRAKE_RIGHT = 16
    BRAKE_HIGH = 17  # drawn only while braking
    INDICATOR_LEFT = 18  # drawn only while flashing
    INDICATOR_RIGHT = 19
    HEADLAMP = 20
    BLUE_LAMP = 21


LAMPS_FROM = int(Paint.BRAKE_LEFT)
PAINT_COLOURS: Float = np.array(
    [
        (150, 150, 155),  # BODY: replaced by the actor's colour
        (90, 90, 95),  # BODY_DARK: likewise, darkened
        (38, 48, 60),
        (24, 24, 26),
        (120, 122, 126),
        (214, 168, 138),
        (52, 38, 30),
        (44, 50, 70),
        (206, 208, 206),
        (120, 124, 130),
        (236, 236, 232),
        (196, 36, 34),
        (232, 230, 214),
        (30, 31, 34),
        (52, 62, 76),
        (112, 14, 18),  # lamps: unlit colour
        (112, 14, 18),
        (112, 14, 18),
        (190, 120, 30),
        (190, 120, 30),
        (214, 220, 226),
        (40, 80, 200),
    ],
    dtype=np.float64,
)

REAR, FRONT, LEFT, RIGHT, TOP = range(5)


class Block(NamedTuple):
    """A tapered block: bottom and top rectangle."""

    x_bottom: tuple[float, float]
    x_top: tuple[float, float]
    half_width: tuple[float, float]  # bottom, top
    z: tuple[float, float]
    paint: Paint
    y: float = 0.0
    swing: float = 0.0  # how far the bottom swings along x while walking, fraction of the length
    disc: bool = False  # the sides are drawn as discs (wheels)
    detail: int = 0  # 0 always, 1 from medium size on, 2 only near


class Patch(NamedTuple):
    """A rectangle on a face of the block before it: across and up are fractions of the face."""

    faces: tuple[int, ...]
    across: tuple[float, float]  # rear, front: left to right; left, right: rear to front
    up: tuple[float, float]
    paint: Paint
    detail: int = 1


class Wheel(NamedTuple):
    """A disc on both side faces of the block before it, standing on the ground."""

    x: float  # fraction of the block's length, 0 = rear
    radius_m: float


def _upright(x: tuple[float, float], half_width: float, z: tuple[float, float], paint: Paint) -> Block:
    return Block(x, x, (half_width, half_width), z, paint)


def _lamps(up: tuple[float, float], width: float, indicator_up: tuple[float, float]) -> list[Patch]:
    """Brake lamps at both edges of the rear, indicators beside them, at the front and on the flanks."""
    inner = width + 0.16
    return [
        Patch((REAR,), (0.02, width), up, Paint.BRAKE_LEFT, 0),
        Patch((REAR,), (1.0 - width, 0.98), up, Paint.BRAKE_RIGHT, 0),
        Patch((REAR,), (0.0, 0.15), indicator_up, Paint.INDICATOR_LEFT, 0),
        Patch((REAR,), (0.85, 1.0), indicator_up, Paint.INDICATOR_RIGHT, 0),
        Patch((FRONT,), (0.04, inner - 0.12), up, Paint.HEADLAMP, 0),
        Patch((FRONT,), (1.12 - inner, 0.96), up, Paint.HEADLAMP, 0),
        Patch((FRONT,), (0.0, 0.15), indicator_up, Paint.INDICATOR_LEFT, 0),
        Patch((FRONT,), (0.85, 1.0), indicator_up, Paint.INDICATOR_RIGHT, 0),
        Patch((LEFT,), (0.90, 0.97), up, Paint.INDICATOR_LEFT, 0),
        Patch((RIGHT,), (0.90, 0.97), up, Paint.INDICATOR_RIGHT, 0),
    ]


def _car(top: float) -> list[Block | Patch | Wheel]:
    """Body, greenhouse, wheels, lamps; ``top`` is the roof as a fraction of the height."""
    sill, waist = 0.15 * top, 0.60 * top
    return [
        Block((-0.5, 0.5), (-0.49, 0.48), (0.49, 0.48), (sill, waist), Paint.BODY),
        Wheel(0.19, 0.33),
        Wheel(0.81, 0.33),
        Patch((REAR, FRONT), (0.03, 0.14), (-0.36, 0.0), Paint.TYRE, 1),
        Patch((REAR, FRONT), (0.86, 0.97), (-0.36, 0.0), Paint.TYRE, 1),
        Patch((REAR, FRONT), (0.04, 0.96), (0.0, 0.30), Paint.BODY_DARK, 2),
        Patch((REAR, FRONT), (0.36, 0.64), (0.30, 0.48), Paint.PLATE, 2),
        *_lamps((0.52, 0.92), 0.24, (0.46, 0.80)),
        Block((-0.44, 0.23), (-0.30, 0.04), (0.47, 0.37), (waist, top), Paint.BODY),
        Patch((REAR, FRONT), (0.06, 0.94), (0.05, 0.82), Paint.GLASS, 0),
        Patch((LEFT, RIGHT), (0.05, 0.47), (0.06, 0.84), Paint.GLASS, 0),
        Patch((LEFT, RIGHT), (0.52, 0.94), (0.06, 0.84), Paint.GLASS, 0),
        Patch((REAR,), (0.36, 0.64), (0.66, 0.84), Paint.BRAKE_HIGH, 0),
    ]


_TRUCK: list[Block | Patch | Wheel] = [
    _upright((-0.48, 0.48), 0.38, (0.10, 0.24), Paint.UNDERSIDE),
    Wheel(0.10, 0.5),
    Wheel(0.22, 0.5),
    Wheel(0.90, 0.5),
    Patch((REAR, FRONT), (0.0, 0.22), (-0.7, 0.2), Paint.TYRE, 1),
    Patch((REAR, FRONT), (0.78, 1.0), (-0.7, 0.2), Paint.TYRE, 1),
    Block((-0.5, 0.29), (-0.5, 0.29), (0.5, 0.5), (0.22, 1.0), Paint.CARGO),
    Patch((REAR,), (0.03, 0.97), (0.14, 0.97), Paint.WHITE, 1),
    Patch((REAR,), (0.485, 0.515), (0.14, 0.97), Paint.METAL, 2),
    Patch((REAR,), (0.0, 1.0), (0.0, 0.12), Paint.BODY_DARK, 0),
    Patch((REAR,), (0.40, 0.60), (0.02, 0.09), Paint.PLATE, 2),
    Patch((REAR,), (0.14, 0.32), (0.01, 0.12), Paint.BRAKE_LEFT, 0),
    Patch((REAR,), (0.68, 0.86), (0.01, 0.12), Paint.BRAKE_RIGHT, 0),
    Patch((REAR,), (0.01, 0.11), (0.01, 0.12), Paint.INDICATOR_LEFT, 0),
    Patch((REAR,), (0.89, 0.99), (0.01, 0.12), Paint.INDICATOR_RIGHT, 0),
    Patch((LEFT, RIGHT), (0.03, 0.97), (0.30, 0.36), Paint.BODY, 1),
    Block((0.31, 0.5), (0.32, 0.49), (0.48, 0.46), (0.12, 0.86), Paint.BODY),
    Patch((FRONT,), (0.06, 0.94), (0.50, 0.90), Paint.GLASS, 0),
    Patch((LEFT, RIGHT), (0.40, 0.96), (0.52, 0.88), Paint.GLASS, 1),
    Patch((FRONT,), (0.03, 0.24), (0.08, 0.22), Paint.HEADLAMP, 0),
    Patch((FRONT,), (0.76, 0.97), (0.08, 0.22), Paint.HEADLAMP, 0),
    Patch((FRONT,), (0.0, 0.14), (0.05, 0.22), Paint.INDICATOR_LEFT, 0),
    Patch((FRONT,), (0.86, 1.0), (0.05, 0.22), Paint.INDICATOR_RIGHT, 0),
    Patch((FRONT,), (0.28, 0.72), (0.10, 0.40), Paint.BODY_DARK, 2),
    Patch((LEFT,), (0.80, 1.0), (0.20, 0.32), Paint.INDICATOR_LEFT, 0),
    Patch((RIGHT,), (0.80, 1.0), (0.20, 0.32), Paint.INDICATOR_RIGHT, 0),
]

_VAN: list[Block | Patch | Wheel] = [
    Block((-0.5, 0.5), (-0.49, 0.48), (0.5, 0.49), (0.12, 0.52), Paint.BODY),
    Wheel(0.18, 0.36),
    Wheel(0.82, 0.36),
    Patch((REAR, FRONT), (0.03, 0.14), (-0.30, 0.0), Paint.TYRE, 1),
    Patch((REAR, FRONT), (0.86, 0.97), (-0.30, 0.0), Paint.TYRE, 1),
    Patch((REAR, FRONT), (0.04, 0.96), (0.0, 0.24), Paint.BODY_DARK, 2),
    Patch((REAR, FRONT), (0.38, 0.62), (0.28, 0.42), Paint.PLATE, 2),
    *_lamps((0.56, 0.94), 0.20, (0.40, 0.70)),
    Block((-0.49, 0.42), (-0.48, 0.22), (0.49, 0.44), (0.52, 1.0), Paint.BODY),
    Patch((FRONT,), (0.06, 0.94), (0.06, 0.80), Paint.GLASS, 0),
    Patch((REAR,), (0.08, 0.47), (0.20, 0.76), Paint.GLASS, 0),
    Patch((REAR,), (0.53, 0.92), (0.20, 0.76), Paint.GLASS, 0),
    Patch((LEFT, RIGHT), (0.76, 0.97), (0.10, 0.72), Paint.GLASS, 1),
    Patch((REAR,), (0.38, 0.62), (0.84, 0.97), Paint.BRAKE_HIGH, 0),
]

_BUS: list[Block | Patch | Wheel] = [
    Block((-0.5, 0.5), (-0.5, 0.5), (0.5, 0.48), (0.09, 1.0), Paint.BODY),
    Wheel(0.22, 0.5),
    Wheel(0.80, 0.5),
    Patch((REAR, FRONT), (0.03, 0.15), (-0.10, 0.0), Paint.TYRE, 1),
    Patch((REAR, FRONT), (0.85, 0.97), (-0.10, 0.0), Paint.TYRE, 1),
    Patch((LEFT, RIGHT), (0.02, 0.98), (0.42, 0.84), Paint.GLASS, 0),
    Patch((FRONT,), (0.05, 0.95), (0.30, 0.88), Paint.GLASS, 0),
    Patch((REAR,), (0.10, 0.90), (0.55, 0.86), Paint.GLASS, 0),
    Patch((REAR,), (0.36, 0.64), (0.08, 0.15), Paint.PLATE, 2),
    Patch((REAR,), (0.02, 0.17), (0.16, 0.34), Paint.BRAKE_LEFT, 0),
    Patch((REAR,), (0.83, 0.98), (0.16, 0.34), Paint.BRAKE_RIGHT, 0),
    Patch((REAR,), (0.36, 0.64), (0.88, 0.95), Paint.BRAKE_HIGH, 0),
    Patch((REAR, FRONT), (0.0, 0.13), (0.10, 0.22), Paint.INDICATOR_LEFT, 0),
    Patch((REAR, FRONT), (0.87, 1.0), (0.10, 0.22), Paint.INDICATOR_RIGHT, 0),
    Patch((FRONT,), (0.05, 0.24), (0.06, 0.16), Paint.HEADLAMP, 0),
    Patch((FRONT,), (0.76, 0.95), (0.06, 0.16), Paint.HEADLAMP, 0),
    Patch((LEFT,), (0.94, 0.99), (0.14, 0.26), Paint.INDICATOR_LEFT, 0),
    Patch((RIGHT,), (0.94, 0.99), (0.14, 0.26), Paint.INDICATOR_RIGHT, 0),
]

_RIDER: list[Block | Patch | Wheel] = [
    Block((-0.06, 0.10), (-0.14, 0.04), (0.30, 0.30), (0.16, 0.52), Paint.TROUSERS, swing=0.03),
    Block((-0.17, 0.02), (-0.02, 0.14), (0.32, 0.40), (0.48, 0.82), Paint.BODY),
    Block((0.06, 0.24), (0.10, 0.20), (0.34, 0.36), (0.58, 0.66), Paint.SKIN, detail=2),
    Block((0.03, 0.14), (0.05, 0.13), (0.16, 0.16), (0.84, 0.94), Paint.SKIN),
    Block((0.01, 0.16), (0.04, 0.13), (0.20, 0.15), (0.92, 1.0), Paint.WHITE),
]

_CYCLIST: list[Block | Patch | Wheel] = [
    Block((-0.5, -0.12), (-0.5, -0.12), (0.05, 0.05), (0.0, 0.39), Paint.TYRE, disc=True),
    Block((0.12, 0.5), (0.12, 0.5), (0.05, 0.05), (0.0, 0.39), Paint.TYRE, disc=True),
    Block((-0.30, 0.10), (-0.14, 0.30), (0.05, 0.05), (0.20, 0.46), Paint.RED),
    Patch((REAR,), (-1.2, 2.2), (0.5, 0.9), Paint.BRAKE_LEFT, 1),
    Block((0.24, 0.30), (0.22, 0.28), (0.42, 0.42), (0.54, 0.59), Paint.UNDERSIDE),
    *_RIDER,
]

_MOTORCYCLE: list[Block | Patch | Wheel] = [
    Block((-0.5, -0.22), (-0.5, -0.22), (0.12, 0.12), (0.0, 0.42), Paint.TYRE, disc=True),
    Block((0.20, 0.48), (0.20, 0.48), (0.10, 0.10), (0.0, 0.42), Paint.TYRE, disc=True),
    Block((-0.42, 0.34), (-0.46, 0.26), (0.22, 0.26), (0.22, 0.56), Paint.BODY_DARK),
    Patch((REAR,), (0.05, 0.95), (0.60, 0.95), Paint.BRAKE_LEFT, 0),
    Patch((REAR, FRONT), (-0.35, 0.0), (0.55, 0.95), Paint.INDICATOR_LEFT, 0),
    Patch((REAR, FRONT), (1.0, 1.35), (0.55, 0.95), Paint.INDICATOR_RIGHT, 0),
    Patch((REAR,), (0.25, 0.75), (0.15, 0.50), Paint.PLATE, 2),
    Patch((FRONT,), (0.15, 0.85), (0.55, 0.95), Paint.HEADLAMP, 0),
    Block((0.20, 0.32), (0.14, 0.22), (0.30, 0.24), (0.52, 0.72), Paint.GLASS),
    *_RIDER,
]

_PEDESTRIAN: list[Block | Patch | Wheel] = [
    Block((-0.16, 0.16), (-0.16, 0.16), (0.11, 0.13), (0.0, 0.49), Paint.TROUSERS, y=-0.15, swing=0.42),
    Block((-0.16, 0.16), (-0.16, 0.16), (0.11, 0.13), (0.0, 0.49), Paint.TROUSERS, y=0.15, swing=-0.42),
    Block((-0.10, 0.10), (-0.12, 0.12), (0.06, 0.08), (0.45, 0.81), Paint.BODY_DARK, y=-0.44, swing=-0.3),
    Block((-0.10, 0.10), (-0.12, 0.12), (0.06, 0.08), (0.45, 0.81), Paint.BODY_DARK, y=0.44, swing=0.3),
    Block((-0.20, 0.20), (-0.24, 0.24), (0.29, 0.36), (0.46, 0.83), Paint.BODY),
    Block((-0.16, 0.18), (-0.18, 0.20), (0.14, 0.16), (0.85, 0.96), Paint.SKIN),
    Patch((REAR,), (0.0, 1.0), (0.0, 1.0), Paint.HAIR, 0),
    Patch((LEFT, RIGHT), (0.0, 0.5), (0.1, 1.0), Paint.HAIR, 0),
    Block((-0.18, 0.20), (-0.10, 0.12), (0.17, 0.10), (0.95, 1.0), Paint.HAIR),
]

_DEBRIS: list[Block | Patch | Wheel] = [
    Block((-0.5, 0.46), (-0.42, 0.40), (0.5, 0.42), (0.0, 0.62), Paint.BODY),
    Patch((REAR, FRONT, LEFT, RIGHT), (0.08, 0.92), (0.42, 0.58), Paint.BODY_DARK, 1),
    Block((-0.28, 0.18), (-0.20, 0.08), (0.34, 0.26), (0.60, 1.0), Paint.BODY_DARK),
]

_CONE: list[Block | Patch | Wheel] = [
    _upright((-0.5, 0.5), 0.5, (0.0, 0.06), Paint.UNDERSIDE),
    Block((-0.38, 0.38), (-0.07, 0.07), (0.38, 0.07), (0.06, 1.0), Paint.BODY),
    Patch((REAR, FRONT, LEFT, RIGHT), (0.0, 1.0), (0.32, 0.54), Paint.WHITE, 0),
    Patch((REAR, FRONT, LEFT, RIGHT), (0.0, 1.0), (0.72, 0.86), Paint.WHITE, 1),
]

_BARRIER: list[Block | Patch | Wheel] = [
    Block((-0.5, 0.5), (-0.5, 0.5), (0.5, 0.3), (0.0, 1.0), Paint.WHITE),
    *[Patch((REAR, FRONT, LEFT, RIGHT), (a, a + 0.125), (0.35, 0.95), Paint.RED, 0) for a in (0.0, 0.25, 0.5, 0.75)],
    Patch((REAR, FRONT, LEFT, RIGHT), (0.0, 1.0), (0.0, 0.12), Paint.METAL, 1),
]

_BUILDING: list[Block | Patch | Wheel] = [
    _upright((-0.5, 0.5), 0.5, (0.0, 1.0), Paint.BODY),
    *[Patch((REAR, FRONT, LEFT, RIGHT), (0.03, 0.97), (z, z + 0.14), Paint.WINDOW_ROW, 0) for z in (0.14, 0.42, 0.70)],
]

LOOKS: dict[Shape, list[Block | Patch | Wheel]] = {
    Shape.CAR: _car(1.0),
    Shape.VAN: _VAN,
    Shape.TRUCK: _TRUCK,
    Shape.BUS: _BUS,
    Shape.MOTORCYCLE: _MOTORCYCLE,
    Shape.PEDESTRIAN: _PEDESTRIAN,
    Shape.CYCLIST: _CYCLIST,
    Shape.DEBRIS: _DEBRIS,
    Shape.CONE: _CONE,
    Shape.BARRIER: _BARRIER,
    Shape.BUILDING: _BUILDING,
    Shape.EMERGENCY: [
        *_car(0.92),
        Patch((LEFT, RIGHT), (0.0, 1.0), (-0.30, -0.12), Paint.RED, 1),
        Block((-0.20, -0.08), (-0.20, -0.08), (0.34, 0.34), (0.92, 1.0), Paint.BLUE_LAMP),
    ],
}

# What blocks the view and must be seen to see the actor: hulls of the blocks above, standing on the ground.
_CAR_HULLS = [(-0.5, 0.5, 0.49, 0.60), (-0.40, 0.18, 0.43, 1.0)]
SIGHT_HULLS: dict[Shape, list[tuple[float, float, float, float]]] = {  # x rear, x front, half width, top
    Shape.CAR: _CAR_HULLS,
    Shape.VAN: [(-0.5, 0.5, 0.49, 0.52), (-0.49, 0.34, 0.47, 1.0)],
    Shape.TRUCK: [(-0.5, 0.29, 0.5, 1.0), (0.29, 0.5, 0.47, 0.86)],
    Shape.BUS: [(-0.5, 0.5, 0.49, 1.0)],
    Shape.MOTORCYCLE: [(-0.5, 0.48, 0.2, 0.5), (-0.12, 0.12, 0.34, 0.94)],
    Shape.PEDESTRIAN: [(-0.22, 0.22, 0.34, 0.85), (-0.16, 0.16, 0.15, 0.99)],
    Shape.CYCLIST: [(-0.5, 0.5, 0.06, 0.42), (-0.12, 0.10, 0.34, 0.94)],
    Shape.DEBRIS: [(-0.46, 0.44, 0.46, 0.62), (-0.24, 0.14, 0.30, 1.0)],
    Shape.CONE: [(-0.24, 0.24, 0.24, 0.9)],
    Shape.BARRIER: [(-0.5, 0.5, 0.4, 1.0)],
    Shape.BUILDING: [(-0.5, 0.5, 0.5, 1.0)],
    Shape.EMERGENCY: _CAR_HULLS,
}


class LookTables(NamedTuple):
    """``LOOKS`` as arrays for the camera kernels."""

    block_start: Int  # [S + 1] blocks of each shape
    blocks: Float  # [B, 14]: x rear/front bottom, x rear/front top, half width bottom/top, z low/high, y, swing, disc,
    # paint, detail, unused
    block_order: Int  # [4, B] rows of each shape back to front, seen from behind left, behind right, front left, right
    patch_start: Int  # [B + 1] patches of each block
    patches: Float  # [P, 8]: face, across from/to, up from/to, paint, detail, radius (> 0: a wheel at across from)
    paint: Float  # [paints, 3]


def compile_looks() -> LookTables:
    """Return the tables of all shapes."""
    block_start, patch_start = [0], [0]
    blocks: list[list[float]] = []
    patches: list[list[float]] = []
    for shape in Shape:
        for item in LOOKS[shape]:
            if isinstance(item, Block):
                columns = [*item.x_bottom, *item.x_top, *item.half_width, *item.z, item.y, item.swing]
                blocks.append([*columns, float(item.disc), float(item.paint), float(item.detail), 0.0])
                patch_start.append(len(patches))
            elif isinstance(item, Wheel):
                patches += [[face, item.x, 0, 0, 0, Paint.TYRE, 1, item.radius_m] for face in (LEFT, RIGHT)]
            else:
                columns = [*item.across, *item.up, float(item.paint), float(item.detail), 0.0]
                patches += [[float(face), *columns] for face in item.faces]
            patch_start[-1] = len(patches)
        block_start.append(len(blocks))
    table = np.array(blocks)
    order = np.zeros((4, len(blocks)), np.int32)
    for begin, end in zip(block_start, block_start[1:], strict=False):
        for quarter in range(4):
            ahead, right = quarter >= 2, quarter % 2 == 1
            order[quarter, begin:end] = begin + np.array(_back_to_front(table[begin:end], ahead, right))
    starts: npt.NDArray[np.int32] = np.array(block_start, np.int32)
    return LookTables(starts, table, order, np.array(patch_start, np.int32), np.array(patches), PAINT_COLOURS)


def _back_to_front(blocks: Float, eye_ahead: bool, eye_right: bool) -> list[int]:
    """Return block rows so that none is drawn before one that it hides; the eye is above and outside."""
    left = list(range(len(blocks)))
    order: list[int] = []
    while left:
        free = [a for a in left if not any(_behind(blocks[b], blocks[a], eye_ahead, eye_right) for b in left if b != a)]
        order.append((free or left)[0])
        left.remove(order[-1])
    return order


def _behind(a: Float, b: Float, eye_ahead: bool, eye_right: bool) -> bool:
    """Tell whether a plane x, y or z = constant has the eye and ``b`` on one side and ``a`` on the other."""
    for (a_low, a_high), (b_low, b_high), eye_high in (
        ((min(a[0], a[2]), max(a[1], a[3])), (min(b[0], b[2]), max(b[1], b[3])), eye_ahead),
        ((a[8] - max(a[4:6]), a[8] + max(a[4:6])), (b[8] - max(b[4:6]), b[8] + max(b[4:6])), eye_right),
        ((a[6], a[7]), (b[6], b[7]), True),
    ):
        if a_high <= b_low + 1e-6:
            return eye_high
        if b_high <= a_low + 1e-6:
            return not eye_high
    return False


def compile_hulls() -> tuple[Int, Float]:
    """Return (starts ``[S + 1]``, hulls ``[H, 4]``) of ``SIGHT_HULLS`` in shape order."""
    counts = [len(SIGHT_HULLS[shape]) for shape in Shape]
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return starts, np.array([hull for shape in Shape for hull in SIGHT_HULLS[shape]])
