"""Actors of a frame: blocks and patches of their shapes as shaded polygons, lamps as their lights say."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

import numpy as np

from simdrive.jit import jit, jit_inline
from simdrive.sim import lighting as li
from simdrive.sim.camera_light import (
    AIR,
    BEAM,
    BEAM_FADE_M,
    DECAY,
    LAMPS_ON,
    OPEN_LEVEL,
    SIDE_LEVEL,
    SUN_LEVEL,
    SUN_X,
    SUN_Y,
    TINT,
    TOP_LEVEL,
    TUBE_LEVEL,
)
from simdrive.sim.camera_order import AHEAD, COS_H, DISTANCE, RIGHT, SIN_H
from simdrive.sim.camera_view import COS_PITCH, EYE_Z, FOCAL, PIXELS, SIN_PITCH, emit
from simdrive.sim.raster import QUAD, SIZE, ZERO, Words, pack_colour
from simdrive.sim.shapes import FRONT, LAMPS_FROM, LEFT, REAR, TOP, LookTables, Paint
from simdrive.sim.shapes import RIGHT as RIGHT_FACE
from simdrive.sim.state import Float, Int
from simdrive.types import Long

# Columns of an actor's appearance.
LENGTH, WIDTH, HEIGHT, RED, GREEN, BLUE, BRAKING, SIGNAL_LEFT, SIGNAL_RIGHT, BLINK, LABEL, SHAPE = range(12)
FACE_LEVEL = 12  # five columns: rear, front, left, right, top
CLEAR, LEVEL, BEAM_LEVEL, PIXEL_HEIGHT, X, Y, COS_HEADING, SIN_HEADING, INSIDE, SWING = range(17, 27)
ACTOR_COLUMNS = 27

_BODY, _BODY_DARK, _BLUE, _RIM = int(Paint.BODY), int(Paint.BODY_DARK), int(Paint.BLUE_LAMP), int(Paint.RIM)
_BRAKE_HIGH = int(Paint.BRAKE_HIGH)
_SIGNAL_LEFT, _SIGNAL_RIGHT, _HEADLAMP = int(Paint.INDICATOR_LEFT), int(Paint.INDICATOR_RIGHT), int(Paint.HEADLAMP)
_HIDDEN, _SURFACE, _GLOWING = 0, 1, 2
_CORNERS = 10  # first scratch row of a block's corners; the polygon at hand lies in the rows before
_EIGHT = np.int64(8)
_OCTAGON = np.array([(math.cos(0.25 * math.pi * (k + 0.5)), math.sin(0.25 * math.pi * (k + 0.5))) for k in range(8)])
# Corners of the faces of a block: bottom first, second, top second, top first as seen along `across`.
_FACES = _CORNERS + np.array([[0, 1, 5, 4], [3, 2, 6, 7], [0, 3, 7, 4], [1, 2, 6, 5], [4, 5, 6, 7]])
_FACING = np.array([1.0, -1.0, -1.0, 1.0, 1.0])
_DETAIL_PIXELS = (0.0, 9.0, 22.0)
_PATCH_PIXELS = 5.0
_TOP_PIXELS = 6.0
_LAMP_PIXELS = 2.5
_LAMP_WIDTH_PIXELS, _LAMP_HEIGHT_PIXELS = 1.35, 1.15
_LAMP_GROWTH = 1.3
_BUILDING_WITH_WINDOWS_M = 4.5
_BUILDING = li._BUILDING


@jit
def draw_actors(
    actors: Float,
    foot: Float,
    row_actor: Int,
    order: Int,
    begin: int,
    end: int,
    looks: LookTables,
    frame: Float,
    draw: Float,
    cursor: Long,
    table: Words,
    geo: Float,
) -> None:
    """Append the actors at places [begin, end) of ``order``; every polygon gets its own id and table entry.

    Args:
        actors: ``[V, ACTOR_COLUMNS]`` appearance, see the columns.
        foot: footprints (``camera_order``); row_actor: actor of each row; order: rows from back to front.
        draw, cursor: see ``camera_view.emit``; geo: scratch ``[18, 3]``.
    """
    block_start, blocks, block_order = looks.block_start, looks.blocks, looks.block_order
    patch_start, patches, paints = looks.patch_start, looks.patches, looks.paint
    for turn in range(begin, end):
        row = order[turn]
        number = row_actor[row]
        shape = int(actors[number, SHAPE])
        eye_x = -(foot[row, AHEAD] * foot[row, COS_H] + foot[row, RIGHT] * foot[row, SIN_H])
        eye_y = -(foot[row, RIGHT] * foot[row, COS_H] - foot[row, AHEAD] * foot[row, SIN_H])
        quarter = (2 if eye_x > 0.0 else 0) + (1 if eye_y > 0.0 else 0)
        pixels = actors[number, PIXEL_HEIGHT]
        detail = 2 if pixels >= _DETAIL_PIXELS[2] else (1 if pixels >= _DETAIL_PIXELS[1] else 0)
        flat_top = pixels < _TOP_PIXELS  # its top would be less than a row
        plain = shape == _BUILDING and actors[number, HEIGHT] < _BUILDING_WITH_WINDOWS_M
        for place in range(block_start[shape], block_start[shape + 1]):
            block = block_order[quarter, place]
            if blocks[block, 12] > detail:
                continue
            _block_corners(actors, number, foot, row, blocks, block, frame, geo)
            round_sides = blocks[block, 10] > 0.0
            first, last = patch_start[block], patch_start[block] if plain else patch_start[block + 1]
            for face in range(5):
                if face == TOP and (flat_top or blocks[block, 7] * actors[number, HEIGHT] >= frame[EYE_Z]):
                    continue
                if _facing(geo, face) <= 0.0:
                    continue
                wheel = round_sides and (face == LEFT or face == RIGHT_FACE)
                # The face itself, the rim of a wheel, the patches on it.
                for item in range(first - 2, last):
                    size = ZERO
                    paint = int(blocks[block, 11])
                    if item == first - 2 and not wheel:
                        size = _middle(geo) if round_sides else _face_corners(geo, face, 0.0, 1.0, 0.0, 1.0)
                    elif item < first:
                        if item == first - 2 or detail > 0:
                            radius = 0.5 if item == first - 2 else 0.34
                            paint = paint if item == first - 2 else _RIM
                            size = _disc(geo, face, 0.5, 0.5, radius, radius) if wheel else 0
                    elif patches[item, 0] == face and patches[item, 6] <= detail:
                        paint = int(patches[item, 5])
                        radius = patches[item, 7]
                        if pixels < (_LAMP_PIXELS if paint >= LAMPS_FROM else _PATCH_PIXELS):
                            continue
                        if radius > 0.0:
                            wide = radius / ((blocks[block, 1] - blocks[block, 0]) * actors[number, LENGTH])
                            low = blocks[block, 6] * actors[number, HEIGHT]
                            tall = blocks[block, 7] * actors[number, HEIGHT] - low
                            size = _disc(geo, face, patches[item, 1], (radius - low) / tall, wide, radius / tall)
                        else:
                            size = _face_corners(
                                geo, face, patches[item, 1], patches[item, 2], patches[item, 3], patches[item, 4]
                            )
                    if size > 0:
                        _emit_paint(actors, number, paint, face, size, paints, frame, draw, cursor, table, geo)


@jit_inline
def _block_corners(
    actors: Float, number: int, foot: Float, row: int, blocks: Float, block: int, frame: Float, geo: Float
) -> None:
    """Write the eight corners of a block in camera coordinates: bottom then top, rear left, rear right, front."""
    cos, sin, cos_pitch, sin_pitch = foot[row, COS_H], foot[row, SIN_H], frame[COS_PITCH], frame[SIN_PITCH]
    length, width = actors[number, LENGTH], actors[number, WIDTH]
    ahead, right = foot[row, AHEAD], foot[row, RIGHT]
    y = blocks[block, 8] * width
    for top in range(2):
        up = blocks[block, 6 + top] * actors[number, HEIGHT] - frame[EYE_Z]
        swing = blocks[block, 9] * actors[number, SWING] * length if top == 0 else 0.0
        rear, front = blocks[block, 2 * top] * length + swing, blocks[block, 2 * top + 1] * length + swing
        half_width = blocks[block, 4 + top] * width
        for ring in range(4):
            u = rear if ring < 2 else front
            v = y + half_width if ring == 1 or ring == 2 else y - half_width
            level = ahead + u * cos - v * sin
            place = _CORNERS + 4 * top + ring
            geo[place, 0] = level * cos_pitch - up * sin_pitch
            geo[place, 1] = right + u * sin + v * cos
            geo[place, 2] = level * sin_pitch + up * cos_pitch


@jit_inline
def _facing(geo: Float, face: int) -> float:
    """Return a number > 0 if a face looks at the camera: its first three corners turn right-up as seen from it."""
    a, b, c = _FACES[face, 0], _FACES[face, 1], _FACES[face, 2]
    a0, a1, a2 = geo[a, 0], geo[a, 1], geo[a, 2]
    b0, b1, b2 = geo[b, 0], geo[b, 1], geo[b, 2]
    c0, c1, c2 = geo[c, 0], geo[c, 1], geo[c, 2]
    volume = a0 * (b1 * c2 - b2 * c1) - a1 * (b0 * c2 - b2 * c0) + a2 * (b0 * c1 - b1 * c0)
    return volume * _FACING[face]


@jit_inline
def _face_corners(geo: Float, face: int, across_from: float, across_to: float, up_from: float, up_to: float) -> int:
    """Write the rectangle between fractions of a face; returns its number of corners."""
    a, b, c, d = _FACES[face, 0], _FACES[face, 1], _FACES[face, 2], _FACES[face, 3]
    for axis in range(3):
        low, high = geo[a, axis], geo[d, axis]
        low_step, high_step = geo[b, axis] - low, geo[c, axis] - high
        low_from, low_to = low + across_from * low_step, low + across_to * low_step
        high_from, high_to = high + across_from * high_step, high + across_to * high_step
        geo[0, axis] = low_from + up_from * (high_from - low_from)
        geo[1, axis] = low_to + up_from * (high_to - low_to)
        geo[2, axis] = low_to + up_to * (high_to - low_to)
        geo[3, axis] = low_from + up_to * (high_from - low_from)
    return QUAD


@jit_inline
def _middle(geo: Float) -> int:
    """Write the upright section halfway along a block: a wheel seen from the end; returns its number of corners."""
    for place in range(4):
        for axis in range(3):
            geo[place, axis] = 0.5 * (geo[_FACES[REAR, place], axis] + geo[_FACES[FRONT, place], axis])
    return QUAD


@jit
def _disc(geo: Float, face: int, across: float, up: float, across_radius: float, up_radius: float) -> int:
    """Write an octagon in fractions of an upright face; returns its number of corners."""
    a, b, d = _FACES[face, 0], _FACES[face, 1], _FACES[face, 3]
    for axis in range(3):
        along, rise = geo[b, axis] - geo[a, axis], geo[d, axis] - geo[a, axis]
        middle = geo[a, axis] + across * along + up * rise
        for place in range(8):
            geo[place, axis] = (
                middle + _OCTAGON[place, 0] * across_radius * along + _OCTAGON[place, 1] * up_radius * rise
            )
    return _EIGHT


@jit_inline
def _emit_paint(
    actors: Float,
    number: int,
    paint: int,
    face: int,
    size: int,
    paints: Float,
    frame: Float,
    draw: Float,
    cursor: Long,
    table: Words,
    geo: Float,
) -> None:
    """Append the polygon in a paint, shaded for its face and distance; lit lamps glow and never get too small."""
    red, green, blue = paints[paint, 0], paints[paint, 1], paints[paint, 2]
    state = _SURFACE
    if paint <= _BODY_DARK:
        dark = 1.0 if paint == _BODY else 0.55
        red, green, blue = actors[number, RED] * dark, actors[number, GREEN] * dark, actors[number, BLUE] * dark
    elif paint >= LAMPS_FROM:
        signal = actors[number, SIGNAL_LEFT if paint == _SIGNAL_LEFT else SIGNAL_RIGHT] * actors[number, BLINK]
        blink, lit = actors[number, BLINK] > 0.0, frame[LAMPS_ON] > 0.0
        state, red, green, blue = _lamp(
            paint, red, green, blue, actors[number, BRAKING] > 0.0, signal > 0.0, blink, lit
        )
    entry = cursor[1]
    if state != _HIDDEN and entry < table.shape[0] and emit(draw, cursor, frame, geo, size, entry):
        clear = actors[number, CLEAR]
        if state == _GLOWING:
            _grow(draw, cursor, frame[PIXELS])
            clear = math.sqrt(clear)  # lamps pierce thick air better
        else:
            level = actors[number, FACE_LEVEL + face] * actors[number, LEVEL] + actors[number, BEAM_LEVEL]
            red, green, blue = (
                red * level * frame[TINT],
                green * level * frame[TINT + 1],
                blue * level * frame[TINT + 2],
            )
        air = (1.0 - clear) * frame[OPEN_LEVEL]
        red, green, blue = (
            red * clear + frame[AIR] * air,
            green * clear + frame[AIR + 1] * air,
            blue * clear + frame[AIR + 2] * air,
        )
        table[entry] = pack_colour(red, green, blue, int(actors[number, LABEL]))
        cursor[1] = entry + 1


@jit_inline
def _lamp(
    paint: int, red: float, green: float, blue: float, braking: bool, signal: bool, blink: bool, lit: bool
) -> tuple[int, float, float, float]:
    """Return state and colour of a lamp whose unlit colour is given."""
    state = _SURFACE
    if paint <= _BRAKE_HIGH:
        if braking:
            state, red, green, blue = _GLOWING, 255.0, 38.0, 26.0
        elif paint == _BRAKE_HIGH:
            state = _HIDDEN
        elif lit:
            state, red, green, blue = _GLOWING, 168.0, 14.0, 14.0
    elif paint <= _SIGNAL_RIGHT:
        state, red, green, blue = _GLOWING if signal else _HIDDEN, 255.0, 168.0, 12.0
    elif paint == _HEADLAMP:
        if lit:
            state, red, green, blue = _GLOWING, 255.0, 252.0, 226.0
    elif blink:
        state, red, green, blue = _GLOWING, 70.0, 130.0, 255.0
    return state, red, green, blue


@jit
def _grow(draw: Float, cursor: Long, pixels: float) -> None:
    """Enlarge the last polygon about its centre: a lit lamp outshines its glass and stays at least a pixel.

    Args:
        pixels: sub-pixels per pixel.
    """
    place = min(cursor[0], draw.shape[0]) - 1
    low_x, high_x, low_y, high_y = math.inf, -math.inf, math.inf, -math.inf
    size = int(draw[place, SIZE])
    for k in range(size):
        low_x, high_x = min(low_x, draw[place, 2 * k]), max(high_x, draw[place, 2 * k])
        low_y, high_y = min(low_y, draw[place, 2 * k + 1]), max(high_y, draw[place, 2 * k + 1])
    wide, tall = max(high_x - low_x, 1e-3), max(high_y - low_y, 1e-3)
    growth = _LAMP_GROWTH if wide < 24.0 * pixels else 1.0
    scale_x, scale_y = max(_LAMP_WIDTH_PIXELS * pixels / wide, growth), max(_LAMP_HEIGHT_PIXELS * pixels / tall, growth)
    middle_x, middle_y = 0.5 * (low_x + high_x), 0.5 * (low_y + high_y)
    for k in range(size):
        draw[place, 2 * k] = middle_x + (draw[place, 2 * k] - middle_x) * scale_x
        draw[place, 2 * k + 1] = middle_y + (draw[place, 2 * k + 1] - middle_y) * scale_y


@jit_inline
def shade_actor(actors: Float, number: int, foot: Float, row: int, ego_cosine: float, frame: Float) -> None:
    """Fill the shading columns of one actor: light per face, haze, headlamps, size in pixels.

    Args:
        ego_cosine: cosine between the ego's heading and the direction from it to the actor.
    """
    distance = max(foot[row, DISTANCE], 1.0)
    inside = actors[number, INSIDE] > 0.0
    actors[number, PIXEL_HEIGHT] = frame[FOCAL] * actors[number, HEIGHT] / (distance * frame[PIXELS])
    actors[number, CLEAR] = math.exp(-frame[DECAY] * distance)
    actors[number, LEVEL] = 1.0 if inside else frame[OPEN_LEVEL]
    cone = min(max((ego_cosine - 0.80) / 0.15, 0.0), 1.0)
    actors[number, BEAM_LEVEL] = frame[BEAM] * cone * min(max(1.15 - distance / BEAM_FADE_M, 0.0), 0.8)
    cos, sin = actors[number, COS_HEADING], actors[number, SIN_HEADING]
    along = (cos * frame[SUN_X] + sin * frame[SUN_Y]) * frame[SUN_LEVEL]
    across = (cos * frame[SUN_Y] - sin * frame[SUN_X]) * frame[SUN_LEVEL]
    side = frame[SIDE_LEVEL]
    actors[number, FACE_LEVEL + REAR] = side + max(-along, 0.0)
    actors[number, FACE_LEVEL + FRONT] = side + max(along, 0.0)
    actors[number, FACE_LEVEL + LEFT] = 0.93 * side + max(-across, 0.0)
    actors[number, FACE_LEVEL + RIGHT_FACE] = 0.93 * side + max(across, 0.0)
    actors[number, FACE_LEVEL + TOP] = frame[TOP_LEVEL]
    if inside:
        for face in range(5):
            level = 1.0 if face == TOP else (0.8 if face <= FRONT else 0.9)
            actors[number, FACE_LEVEL + face] = frame[TUBE_LEVEL] * level
