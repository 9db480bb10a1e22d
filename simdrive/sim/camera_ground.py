"""Ground of a frame: which quads of the scene are in view, thin marks kept from flickering, shadows, headlamp beam."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

import numpy as np

from simdrive.jit import jit, jit_inline
from simdrive.sim import lighting as li
from simdrive.sim.camera_actors import COS_HEADING, HEIGHT, INSIDE, LENGTH, SIN_HEADING, WIDTH, X, Y
from simdrive.sim.camera_light import BEAM, HAS_TUNNEL, MARK, SHOULDER, SUN_X, SUN_Y, SUN_Z
from simdrive.sim.camera_view import EGO_HEADING, EYE_X, EYE_Y, append, circle_in_view, emit, to_camera
from simdrive.sim.raster import CODE, QUAD, SIZE, TINT_SHADOW, TINT_ZONE, ZERO
from simdrive.sim.scene import MARK_LAYER, SceneTables
from simdrive.sim.state import Float, Int
from simdrive.types import Long

GROUND_FAR_M = 500.0
MARK_FAR_M = 180.0
_HIDDEN_CONTRAST = 5.5  # extinction x distance beyond which no contrast is left in 8 bits
_SHADOW_REACH_M = 60.0


@jit
def draw_ground(
    scenes: SceneTables, scene: int, ego_lane: int, decay: float, frame: Float, draw: Float, cursor: Long, geo: Float
) -> None:
    """Append the asphalt and all that lies on it: pavement, shoulder, asphalt, the ego's lane, marks."""
    clear = _HIDDEN_CONTRAST / max(decay, 1e-6)
    ground_far, mark_far = min(GROUND_FAR_M, clear), min(MARK_FAR_M, clear)
    for layer in range(MARK_LAYER + 1):
        far = mark_far if layer == MARK_LAYER else ground_far
        if layer == MARK_LAYER and ego_lane >= 0:
            row = scenes.lane_rows[scene] + ego_lane
            first, last = scenes.lane_quads[row], scenes.lane_quads[row + 1]
            _draw_quads(scenes.quads, scenes.circles, scenes.materials, first, last, far, frame, draw, cursor, geo)
        for cluster in range(scenes.layer_clusters[scene, layer], scenes.layer_clusters[scene, layer + 1]):
            x, y = scenes.cluster_circles[cluster, 0], scenes.cluster_circles[cluster, 1]
            if circle_in_view(frame, x, y, scenes.cluster_circles[cluster, 2], far):
                first, last = scenes.cluster_quads[cluster], scenes.cluster_quads[cluster + 1]
                _draw_quads(scenes.quads, scenes.circles, scenes.materials, first, last, far, frame, draw, cursor, geo)


@jit_inline
def _ground_corner(frame: Float, geo: Float, corner: int, x: float, y: float) -> None:
    geo[corner, 0], geo[corner, 1], geo[corner, 2] = to_camera(frame, x, y, 0.0)


@jit
def _draw_quads(
    quads: Float,
    circles: Float,
    materials: Int,
    first: int,
    last: int,
    far: float,
    frame: Float,
    draw: Float,
    cursor: Long,
    geo: Float,
) -> None:
    for quad in range(first, last):
        if circle_in_view(frame, circles[quad, 0], circles[quad, 1], circles[quad, 2], far):
            for corner in range(4):
                _ground_corner(frame, geo, corner, quads[quad, corner, 0], quads[quad, corner, 1])
            material = np.int64(materials[quad])
            if emit(draw, cursor, frame, geo, QUAD, material) and material == MARK:
                _thicken(draw, cursor)


@jit_inline
def _thicken(draw: Float, cursor: Long) -> None:
    """Draw a mark thinner than a pixel one pixel wide and fainter; drop it when nothing would be left of it.

    Without it, far lines flicker: whether a line shows would depend on where pixel centres happen to fall.
    """
    place = cursor[0] - 1
    if place < draw.shape[0] and draw[place, SIZE] == 4:
        x0, y0, x1, y1 = draw[place, 0], draw[place, 1], draw[place, 2], draw[place, 3]
        x2, y2, x3, y3 = draw[place, 4], draw[place, 5], draw[place, 6], draw[place, 7]
        area = 0.5 * abs((x2 - x0) * (y3 - y1) - (x3 - x1) * (y2 - y0))
        # The axis joins the middles of the shorter sides.
        ax, ay, bx, by = 0.5 * (x0 + x1), 0.5 * (y0 + y1), 0.5 * (x2 + x3), 0.5 * (y2 + y3)
        px, py, qx, qy = 0.5 * (x0 + x3), 0.5 * (y0 + y3), 0.5 * (x1 + x2), 0.5 * (y1 + y2)
        along = math.sqrt((bx - ax) * (bx - ax) + (by - ay) * (by - ay))
        across = math.sqrt((qx - px) * (qx - px) + (qy - py) * (qy - py))
        if along < across:
            ax, ay, bx, by, along = px, py, qx, qy, across
        thickness = area / max(along, 1e-9)
        if thickness < 0.1 or area < 0.12:
            cursor[0] = place
        elif thickness < 0.85:
            level = 1 if thickness >= 0.57 else (2 if thickness >= 0.35 else 3)
            draw[place, CODE] = MARK + level
            ux, uy = (bx - ax) / along, (by - ay) / along
            stretch = 0.5 * max(1.0 - along, 0.0)  # at least a pixel long
            ax, ay, bx, by = ax - ux * stretch, ay - uy * stretch, bx + ux * stretch, by + uy * stretch
            half = 0.5 * max(abs(ux), abs(uy))  # one pixel along the picture's axis, not across the line
            nx, ny = -uy * half, ux * half
            draw[place, 0], draw[place, 1], draw[place, 2], draw[place, 3] = ax + nx, ay + ny, ax - nx, ay - ny
            draw[place, 4], draw[place, 5], draw[place, 6], draw[place, 7] = bx - nx, by - ny, bx + nx, by + ny


@jit
def _tunnel_floor(light: Float, frame: Float, draw: Float, cursor: Long, geo: Float, code: int) -> None:
    """Append the floor between the tunnel walls as a material or as a tint."""
    for corner in range(4):
        x = light[li.TUNNEL_START] if corner < 2 else light[li.TUNNEL_END]
        _ground_corner(frame, geo, corner, x, light[li.WALL_LEFT] if corner % 3 == 0 else light[li.WALL_RIGHT])
    append(draw, cursor, frame, geo, QUAD, code)


@jit
def draw_verge(light: Float, frame: Float, draw: Float, cursor: Long, geo: Float) -> None:
    """Append what lies below the roads: the paved floor of a tunnel."""
    if frame[HAS_TUNNEL] > 0.0:
        _tunnel_floor(light, frame, draw, cursor, geo, SHOULDER)


@jit
def draw_beams(light: Float, frame: Float, draw: Float, cursor: Long, geo: Float) -> None:
    """Tint the tunnel floor, or by night the ground in the ego's low beam: a wide weak and a narrow strong cone."""
    if frame[HAS_TUNNEL] > 0.0:
        _tunnel_floor(light, frame, draw, cursor, geo, TINT_ZONE)
    elif frame[BEAM] > 0.5:
        cos, sin = math.cos(frame[EGO_HEADING]), math.sin(frame[EGO_HEADING])
        for cone in range(2):
            for corner in range(4):
                ahead = 1.5 if corner < 2 else 90.0
                aside = (1.6 + cone * 0.8) if corner < 2 else (9.0 + cone * 17.0)
                aside = -aside if corner % 3 == 0 else aside
                x, y = frame[EYE_X] + ahead * cos - aside * sin, frame[EYE_Y] + ahead * sin + aside * cos
                _ground_corner(frame, geo, corner, x, y)
            append(draw, cursor, frame, geo, QUAD, TINT_ZONE if cone == 0 else TINT_SHADOW)


@jit
def draw_shadows(
    actors: Float, row_actor: Int, count: int, light: Float, frame: Float, draw: Float, cursor: Long, geo: Float
) -> None:
    """Tint the ground under actors and, in the sun, the strip that each box shades.

    Args:
        actors: ``[V, ACTOR_COLUMNS]``; row_actor: the ``count`` actors in reach of the view.
    """
    if frame[BEAM] > 0.5:
        return
    sun = light[li.CLOUD] < 0.75 and light[li.RAIN] < 0.4 and frame[SUN_Z] > 0.03
    for place in range(count):
        number = row_actor[place]
        x, y = actors[number, X], actors[number, Y]
        if not circle_in_view(frame, x, y, 0.5 * actors[number, LENGTH] + 20.0, _SHADOW_REACH_M):
            continue
        cos, sin = actors[number, COS_HEADING], actors[number, SIN_HEADING]
        half_length, half_width = 0.5 * actors[number, LENGTH] + 0.08, 0.5 * actors[number, WIDTH] + 0.08
        ox, oy = 0.0, 0.0
        if sun and actors[number, INSIDE] == 0.0:
            reach = min(actors[number, HEIGHT] / frame[SUN_Z], 30.0)
            ox, oy = -frame[SUN_X] * reach, -frame[SUN_Y] * reach
        along, across = ox * cos + oy * sin, oy * cos - ox * sin
        size = ZERO
        # Hull of the footprint and its copy moved along the shadow: corners between sides that face the shadow's
        # way move, the others stay, and where the facing changes both belong to the hull.
        for corner in range(4):
            u = half_length if corner == 0 or corner == 1 else -half_length
            v = half_width if corner == 1 or corner == 2 else -half_width
            px, py = x + u * cos - v * sin, y + u * sin + v * cos
            before, after = _faces(corner - 1, along, across), _faces(corner, along, across)
            if not before:
                _ground_corner(frame, geo, size, px, py)
                size += 1
            if before or after:
                _ground_corner(frame, geo, size, px + ox, py + oy)
                size += 1
            if before and not after:
                _ground_corner(frame, geo, size, px, py)
                size += 1
        emit(draw, cursor, frame, geo, size, TINT_SHADOW)


@jit_inline
def _faces(side: int, along: float, across: float) -> bool:
    """Tell whether a side of a box (0 front, 1 right, 2 rear, 3 or -1 left) faces along a vector in its frame."""
    if side == 0:
        return along > 0.0
    if side == 1:
        return across > 0.0
    return along < 0.0 if side == 2 else across < 0.0
