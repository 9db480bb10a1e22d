"""A tunnel of a frame: walls, ceiling and lamps seen from inside, the portal in its hillside seen from outside."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit, jit_inline
from simdrive.sim import lighting as li
from simdrive.sim.camera_light import AIR, BEAM, DECAY, OPEN_LEVEL, SIDE_LEVEL, SUN_LEVEL, TINT, TUBE_LEVEL
from simdrive.sim.camera_view import EYE_X, EYE_Y, append, to_camera
from simdrive.sim.raster import QUAD, ZERO, Words, pack_colour
from simdrive.sim.state import Float
from simdrive.types import Long

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
def draw_inside(light: Float, frame: Float, draw: Float, cursor: Long, table: Words, geo: Float) -> None:
    """Append walls, ceiling and lamps, far pieces first."""
    start, end = light[li.TUNNEL_START], light[li.TUNNEL_END]
    if not (light[li.WALL_LEFT] <= frame[EYE_Y] <= light[li.WALL_RIGHT]) and start <= frame[EYE_X] <= end:
        return
    pieces = int(math.ceil((end - start) / _PIECE_M))
    for number in range(pieces):
        # From both ends towards the eye: that is far to near wherever the eye stands.
        for side in range(2):
            a = start + number * _PIECE_M if side == 0 else end - (number + 1) * _PIECE_M
            b = a + _PIECE_M
            a, b = max(a, start), min(b, end)
            middle = 0.5 * (a + b)
            if abs(middle - frame[EYE_X]) > _FAR_M or (middle < frame[EYE_X]) != (side == 0) or a >= b:
                continue
            _draw_piece(a, b, light, frame, draw, cursor, table, geo)


@jit
def _draw_piece(
    a: float, b: float, light: Float, frame: Float, draw: Float, cursor: Long, table: Words, geo: Float
) -> None:
    left, right = light[li.WALL_LEFT], light[li.WALL_RIGHT]
    middle = 0.5 * (a + b)
    portal = min(middle - light[li.TUNNEL_START], light[li.TUNNEL_END] - middle)
    level = frame[TUBE_LEVEL] + 0.5 * frame[SIDE_LEVEL] * math.exp(-portal / 9.0)
    clear = math.exp(-frame[DECAY] * abs(middle - frame[EYE_X]))
    for side in range(2):
        y = left if side == 0 else right
        for band in range(2):
            low, high = (0.0, 3.0) if band == 0 else (3.0, TUNNEL_HEIGHT_M)
            for corner in range(4):
                x = a if corner == 0 or corner == 3 else b
                _set(frame, geo, corner, x, y, low if corner < 2 else high)
            tone = 168.0 if band == 0 else 112.0
            _append(tone, tone * 0.98, tone * 0.93, level, clear, frame, draw, cursor, table, geo)
    for corner in range(4):
        _set(frame, geo, corner, a if corner == 0 or corner == 3 else b, left if corner < 2 else right, TUNNEL_HEIGHT_M)
    _append(78.0, 76.0, 72.0, level, clear, frame, draw, cursor, table, geo)
    if a + 2.0 + _LAMP_M > b:
        return
    for lamp in range(2):
        y = left + (0.3 + 0.4 * lamp) * (right - left)
        for corner in range(4):
            x = a + (2.0 if corner == 0 or corner == 3 else 2.0 + _LAMP_M)
            _set(frame, geo, corner, x, y + (-0.25 if corner < 2 else 0.25), TUNNEL_HEIGHT_M - 0.1)
        _append(255.0, 226.0, 170.0, 1.0, clear, frame, draw, cursor, table, geo)


@jit
def draw_portal(light: Float, frame: Float, draw: Float, cursor: Long, table: Words, geo: Float) -> None:
    """Append the hillside and the concrete frame around the opening that faces an eye outside."""
    before = frame[EYE_X] < light[li.TUNNEL_START]
    if not before and frame[EYE_X] <= light[li.TUNNEL_END]:
        return
    x = light[li.TUNNEL_START] if before else light[li.TUNNEL_END]
    if abs(x - frame[EYE_X]) > _FAR_M:
        return
    left, right = light[li.WALL_LEFT], light[li.WALL_RIGHT]
    clear = math.exp(-frame[DECAY] * abs(x - frame[EYE_X]))
    level = frame[SIDE_LEVEL] + 0.3 * frame[SUN_LEVEL] + 0.15 * frame[BEAM]
    for ring in range(2):
        # The hill first, then the frame: three quads each, around the opening.
        wide = 70.0 if ring == 0 else 1.6
        tall = HILL_HEIGHT_M if ring == 0 else TUNNEL_HEIGHT_M + 1.6
        edge = 0.0 if ring == 0 else tall
        red, green, blue = (86.0, 100.0, 62.0) if ring == 0 else (150.0, 148.0, 142.0)
        for part in range(3):
            inner, outer = (left, left - wide) if part == 0 else (right, right + wide)
            for corner in range(4):
                upper = corner >= 2
                if part < 2:
                    y = inner if corner == 1 or corner == 2 else outer
                    z = 0.0 if not upper else (tall if corner == 2 else edge)
                else:
                    y = right if corner == 1 or corner == 2 else left
                    z = tall if upper else TUNNEL_HEIGHT_M
                _set(frame, geo, corner, x, y, z)
            _append(red, green, blue, level, clear, frame, draw, cursor, table, geo)


@jit_inline
def _set(frame: Float, geo: Float, corner: int, x: float, y: float, z: float) -> None:
    depth, right, up = to_camera(frame, x, y, z)
    geo[corner, 0], geo[corner, 1], geo[corner, 2] = depth, right, up


@jit
def _append(
    red: float,
    green: float,
    blue: float,
    level: float,
    clear: float,
    frame: Float,
    draw: Float,
    cursor: Long,
    table: Words,
    geo: Float,
) -> None:
    entry = cursor[1]
    if entry < table.shape[0] and append(draw, cursor, frame, geo, QUAD, entry):
        air = (1.0 - clear) * frame[OPEN_LEVEL]
        table[entry] = pack_colour(
            red * level * frame[TINT] * clear + frame[AIR] * air,
            green * level * frame[TINT + 1] * clear + frame[AIR + 1] * air,
            blue * level * frame[TINT + 2] * clear + frame[AIR + 2] * air,
            ZERO,
        )
        cursor[1] = entry + 1
