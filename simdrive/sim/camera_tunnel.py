"""A tunnel of a frame: walls, ceiling and lamps seen from inside, the portal in its hillside seen from outside."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit, jit_inline
from simdrive.sim import lighting as li
from simdrive.sim.camera_light import AIR, BEAM, DECAY, OPEN_LEVEL, SIDE_LEVEL, SUN_LEVEL, TINT, TUBE_LEVEL
from simdrive.sim.camera_view import EYE_X, EYE_Y, emit, to_camera
from simdrive.sim.raster import DrawList, Words, pack_colour
from simdrive.sim.state import Float, Int

TUNNEL_HEIGHT_M = 5.4
HILL_HEIGHT_M = 15.0
_PIECE_M = 10.0
_LAMP_M = 5.0
_FAR_M = 400.0


@jit
def actor_group(light: Float, eye_x: float, eye_y: float, x: float, y: float, reach: float) -> int:
    """Return when an actor is drawn: 0 before the tunnel's inside, 1 in it, 2 after the portal.

    Args:
        x, y: centre of the actor, world frame, m; reach: half its length, m.
    """
    start, end = light[li.TUNNEL_START], light[li.TUNNEL_END]
    if li.in_tunnel(light, eye_x, eye_y):
        return 1 if start - reach <= x <= end + reach and li.in_tunnel(light, min(max(x, start), end), y) else 0
    if eye_x < start:
        if x - reach < start:
            return 2
    elif eye_x > end:
        if x + reach > end:
            return 2
    else:
        return 2  # beside the tube: its inside is not drawn
    return 1 if li.in_tunnel(light, x, y) else 0


@jit
def draw_inside(
    light: Float, shade: Float, view: Float, draw: DrawList, table: Words, next_id: Int, polygon: Float
) -> None:
    """Append walls, ceiling and lamps, far pieces first."""
    start, end = light[li.TUNNEL_START], light[li.TUNNEL_END]
    if not (light[li.WALL_LEFT] <= view[EYE_Y] <= light[li.WALL_RIGHT]) and start <= view[EYE_X] <= end:
        return
    pieces = int(math.ceil((end - start) / _PIECE_M))
    for number in range(pieces):
        # From both ends towards the eye: that is far to near wherever the eye stands.
        for side in range(2):
            a = start + number * _PIECE_M if side == 0 else end - (number + 1) * _PIECE_M
            b = a + _PIECE_M
            a, b = max(a, start), min(b, end)
            middle = 0.5 * (a + b)
            if abs(middle - view[EYE_X]) > _FAR_M or (middle < view[EYE_X]) != (side == 0) or a >= b:
                continue
            _draw_piece(a, b, light, shade, view, draw, table, next_id, polygon)


@jit
def _draw_piece(
    a: float, b: float, light: Float, shade: Float, view: Float, draw: DrawList, table: Words, next_id: Int, polygon: Float
) -> None:
    left, right = light[li.WALL_LEFT], light[li.WALL_RIGHT]
    middle = 0.5 * (a + b)
    portal = min(middle - light[li.TUNNEL_START], light[li.TUNNEL_END] - middle)
    level = shade[TUBE_LEVEL] + 0.5 * shade[SIDE_LEVEL] * math.exp(-portal / 9.0)
    clear = math.exp(-shade[DECAY] * abs(middle - view[EYE_X]))
    for side in range(2):
        y = left if side == 0 else right
        for band in range(2):
            low, high = (0.0, 3.0) if band == 0 else (3.0, TUNNEL_HEIGHT_M)
            _set(view, polygon, 0, a, y, low)
            _set(view, polygon, 1, b, y, low)
            _set(view, polygon, 2, b, y, high)
            _set(view, polygon, 3, a, y, high)
            tone = 168.0 if band == 0 else 112.0
            _append(tone, tone * 0.98, tone * 0.93, level, clear, shade, view, draw, table, next_id, polygon)
    _set(view, polygon, 0, a, left, TUNNEL_HEIGHT_M)
    _set(view, polygon, 1, b, left, TUNNEL_HEIGHT_M)
    _set(view, polygon, 2, b, right, TUNNEL_HEIGHT_M)
    _set(view, polygon, 3, a, right, TUNNEL_HEIGHT_M)
    _append(78.0, 76.0, 72.0, level, clear, shade, view, draw, table, next_id, polygon)
    for lamp in range(2):
        y = left + (0.3 + 0.4 * lamp) * (right - left)
        _set(view, polygon, 0, a + 2.0, y - 0.25, TUNNEL_HEIGHT_M - 0.1)
        _set(view, polygon, 1, a + 2.0 + _LAMP_M, y - 0.25, TUNNEL_HEIGHT_M - 0.1)
        _set(view, polygon, 2, a + 2.0 + _LAMP_M, y + 0.25, TUNNEL_HEIGHT_M - 0.1)
        _set(view, polygon, 3, a + 2.0, y + 0.25, TUNNEL_HEIGHT_M - 0.1)
        if a + 2.0 + _LAMP_M <= b:
            _append(255.0, 226.0, 170.0, 1.0, clear, shade, view, draw, table, next_id, polygon)


@jit
def draw_portal(
    light: Float, shade: Float, view: Float, draw: DrawList, table: Words, next_id: Int, polygon: Float
) -> None:
    """Append the hillside and the concrete frame around the opening that faces an eye outside."""
    before = view[EYE_X] < light[li.TUNNEL_START]
    if not before and view[EYE_X] <= light[li.TUNNEL_END]:
        return
    x = light[li.TUNNEL_START] if before else light[li.TUNNEL_END]
    if abs(x - view[EYE_X]) > _FAR_M:
        return
    left, right = light[li.WALL_LEFT], light[li.WALL_RIGHT]
    clear = math.exp(-shade[DECAY] * abs(x - view[EYE_X]))
    level = shade[SIDE_LEVEL] + 0.3 * shade[SUN_LEVEL] + 0.15 * shade[BEAM]
    for ring in range(2):
        # The hill first, then the frame: three quads each, around the opening.
        wide = 70.0 if ring == 0 else 1.6
        tall = HILL_HEIGHT_M if ring == 0 else TUNNEL_HEIGHT_M + 1.6
        edge = 0.0 if ring == 0 else tall
        red, green, blue = (86.0, 100.0, 62.0) if ring == 0 else (150.0, 148.0, 142.0)
        for part in range(3):
            if part < 2:
                inner, outer = (left, left - wide) if part == 0 else (right, right + wide)
                _set(view, polygon, 0, x, outer, 0.0)
                _set(view, polygon, 1, x, inner, 0.0)
                _set(view, polygon, 2, x, inner, tall)
                _set(view, polygon, 3, x, outer, edge)
            else:
                _set(view, polygon, 0, x, left, TUNNEL_HEIGHT_M)
                _set(view, polygon, 1, x, right, TUNNEL_HEIGHT_M)
                _set(view, polygon, 2, x, right, tall)
                _set(view, polygon, 3, x, left, tall)
            _append(red, green, blue, level, clear, shade, view, draw, table, next_id, polygon)


@jit_inline
def _set(view: Float, polygon: Float, corner: int, x: float, y: float, z: float) -> None:
    depth, right, up = to_camera(view, x, y, z)
    polygon[corner, 0], polygon[corner, 1], polygon[corner, 2] = depth, right, up


@jit_inline
def _append(
    red: float,
    green: float,
    blue: float,
    level: float,
    clear: float,
    shade: Float,
    view: Float,
    draw: DrawList,
    table: Words,
    next_id: Int,
    polygon: Float,
) -> None:
    if next_id[0] < table.shape[0] and emit(draw, view, polygon, 4, next_id[0]):
        air = (1.0 - clear) * shade[OPEN_LEVEL]
        table[next_id[0]] = pack_colour(
            red * level * shade[TINT] * clear + shade[AIR] * air,
            green * level * shade[TINT + 1] * clear + shade[AIR + 1] * air,
            blue * level * shade[TINT + 2] * clear + shade[AIR + 2] * air,
            0,
        )
        next_id[0] += 1
