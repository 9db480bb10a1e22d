"""The view from above: the same ground, actors and rasteriser, for people who review an episode.

Schematic on purpose: no weather, and hidden actors are drawn too (paler, where the caller says so), because a
reviewer wants to see what the driver could not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simdrive.errors import ParameterError
from simdrive.geometry import box_corners
from simdrive.sim.camera import Pixels, SceneState
from simdrive.sim.camera_frame import BLINK_PERIOD_US
from simdrive.sim.camera_light import ASPHALT, EGO_LANE, GRASS, MARK, OWN_LANE, PAVEMENT, SHOULDER, SLICK
from simdrive.sim.raster import (
    CODE,
    MAX_CORNERS,
    OBJECT_ID,
    ROW_BITS,
    SIZE,
    TABLE_SIZE,
    Words,
    draw_list,
    fill_background,
    fill_polygons,
    resolve_average,
)
from simdrive.sim.scene import Scene
from simdrive.sim.state import VEHICLES, Float, Shape

Colour = tuple[int, int, int]

GROUND: dict[int, Colour] = {
    int(GRASS): (74, 88, 66),
    int(PAVEMENT): (132, 130, 124),
    int(SHOULDER): (84, 84, 82),
    int(ASPHALT): (58, 60, 66),
    int(EGO_LANE): (58, 60, 66),
    int(SLICK): (104, 122, 146),
    int(MARK): (206, 206, 200),
}
EGO_COLOUR: Colour = (46, 190, 110)
GLASS: Colour = (30, 36, 46)
BRAKE: Colour = (255, 48, 32)
SIGNAL: Colour = (255, 176, 20)
THINNEST_PIXELS = 1.2  # of lane marks, in sub-pixels
SMALLEST_M = 1.0  # people and debris are drawn at least this large


@dataclass(frozen=True)
class BirdseyeSpec:
    """A top-down picture that follows the ego, its heading up, or that stays where it is."""

    width: int = 256
    height: int = 256
    metres_per_pixel: float = 0.35
    ahead_m: float = 22.0  # the ego stands this far below the middle
    follow: bool = True  # False: centred on x_m, y_m with heading_rad up
    x_m: float = 0.0
    y_m: float = 0.0
    heading_rad: float = -math.pi / 2
    supersample: int = 2


@dataclass(frozen=True)
class Line:
    """A polyline ``[n, 2]`` drawn above everything, world frame, m."""

    points: npt.NDArray[np.float64]
    colour: Colour
    width_m: float = 0.4
    closed: bool = False


def outline(state: SceneState, row: int, actor: int, colour: Colour, margin_m: float = 0.5) -> Line:
    """Return a line around the box of one actor."""
    length = state.length[row, actor] + 2 * margin_m
    width = state.width[row, actor] + 2 * margin_m
    corners = box_corners(
        np.array(state.x[row, actor]),
        np.array(state.y[row, actor]),
        np.array(state.heading[row, actor]),
        np.array(length),
        np.array(width),
    )
    return Line(corners, colour, 0.35, closed=True)


def render_birdseye(
    scene: Scene, state: SceneState, row: int, spec: BirdseyeSpec, lines: Sequence[Line] = ()
) -> Pixels:
    """Return one picture ``[H, W, 3]`` of row ``row`` of ``state`` from above.

    Args:
        scene: the scene of that row.
        state: worlds as for ``camera.render``.
        row: which world.
        spec: size, scale and place of the picture.
        lines: overlays (plans, outlines), in drawing order.

    Raises:
        ParameterError: if size, scale or supersampling are out of range.
    """
    if min(spec.width, spec.height) < 8 or not 0.01 <= spec.metres_per_pixel <= 10.0 or not 1 <= spec.supersample <= 4:
        raise ParameterError(
            "a bird's-eye view needs width and height >= 8, metres_per_pixel 0.01..10 and supersample 1..4, got "
            f"{spec.width} x {spec.height}, {spec.metres_per_pixel}, {spec.supersample}"
        )
    canvas = _Canvas(spec, state, row)
    canvas.ground(scene)
    for actor in np.flatnonzero(state.present[row]):
        _draw_actor(canvas, state, row, int(actor))
    for line in lines:
        _draw_line(canvas, line)
    return canvas.picture()


class _Canvas:
    """Collects polygons in world coordinates and turns them into a picture."""

    def __init__(self, spec: BirdseyeSpec, state: SceneState, row: int) -> None:
        self.spec = spec
        heading = float(state.heading[row, 0]) if spec.follow else spec.heading_rad
        x = float(state.x[row, 0]) + spec.ahead_m * math.cos(heading) if spec.follow else spec.x_m
        y = float(state.y[row, 0]) + spec.ahead_m * math.sin(heading) if spec.follow else spec.y_m
        self.centre = np.array([x, y])
        # Picture right is the driver's right, picture down is backwards.
        self.axes = np.array([[-math.sin(heading), math.cos(heading)], [-math.cos(heading), -math.sin(heading)]])
        self.scale = spec.supersample / spec.metres_per_pixel
        self.size = np.array([spec.width, spec.height]) * spec.supersample
        self.polygons: list[npt.NDArray[np.float64]] = []
        self.codes: list[int] = []
        self.colours: list[Colour] = []

    def pixels(self, points: Float) -> Float:
        """Project world points ``[..., 2]`` to sub-pixels."""
        projected: Float = (np.asarray(points) - self.centre) @ self.axes.T * self.scale + 0.5 * self.size
        return projected

    def ground(self, scene: Scene) -> None:
        """Append the quads of a scene that touch the picture."""
        tables = scene.tables
        reach = 0.5 * float(np.hypot(*self.size)) / self.scale
        near = np.hypot(*(tables.circles[:, :2] - self.centre).T) <= reach + tables.circles[:, 2]
        for quad, material in zip(self.pixels(tables.quads[near]), tables.materials[near], strict=True):
            if material not in OWN_LANE:
                self.polygons.append(_widened(quad) if material == MARK else quad)
                self.codes.append(int(material))

    def add(self, points: Float, colour: Colour) -> None:
        """Append a convex polygon in world coordinates."""
        self.polygons.append(self.pixels(points))
        self.codes.append(OBJECT_ID + len(self.colours))
        self.colours.append(colour)

    def picture(self) -> Pixels:
        """Rasterise."""
        width, height = (int(side) for side in self.size)
        draw = draw_list(max(len(self.polygons), 1))
        for place, (polygon, code) in enumerate(zip(self.polygons, self.codes, strict=True)):
            draw[place, : 2 * len(polygon)] = polygon.reshape(-1)
            draw[place, SIZE], draw[place, CODE] = len(polygon), code
        ids, touched = np.zeros((height, width), np.uint16), np.zeros((height, 2), np.int32)
        fill_background(ids, 0, GRASS, GRASS, touched)
        fill_polygons(draw, 0, len(self.polygons), ids, np.zeros((2, height), np.int32), touched)
        rgb = np.zeros((self.spec.height, self.spec.width, 3), np.uint8)
        none = np.zeros((0, 0), np.uint16)
        resolve_average(ids, self._table(), self.spec.supersample, rgb, none, np.zeros(16, np.uint16))
        return rgb

    def _table(self) -> Words:
        table = np.zeros(TABLE_SIZE, np.uint64)
        for material, colour in GROUND.items():
            table[material << ROW_BITS : (material + 1) << ROW_BITS] = _word(colour)
        words = [_word(colour) for colour in self.colours]
        table[OBJECT_ID : OBJECT_ID + len(words)] = np.array(words, np.uint64)
        return table


def _widened(quad: Float) -> Float:
    """Return a mark at least ``THINNEST_PIXELS`` wide, so that it does not fall between sub-pixels."""
    across = quad[1] - quad[0]
    width = float(np.hypot(*across))
    if width >= THINNEST_PIXELS or width == 0.0:
        return quad
    more = across / width * 0.5 * (THINNEST_PIXELS - width)
    return quad + np.stack([-more, more, more, -more])


def _word(colour: Colour) -> int:
    return colour[0] | colour[1] << 8 | colour[2] << 16


def _draw_actor(canvas: _Canvas, state: SceneState, row: int, actor: int) -> None:
    shape = Shape(int(state.shape[row, actor]))
    red, green, blue = (int(part) for part in state.colour[row, actor])
    colour = EGO_COLOUR if actor == 0 else (red, green, blue)
    canvas.add(_part(state, row, actor, (-0.5, 0.5), (-0.5, 0.5)), colour)
    if shape not in VEHICLES:
        return
    # Bonnet and windows tell which way it points.
    canvas.add(_part(state, row, actor, (0.12, 0.26), (-0.42, 0.42)), GLASS)
    canvas.add(_part(state, row, actor, (-0.42, -0.32), (-0.40, 0.40)), GLASS)
    if state.brake_light[row, actor]:
        for side in (-1.0, 1.0):
            canvas.add(_part(state, row, actor, (-0.56, -0.46), _ordered(0.18 * side, 0.52 * side)), BRAKE)
    signal = int(state.indicator[row, actor])
    if 2 * (int(state.t_us[row]) % BLINK_PERIOD_US) < BLINK_PERIOD_US:
        for side in (-1.0, 1.0):
            if signal in (int(side), 2):
                for x in (-0.48, 0.48):
                    canvas.add(
                        _part(state, row, actor, (x - 0.07, x + 0.07), _ordered(0.34 * side, 0.66 * side)), SIGNAL
                    )


def _ordered(a: float, b: float) -> tuple[float, float]:
    return (a, b) if a < b else (b, a)


def _part(
    state: SceneState, row: int, actor: int, x: tuple[float, float], y: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """Return the corners of a part of an actor's box given in fractions of length and width."""
    along = np.array([x[0], x[1], x[1], x[0]]) * max(float(state.length[row, actor]), SMALLEST_M)
    across = np.array([y[0], y[0], y[1], y[1]]) * max(float(state.width[row, actor]), SMALLEST_M)
    cos, sin = math.cos(state.heading[row, actor]), math.sin(state.heading[row, actor])
    corners = np.stack([along * cos - across * sin, along * sin + across * cos], axis=1)
    return corners + np.array([state.x[row, actor], state.y[row, actor]])


def _draw_line(canvas: _Canvas, line: Line) -> None:
    points = np.asarray(line.points, np.float64)
    points = points[np.all(np.isfinite(points), axis=1)]
    if line.closed and len(points):
        points = np.concatenate([points, points[:1]])
    thinnest_m = canvas.spec.metres_per_pixel  # thinner lines fade into what they cross
    for start, end in zip(points[:-1], points[1:], strict=True):
        step = end - start
        length = float(np.hypot(*step))
        if length > 1e-9:
            along = step / length * 0.5 * max(line.width_m, thinnest_m)
            across = np.array([-along[1], along[0]])
            # Ends reach half a width further, so that bends have no notches.
            canvas.add(
                np.stack([start - along - across, end + along - across, end + along + across, start - along + across]),
                line.colour,
            )


assert MAX_CORNERS >= 4
