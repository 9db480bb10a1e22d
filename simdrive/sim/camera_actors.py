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
from simdrive.sim.camera_view import COS_PITCH, EYE_Z, FOCAL, PIXELS, SIN_PITCH, emit, facing
from simdrive.sim.raster import OBJECT_ID, DrawList, Words, pack_colour
from simdrive.sim.shapes import FRONT, LAMPS_FROM, LEFT, REAR, RIGHT as RIGHT_FACE, TOP, LookTables, Paint
from simdrive.sim.state import Float, Int

# Columns of an actor's appearance.
LENGTH, WIDTH, HEIGHT, RED, GREEN, BLUE, BRAKING, SIGNAL_LEFT, SIGNAL_RIGHT, BLINK, LABEL, SHAPE, PHASE = range(13)
FACE_LEVEL = 13  # five columns: rear, front, left, right, top
CLEAR, LEVEL, BEAM_LEVEL, PIXEL_HEIGHT = range(18, 22)
ACTOR_COLUMNS = 22

_BODY, _BODY_DARK, _BLUE = int(Paint.BODY), int(Paint.BODY_DARK), int(Paint.BLUE_LAMP)
_BRAKE_LEFT, _BRAKE_RIGHT, _BRAKE_HIGH = int(Paint.BRAKE_LEFT), int(Paint.BRAKE_RIGHT), int(Paint.BRAKE_HIGH)
_SIGNAL_LEFT, _SIGNAL_RIGHT, _HEADLAMP = int(Paint.INDICATOR_LEFT), int(Paint.INDICATOR_RIGHT), int(Paint.HEADLAMP)
_HIDDEN, _SURFACE, _GLOWING = 0, 1, 2
# Corners of the faces of a block: bottom first, second, top second, top first as seen along `across`.
_FACES = np.array([[0, 1, 5, 4], [3, 2, 6, 7], [0, 3, 7, 4], [1, 2, 6, 5], [4, 5, 6, 7]])
_FACING = np.array([1.0, -1.0, -1.0, 1.0, 1.0])
_DETAIL_PIXELS = (0.0, 9.0, 22.0)
_PATCH_PIXELS = 5.0
_LAMP_PIXELS = 2.5
_LAMP_WIDTH_PIXELS, _LAMP_HEIGHT_PIXELS = 1.35, 1.15
_LAMP_GROWTH = 1.3
_BUILDING_WITH_WINDOWS_M = 4.5
_BUILDING = li._BUILDING


@jit
def draw_actor(
    actor: Float,
    foot: Float,
    row: int,
    looks: LookTables,
    shade: Float,
    view: Float,
    draw: DrawList,
    table: Words,
    next_id: Int,
    corner: Float,
    polygon: Float,
) -> None:
    """Append one actor; every polygon gets its own id and table entry.

    Args:
        actor: ``[ACTOR_COLUMNS]`` appearance, see the columns.
        foot: footprints (``camera_order``); ``row`` is this actor's.
        next_id: ``[1]`` next free object id.
        corner: scratch ``[8, 3]``; polygon: scratch ``[10, 3]``.
    """
    shape = int(actor[SHAPE])
    begin, end = looks.block_start[shape], looks.block_start[shape + 1]
    eye_x = -(foot[row, AHEAD] * foot[row, COS_H] + foot[row, RIGHT] * foot[row, SIN_H])
    eye_y = -(foot[row, RIGHT] * foot[row, COS_H] - foot[row, AHEAD] * foot[row, SIN_H])
    quarter = (2 if eye_x > 0.0 else 0) + (1 if eye_y > 0.0 else 0)
    pixels = actor[PIXEL_HEIGHT]
    detail = 2 if pixels >= _DETAIL_PIXELS[2] else (1 if pixels >= _DETAIL_PIXELS[1] else 0)
    for place in range(begin, end):
        block = looks.block_order[quarter, place]
        if looks.blocks[block, 12] > detail:
            continue
        _block_corners(actor, foot, row, looks, block, view, corner)
        disc = looks.blocks[block, 10] > 0.0
        for face in range(5):
            if face == TOP and looks.blocks[block, 7] * actor[HEIGHT] >= view[EYE_Z]:
                continue
            _face_corners(corner, face, 0.0, 1.0, 0.0, 1.0, polygon)
            if facing(polygon) * _FACING[face] <= 0.0:
                continue
            size = 4
            if disc and (face == LEFT or face == RIGHT_FACE):
                size = _disc(corner, face, 0.5, 0.5, 0.5, 0.5, polygon)
            paint = int(looks.blocks[block, 11])
            _emit_paint(actor, paint, face, size, looks, shade, view, draw, table, next_id, polygon)
            if disc and size == 8 and detail > 0:
                _disc(corner, face, 0.5, 0.5, 0.34, 0.34, polygon)
                _emit_paint(actor, int(Paint.RIM), face, 8, looks, shade, view, draw, table, next_id, polygon)
            for patch in range(looks.patch_start[block], looks.patch_start[block + 1]):
                if looks.patches[patch, 0] == face and looks.patches[patch, 6] <= detail:
                    _draw_patch(
                        actor, block, patch, face, looks, shade, view, draw, table, next_id, corner, polygon
                    )


@jit
def _draw_patch(
    actor: Float,
    block: int,
    patch: int,
    face: int,
    looks: LookTables,
    shade: Float,
    view: Float,
    draw: DrawList,
    table: Words,
    next_id: Int,
    corner: Float,
    polygon: Float,
) -> None:
    paint = int(looks.patches[patch, 5])
    lamp = paint >= LAMPS_FROM
    if actor[PIXEL_HEIGHT] < (_LAMP_PIXELS if lamp else _PATCH_PIXELS):
        return
    radius = looks.patches[patch, 7]
    if radius > 0.0:
        long = (looks.blocks[block, 1] - looks.blocks[block, 0]) * actor[LENGTH]
        low = looks.blocks[block, 6] * actor[HEIGHT]
        tall = looks.blocks[block, 7] * actor[HEIGHT] - low
        size = _disc(
            corner, face, looks.patches[patch, 1], (radius - low) / tall, radius / long, radius / tall, polygon
        )
        _emit_paint(actor, paint, face, size, looks, shade, view, draw, table, next_id, polygon)
        return
    if actor[SHAPE] == _BUILDING and actor[HEIGHT] < _BUILDING_WITH_WINDOWS_M:
        return
    _face_corners(
        corner,
        face,
        looks.patches[patch, 1],
        looks.patches[patch, 2],
        looks.patches[patch, 3],
        looks.patches[patch, 4],
        polygon,
    )
    _emit_paint(actor, paint, face, 4, looks, shade, view, draw, table, next_id, polygon)


@jit_inline
def _block_corners(
    actor: Float, foot: Float, row: int, looks: LookTables, block: int, view: Float, corner: Float
) -> None:
    """Write the eight corners of a block in camera coordinates: bottom then top, rear left, rear right, front."""
    swing = looks.blocks[block, 9] * math.sin(actor[PHASE])
    for number in range(8):
        top = number // 4
        ring = number % 4
        x = looks.blocks[block, 2 * top + (1 if ring >= 2 else 0)] + (swing if top == 0 else 0.0)
        half_width = looks.blocks[block, 4 + top]
        y = looks.blocks[block, 8] + (half_width if ring == 1 or ring == 2 else -half_width)
        x, y = x * actor[LENGTH], y * actor[WIDTH]
        ahead = foot[row, AHEAD] + x * foot[row, COS_H] - y * foot[row, SIN_H]
        up = looks.blocks[block, 6 + top] * actor[HEIGHT] - view[EYE_Z]
        corner[number, 0] = ahead * view[COS_PITCH] - up * view[SIN_PITCH]
        corner[number, 1] = foot[row, RIGHT] + x * foot[row, SIN_H] + y * foot[row, COS_H]
        corner[number, 2] = ahead * view[SIN_PITCH] + up * view[COS_PITCH]


@jit_inline
def _on_face(corner: Float, face: int, across: float, up: float, polygon: Float, place: int) -> None:
    """Write the camera coordinates of a point given in fractions of a face."""
    a, b, c, d = _FACES[face, 0], _FACES[face, 1], _FACES[face, 2], _FACES[face, 3]
    for axis in range(3):
        low = corner[a, axis] + across * (corner[b, axis] - corner[a, axis])
        high = corner[d, axis] + across * (corner[c, axis] - corner[d, axis])
        polygon[place, axis] = low + up * (high - low)


@jit_inline
def _face_corners(
    corner: Float, face: int, across_from: float, across_to: float, up_from: float, up_to: float, polygon: Float
) -> None:
    for place in range(4):
        across = across_to if place == 1 or place == 2 else across_from
        _on_face(corner, face, across, up_to if place >= 2 else up_from, polygon, place)


@jit_inline
def _disc(
    corner: Float, face: int, across: float, up: float, across_radius: float, up_radius: float, polygon: Float
) -> int:
    """Write an octagon in fractions of a face; returns its number of corners."""
    for place in range(8):
        angle = (place + 0.5) * 0.25 * math.pi
        _on_face(
            corner, face, across + across_radius * math.cos(angle), up + up_radius * math.sin(angle), polygon, place
        )
    return 8


@jit
def _emit_paint(
    actor: Float,
    paint: int,
    face: int,
    size: int,
    looks: LookTables,
    shade: Float,
    view: Float,
    draw: DrawList,
    table: Words,
    next_id: Int,
    polygon: Float,
) -> None:
    """Append ``polygon`` in a paint, shaded for its face and distance; lit lamps glow and never get too small."""
    red, green, blue = looks.paint[paint, 0], looks.paint[paint, 1], looks.paint[paint, 2]
    state = _SURFACE
    if paint <= _BODY_DARK:
        dark = 1.0 if paint == _BODY else 0.55
        red, green, blue = actor[RED] * dark, actor[GREEN] * dark, actor[BLUE] * dark
    elif paint >= LAMPS_FROM:
        red, green, blue, state = _lamp(actor, paint, red, green, blue, shade)
    if state == _HIDDEN or next_id[0] >= table.shape[0]:
        return
    if not emit(draw, view, polygon, size, next_id[0]):
        return
    if state == _GLOWING:
        _grow(draw, view)
    clear = actor[CLEAR] if state == _SURFACE else math.sqrt(actor[CLEAR])  # lamps pierce thick air better
    air = (1.0 - clear) * shade[OPEN_LEVEL]
    if state == _SURFACE:
        level = actor[FACE_LEVEL + face] * actor[LEVEL] + actor[BEAM_LEVEL]
        red, green, blue = red * level * shade[TINT], green * level * shade[TINT + 1], blue * level * shade[TINT + 2]
    table[next_id[0]] = pack_colour(
        red * clear + shade[AIR] * air,
        green * clear + shade[AIR + 1] * air,
        blue * clear + shade[AIR + 2] * air,
        int(actor[LABEL]),
    )
    next_id[0] += 1


@jit_inline
def _lamp(
    actor: Float, paint: int, red: float, green: float, blue: float, shade: Float
) -> tuple[float, float, float, int]:
    """Return colour and state of a lamp."""
    lit = shade[LAMPS_ON] > 0.0
    if paint == _BRAKE_LEFT or paint == _BRAKE_RIGHT:
        if actor[BRAKING] > 0.0:
            return 255.0, 38.0, 26.0, _GLOWING
        return (168.0, 14.0, 14.0, _GLOWING) if lit else (red, green, blue, _SURFACE)
    if paint == _BRAKE_HIGH:
        return 255.0, 38.0, 26.0, _GLOWING if actor[BRAKING] > 0.0 else _HIDDEN
    if paint == _SIGNAL_LEFT or paint == _SIGNAL_RIGHT:
        on = actor[SIGNAL_LEFT] if paint == _SIGNAL_LEFT else actor[SIGNAL_RIGHT]
        return 255.0, 168.0, 12.0, _GLOWING if on > 0.0 and actor[BLINK] > 0.0 else _HIDDEN
    if paint == _HEADLAMP:
        return (255.0, 252.0, 226.0, _GLOWING) if lit else (red, green, blue, _SURFACE)
    if paint == _BLUE:
        return (70.0, 130.0, 255.0, _GLOWING) if actor[BLINK] > 0.0 else (red, green, blue, _SURFACE)
    return red, green, blue, _SURFACE


@jit_inline
def _grow(draw: DrawList, view: Float) -> None:
    """Enlarge the last polygon about its centre: a lit lamp outshines its glass and stays at least a pixel."""
    place = draw.count[0] - 1
    if place >= draw.size.shape[0]:
        return
    low_x = low_y = math.inf
    high_x = high_y = -math.inf
    for k in range(draw.size[place]):
        low_x, high_x = min(low_x, draw.corners[place, k, 0]), max(high_x, draw.corners[place, k, 0])
        low_y, high_y = min(low_y, draw.corners[place, k, 1]), max(high_y, draw.corners[place, k, 1])
    wide, tall = max(high_x - low_x, 1e-3), max(high_y - low_y, 1e-3)
    scale_x = max(_LAMP_WIDTH_PIXELS * view[PIXELS] / wide, _LAMP_GROWTH if wide < 24.0 * view[PIXELS] else 1.0)
    scale_y = max(_LAMP_HEIGHT_PIXELS * view[PIXELS] / tall, _LAMP_GROWTH if wide < 24.0 * view[PIXELS] else 1.0)
    middle_x, middle_y = 0.5 * (low_x + high_x), 0.5 * (low_y + high_y)
    for k in range(draw.size[place]):
        draw.corners[place, k, 0] = middle_x + (draw.corners[place, k, 0] - middle_x) * scale_x
        draw.corners[place, k, 1] = middle_y + (draw.corners[place, k, 1] - middle_y) * scale_y


@jit
def shade_actor(
    actor: Float, foot: Float, row: int, heading: float, inside: bool, ahead_of_ego: float, shade: Float, view: Float
) -> None:
    """Fill the shading columns of an actor: light per face, haze, headlamps, size in pixels.

    Args:
        inside: the actor stands in the tunnel.
        ahead_of_ego: cosine between the ego's heading and the direction to the actor.
    """
    distance = max(foot[row, DISTANCE], 1.0)
    actor[PIXEL_HEIGHT] = view[FOCAL] * actor[HEIGHT] / (distance * view[PIXELS])
    actor[CLEAR] = math.exp(-shade[DECAY] * distance)
    actor[LEVEL] = 1.0 if inside else shade[OPEN_LEVEL]
    cone = min(max((ahead_of_ego - 0.80) / 0.15, 0.0), 1.0)
    actor[BEAM_LEVEL] = shade[BEAM] * cone * min(max(1.15 - distance / BEAM_FADE_M, 0.0), 0.8)
    cos, sin = math.cos(heading), math.sin(heading)
    for face in range(5):
        if inside:
            level = shade[TUBE_LEVEL] * (1.0 if face == TOP else (0.8 if face <= FRONT else 0.9))
        elif face == TOP:
            level = shade[TOP_LEVEL]
        else:
            along = cos * shade[SUN_X] + sin * shade[SUN_Y]
            across = cos * shade[SUN_Y] - sin * shade[SUN_X]
            toward = -along if face == REAR else (along if face == FRONT else (-across if face == LEFT else across))
            level = shade[SIDE_LEVEL] * (1.0 if face <= FRONT else 0.93) + shade[SUN_LEVEL] * max(toward, 0.0)
        actor[FACE_LEVEL + face] = level
