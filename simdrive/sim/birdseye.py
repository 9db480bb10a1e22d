"""The view from straight above, for people: ego heading up, right is right, always in daylight.

Drawn from the same scene and state as the cameras; same state, same bytes. Light and weather are left out on purpose,
because this view shows what is there and not what can be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simdrive.errors import ParameterError
from simdrive.geometry import box_corners
from simdrive.sim.camera import SceneState
from simdrive.sim.camera_light import ASPHALT, MARK, PAVEMENT, SHOULDER
from simdrive.sim.fill import fill_quads
from simdrive.sim.lighting import TUNNEL_END, TUNNEL_START, WALL_LEFT, WALL_RIGHT
from simdrive.sim.scene import Scene
from simdrive.sim.state import VEHICLES, VULNERABLE, Float

Pixels = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

_GROUND: Colour = (64, 74, 60)
_MATERIALS: dict[int, Colour] = {
    int(PAVEMENT): (122, 120, 114),
    int(SHOULDER): (72, 73, 74),
    int(ASPHALT): (50, 52, 57),
    int(MARK): (196, 196, 190),
}
_WALL: Colour = (24, 24, 28)
_GLASS: Colour = (26, 30, 36)
_EDGE: Colour = (18, 20, 22)
_BRAKE: Colour = (255, 48, 40)
_AMBER: Colour = (255, 176, 32)
_WALL_M, _EDGE_M = 0.8, 0.18
_VULNERABLE_M = 1.1  # pedestrians are drawn at least this large, else they vanish
_GLASS_SPAN = (0.14, 0.30)  # the windscreen along the box, as a share of its length ahead of the centre


@dataclass(frozen=True)
class BirdsEye:
    """A view from above: the ego is centred sideways, ``ahead_m`` of world above it and ``behind_m`` below."""

    width: int = 288
    height: int = 384
    ahead_m: float = 75.0
    behind_m: float = 25.0
    supersample: int = 3

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1 or not 1 <= self.supersample <= 8:
            raise ParameterError(
                "a bird's-eye view needs width and height >= 1 and supersample 1..8, "
                f"got {self.width} x {self.height} x {self.supersample}"
            )
        if not (self.ahead_m >= 0.0 and self.behind_m >= 0.0 and 1.0 <= self.ahead_m + self.behind_m <= 2000.0):
            raise ParameterError(
                "a bird's-eye view needs ahead_m and behind_m >= 0 that span 1..2000 m, "
                f"got {self.ahead_m} and {self.behind_m}"
            )

    @property
    def pixels_per_m(self) -> float:
        """Scale of the picture."""
        return self.height / (self.ahead_m + self.behind_m)


def to_pixels(view: BirdsEye, pose: Sequence[float], points: Float) -> Float:
    """Return where world points ``[..., 2]`` (m) lie in the picture, ``[..., 2]`` pixel x (right), y (down).

    Args:
        view: the view.
        pose: x, y (m) and heading (rad) of the ego.
        points: world frame.
    """
    x, y, heading = pose
    cos, sin = np.cos(heading), np.sin(heading)
    dx, dy = points[..., 0] - x, points[..., 1] - y
    ahead, right = dx * cos + dy * sin, dy * cos - dx * sin
    return np.stack([0.5 * view.width + right * view.pixels_per_m, (view.ahead_m - ahead) * view.pixels_per_m], axis=-1)


def render_birdseye(scene: Scene, state: SceneState, view: BirdsEye) -> Pixels:
    """Return pictures ``[N, height, width, 3]`` of N states that stand on one scene."""
    factor = view.supersample
    pictures = np.empty((len(state), view.height, view.width, 3), np.uint8)
    for row in range(len(state)):
        pose = (float(state.x[row, 0]), float(state.y[row, 0]), float(state.heading[row, 0]))
        ground, ground_colours = _ground(scene, view, pose)
        boxes, box_colours = _boxes(state, row)
        walls = _walls(state.light[row])
        quads = np.concatenate([ground, walls, boxes])
        colours = np.concatenate([ground_colours, np.tile(np.array(_WALL, np.uint8), (len(walls), 1)), box_colours])
        image = np.empty((view.height * factor, view.width * factor, 3), np.uint8)
        image[:] = _GROUND
        fill_quads(np.ascontiguousarray(to_pixels(view, pose, quads) * factor), colours, image)
        cells = image.reshape(view.height, factor, view.width, factor, 3).astype(np.uint32)
        pictures[row] = (cells.sum(axis=(1, 3)) + factor * factor // 2) // (factor * factor)
    return pictures


def _ground(scene: Scene, view: BirdsEye, pose: Sequence[float]) -> tuple[Float, Pixels]:
    """Return the ground quads that reach into the view, in drawing order, with their colours."""
    tables = scene.tables
    reach = float(np.hypot(0.5 * view.width / view.pixels_per_m, max(view.ahead_m, view.behind_m)))
    away = np.hypot(tables.circles[:, 0] - pose[0], tables.circles[:, 1] - pose[1])
    shown = np.isin(tables.materials, list(_MATERIALS)) & (away - tables.circles[:, 2] <= reach)
    palette = np.zeros((int(tables.materials.max(initial=0)) + 1, 3), np.uint8)
    for material, colour in _MATERIALS.items():
        if material < len(palette):
            palette[material] = colour
    return tables.quads[shown], palette[tables.materials[shown]]


def _walls(light: Float) -> Float:
    """Return the walls of the tunnel as quads ``[0 or 2, 4, 2]``."""
    start, end = light[TUNNEL_START], light[TUNNEL_END]
    if not start < end:
        return np.zeros((0, 4, 2))
    sides = ((light[WALL_LEFT] - _WALL_M, light[WALL_LEFT]), (light[WALL_RIGHT], light[WALL_RIGHT] + _WALL_M))
    return np.array([[(start, low), (end, low), (end, high), (start, high)] for low, high in sides])


def _boxes(state: SceneState, row: int) -> tuple[Float, Pixels]:
    """Return the quads of all actors with their colours, the ego on top."""
    quads: list[Float] = [np.zeros((0, 4, 2))]
    colours: list[Colour] = []
    for actor in [*range(1, state.present.shape[1]), 0]:
        if state.present[row, actor]:
            for quad, colour in _actor(state, row, actor):
                quads.append(quad[None])
                colours.append(colour)
    return np.concatenate(quads), np.array(colours, np.uint8).reshape(-1, 3)


def _actor(state: SceneState, row: int, actor: int) -> list[tuple[Float, Colour]]:
    """Return body, windscreen and lit lamps of one actor."""
    shape = int(state.shape[row, actor])
    length, width = float(state.length[row, actor]), float(state.width[row, actor])
    if shape in VULNERABLE:
        length, width = max(length, _VULNERABLE_M), max(width, _VULNERABLE_M)
    red, green, blue = (int(value) for value in state.colour[row, actor])

    def part(from_x: float, to_x: float, from_y: float, to_y: float) -> Float:
        """Return a rectangle given in half lengths and half widths, forward and right."""
        along, across = 0.25 * (from_x + to_x) * length, 0.25 * (from_y + to_y) * width
        heading = float(state.heading[row, actor])
        cos, sin = np.cos(heading), np.sin(heading)
        x = float(state.x[row, actor]) + along * cos - across * sin
        y = float(state.y[row, actor]) + along * sin + across * cos
        size = (0.5 * abs(to_x - from_x) * length, 0.5 * abs(to_y - from_y) * width)
        return box_corners(*(np.asarray(value) for value in (x, y, heading, *size)))

    over_x, over_y = 1.0 + 2.0 * _EDGE_M / length, 1.0 + 2.0 * _EDGE_M / width
    parts = [(part(-over_x, over_x, -over_y, over_y), _EDGE), (part(-1, 1, -1, 1), (red, green, blue))]
    if shape in VEHICLES:
        parts.append((part(2 * _GLASS_SPAN[0], 2 * _GLASS_SPAN[1], -0.8, 0.8), _GLASS))
        if state.brake_light[row, actor]:
            parts.append((part(-1.0, -1.0 + 1.2 / length, -1, 1), _BRAKE))
        blinks = int(state.indicator[row, actor])
        sides = [side for side in (-1, 1) if blinks in (side, 2)]
        for side in sides:
            for front in (-1, 1):
                parts.append((part(front * (1 - 1.2 / length), front, side * 0.5, side), _AMBER))
    return parts
