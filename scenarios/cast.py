"""Who stands and drives in a scenario: actors with drawn sizes and colours."""

from __future__ import annotations

from typing import Any

import numpy as np

from simdrive.sim.spec import ActorSpec, LaneIndex
from simdrive.sim.state import Behaviour, Shape

Generator = np.random.Generator
Span = tuple[float, float]

# Length, width, height in metres: common vehicle classes on European roads.
SIZES: dict[Shape, tuple[Span, Span, Span]] = {
    Shape.CAR: ((4.1, 4.9), (1.74, 1.92), (1.42, 1.68)),
    Shape.VAN: ((5.0, 6.0), (1.95, 2.08), (2.0, 2.6)),
    Shape.TRUCK: ((8.0, 12.0), (2.45, 2.55), (3.1, 3.8)),
    Shape.BUS: ((10.5, 12.0), (2.5, 2.55), (2.95, 3.2)),
    Shape.MOTORCYCLE: ((2.0, 2.3), (0.75, 0.9), (1.35, 1.6)),
    Shape.EMERGENCY: ((4.8, 6.2), (1.9, 2.1), (1.9, 2.6)),
    Shape.PEDESTRIAN: ((0.35, 0.5), (0.5, 0.65), (1.5, 1.9)),
    Shape.CYCLIST: ((1.7, 1.9), (0.55, 0.7), (1.65, 1.85)),
    Shape.DEBRIS: ((0.7, 1.4), (0.8, 1.5), (0.4, 0.9)),
    Shape.CONE: ((0.4, 0.4), (0.4, 0.4), (0.75, 0.75)),
    Shape.BARRIER: ((1.8, 2.2), (0.5, 0.6), (0.9, 1.1)),
    Shape.BUILDING: ((14.0, 26.0), (8.0, 12.0), (5.0, 14.0)),
}
CHILD: tuple[Span, Span, Span] = ((0.3, 0.4), (0.4, 0.5), (1.05, 1.35))

_PAINT = np.array(
    [
        (228, 228, 230), (190, 192, 196), (128, 130, 136), (70, 72, 78), (28, 28, 32), (150, 30, 34), (196, 62, 40),
        (38, 62, 128), (74, 118, 172), (34, 92, 66), (120, 96, 70), (222, 186, 74),
    ]
)  # fmt: skip
_CLOTHES = np.array(
    [(40, 44, 60), (96, 88, 80), (180, 176, 168), (150, 60, 60), (70, 110, 150), (80, 120, 76), (210, 180, 90)]
)
_LOAD = np.array([(120, 92, 62), (60, 60, 62), (150, 140, 120), (90, 76, 64)])
_WALL = np.array([(168, 150, 132), (150, 152, 154), (188, 176, 156), (126, 104, 92), (200, 196, 188)])
_PALETTES: dict[Shape, np.ndarray[Any, np.dtype[np.int64]]] = {
    Shape.PEDESTRIAN: _CLOTHES,
    Shape.CYCLIST: _CLOTHES,
    Shape.DEBRIS: _LOAD,
    Shape.EMERGENCY: np.array([(236, 236, 232), (222, 196, 60), (186, 34, 32)]),
    Shape.BUILDING: _WALL,
    Shape.CONE: np.array([(232, 104, 34)]),
    Shape.BARRIER: np.array([(214, 60, 48), (226, 226, 222)]),
}
_COLOUR_NOISE = 9
_TRAFFIC_SHAPES = (Shape.CAR, Shape.VAN, Shape.TRUCK, Shape.MOTORCYCLE)
_TRAFFIC_SHARES = (0.7, 0.14, 0.11, 0.05)


def draw_size(rng: Generator, shape: Shape, *, child: bool = False) -> dict[str, float]:
    """Return length_m, width_m and height_m of one actor, rounded to centimetres."""
    spans = CHILD if child else SIZES[shape]
    values = [round(float(rng.uniform(*span)), 2) for span in spans]
    return dict(zip(("length_m", "width_m", "height_m"), values, strict=True))


def draw_colour(rng: Generator, shape: Shape) -> tuple[int, int, int]:
    """Return an RGB colour of the palette of a shape with a little noise."""
    palette = _PALETTES.get(shape, _PAINT)
    base = palette[rng.integers(len(palette))]
    noisy = np.clip(base + rng.integers(-_COLOUR_NOISE, _COLOUR_NOISE + 1, 3), 0, 255)
    return int(noisy[0]), int(noisy[1]), int(noisy[2])


def draw_traffic_shape(rng: Generator) -> Shape:
    """Return the shape of an ordinary vehicle in traffic."""
    return _TRAFFIC_SHAPES[int(rng.choice(len(_TRAFFIC_SHAPES), p=_TRAFFIC_SHARES))]


def on_lane(
    rng: Generator, name: str, shape: Shape, lane: LaneIndex, s_m: float, speed_mps: float = 0.0, **more: Any
) -> ActorSpec:
    """Return a scripted actor on a lane with a drawn size and colour; ``more`` sets further fields."""
    look: dict[str, Any] = {**draw_size(rng, shape), "colour": draw_colour(rng, shape)}
    return ActorSpec(name, shape, lane=lane, s_m=float(s_m), speed_mps=float(speed_mps), **(look | more))


def anywhere(
    rng: Generator, name: str, shape: Shape, pose: tuple[float, float, float], speed_mps: float = 0.0, **more: Any
) -> ActorSpec:
    """Return a scripted actor at a world pose (x, y, heading) that moves straight on; ``more`` sets further fields."""
    x, y, heading = pose
    look: dict[str, Any] = {**draw_size(rng, shape), "colour": draw_colour(rng, shape)}
    return ActorSpec(
        name, shape, x_m=float(x), y_m=float(y), heading_rad=float(heading), speed_mps=float(speed_mps),
        **(look | more),
    )  # fmt: skip


def standing(rng: Generator, name: str, shape: Shape, pose: tuple[float, float, float], **more: Any) -> ActorSpec:
    """Return a thing that never moves at a world pose (x, y, heading)."""
    return anywhere(rng, name, shape, pose, behaviour=Behaviour.OBSTACLE, **more)
