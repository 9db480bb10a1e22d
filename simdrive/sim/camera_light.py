"""What light does to colours: one table of shading constants per frame, and the ground part of the id table.

Levels are relative to a bright day (1.0); colours are 0..255 and are treated as if they were linear. Contrast decays
with distance as exp(-extinction * d) towards the colour of the air. On flat ground a row is a distance, so
the ground is shaded per row and material; everything else per polygon.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

import numpy as np

from simdrive.jit import jit, jit_inline
from simdrive.sim import lighting as li
from simdrive.sim.camera_view import (
    CENTRE_Y,
    COS_PITCH,
    EYE_X,
    EYE_Y,
    EYE_Z,
    FOCAL,
    SIN_PITCH,
    VIEW_COLUMNS,
)
from simdrive.sim.raster import MATERIALS, ROW_BITS, SHADOW_BIT, ZERO, ZONE_BIT, Words, pack_colour, row_shift
from simdrive.sim.state import Float

# Ground materials; slick ground has its own label on the ego's lane, as asphalt has.
SKY, GRASS, PAVEMENT, SHOULDER, ASPHALT, EGO_LANE, SLICK, EGO_SLICK = (np.int64(material) for material in range(8))
OWN_LANE = (EGO_LANE, EGO_SLICK)  # drawn over the same ground once more, for the label alone
MARK = 8  # full coverage, then three fainter ones for marks thinner than a pixel
MARK_LEVELS = 4
GROUND_MATERIALS = MARK + MARK_LEVELS
MARK_COVERAGE = np.array([1.0, 0.7, 0.45, 0.25])
GROUND_COLOURS: Float = np.array(
    [
        (0, 0, 0), (98, 116, 70), (166, 162, 154), (112, 110, 106), (86, 87, 91), (86, 87, 91), (136, 150, 170),
        (136, 150, 170), (238, 238, 232),
    ],
    dtype=np.float64,
)  # fmt: skip

# Label bits; the low 12 bits hold the actor index + 1.
INSTANCE_MASK = 0x0FFF
DRIVABLE_BIT, MARK_BIT, EGO_LANE_BIT = np.int64(1 << 12), np.int64(1 << 13), np.int64(1 << 14)

# Columns of a frame's constants after those of its view.
SIDE_LEVEL, TOP_LEVEL, SUN_LEVEL, SUN_X, SUN_Y, SUN_Z = range(VIEW_COLUMNS, VIEW_COLUMNS + 6)
TINT, AIR, ZENITH, HORIZON = range(VIEW_COLUMNS + 6, VIEW_COLUMNS + 18, 3)  # three columns each
SHADOW_LEVEL, LAMPS_ON, BEAM, DECAY = range(VIEW_COLUMNS + 18, VIEW_COLUMNS + 22)
EYE_INSIDE, TUBE_LEVEL, OPEN_LEVEL, HAS_TUNNEL, VEIL = range(VIEW_COLUMNS + 22, VIEW_COLUMNS + 27)
FRAME_COLUMNS = VIEW_COLUMNS + 27
BEAM_FADE_M = 75.0


@jit
def prepare_shade(light: Float, frame: Float) -> None:
    """Fill the shading constants of one frame from the light row and the camera's place."""
    day, cloud = light[li.DAYLIGHT], light[li.CLOUD]
    elevation, azimuth = light[li.SUN_ELEVATION], light[li.SUN_AZIMUTH]
    street = light[li.STREET_LIGHTS]
    warm = (1.0 - cloud) * min(max(1.0 - elevation / math.radians(20.0), 0.0), 1.0) * day
    sun = day * (1.0 - 0.8 * cloud) * (1.0 - 0.5 * light[li.RAIN])
    ambient = day * (0.66 + 0.14 * cloud) + (1.0 - day) * (0.085 + 0.26 * street)
    frame[SUN_LEVEL] = 0.52 * sun
    frame[SUN_X], frame[SUN_Y] = math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth)
    frame[SUN_Z] = math.sin(elevation)
    frame[SIDE_LEVEL] = 0.84 * ambient
    frame[TOP_LEVEL] = ambient + frame[SUN_LEVEL] * max(frame[SUN_Z], 0.0)
    frame[SHADOW_LEVEL] = min(0.42 + 0.36 * cloud + 0.3 * light[li.RAIN], 0.86)
    inside = li.in_tunnel(light, frame[EYE_X], frame[EYE_Y])
    tunnel = light[li.TUNNEL_END] > light[li.TUNNEL_START]
    frame[EYE_INSIDE], frame[HAS_TUNNEL] = inside, tunnel
    # Inside, the camera adapts to the lamps of the tube, and daylight beyond is overexposed.
    frame[TUBE_LEVEL] = 0.40 if inside or day < li.NIGHT else 0.20
    to_portal = min(frame[EYE_X] - light[li.TUNNEL_START], light[li.TUNNEL_END] - frame[EYE_X])
    frame[OPEN_LEVEL] = 1.0 + 0.45 * day * to_portal / (to_portal + li.GLARE_HALF_M) if inside else 1.0
    frame[LAMPS_ON] = day < 0.6 or inside or light[li.RAIN] > 0.3 or light[li.EXTINCTION] > 0.012
    frame[BEAM] = 1.0 - day if not inside else 0.0
    frame[DECAY] = light[li.EXTINCTION]
    veil = 0.0
    if inside:
        end = light[li.TUNNEL_END]
        veil = li.exit_veil(light, frame[EYE_X], end + 1.0)
    frame[VEIL] = veil
    grey = min(cloud + 150.0 * light[li.EXTINCTION] / li.CONTRAST_DECAY * 0.5 + light[li.RAIN], 1.0)
    glow = 0.05 + 0.05 * street
    for channel in range(3):
        clear_zenith = (86.0, 140.0, 204.0)[channel]
        clear_horizon = (198.0, 215.0, 232.0)[channel]
        dull_zenith = (168.0, 175.0, 183.0)[channel]
        dull_horizon = (202.0, 206.0, 209.0)[channel]
        night_sky = (70.0, 76.0, 120.0)[channel]
        sunset = (255.0, 186.0, 112.0)[channel]
        zenith = clear_zenith + (dull_zenith - clear_zenith) * grey
        horizon = clear_horizon + (dull_horizon - clear_horizon) * grey
        horizon += (sunset - horizon) * 0.6 * warm
        level = day * (1.0 - 0.18 * light[li.RAIN])
        frame[ZENITH + channel] = zenith * level + night_sky * (1.0 - day) * glow * 1.6
        frame[HORIZON + channel] = horizon * level + night_sky * (1.0 - day) * glow * 4.0
        frame[AIR + channel] = frame[HORIZON + channel]
        frame[TINT + channel] = 1.0 + ((1.06, 0.97, 0.86)[channel] - 1.0) * warm
        frame[TINT + channel] += ((0.95, 0.98, 1.04)[channel] - 1.0) * (1.0 - day) * (1.0 - street)


@jit_inline
def row_distance_m(frame: Float, y: float) -> float:
    """Return the horizontal distance of flat ground seen at picture row ``y`` (pixels); negative above the horizon."""
    rise = (frame[CENTRE_Y] - y) / frame[FOCAL]
    fall = frame[SIN_PITCH] - rise * frame[COS_PITCH]
    if fall <= 0.0:
        return -1.0
    return frame[EYE_Z] / fall * (frame[COS_PITCH] + rise * frame[SIN_PITCH])


@jit
def horizon_row(frame: Float, height: int) -> int:
    """Return the first picture row whose centre shows ground."""
    level = frame[CENTRE_Y] - frame[FOCAL] * frame[SIN_PITCH] / frame[COS_PITCH]
    return min(max(int(math.ceil(level - 0.5)), 0), height)


@jit
def ground_table(frame: Float, light: Float, height: int, colours: Float, table: Words) -> None:
    """Write the table entries of sky and ground for all rows, materials and zones."""
    shift = row_shift(height)
    horizon = horizon_row(frame, height)
    zones = 4 if frame[HAS_TUNNEL] > 0.0 or frame[BEAM] > 0.5 else 2
    wet = 1.0 - 0.22 * light[li.RAIN]
    for row in range(((height - 1) >> shift) + 1):
        y = (row << shift) + 0.5 * (1 << shift)
        if (row << shift) < horizon or shift > 0:
            _sky_entry(frame, y, row, table)
        distance = row_distance_m(frame, y)
        if distance < 0.0:
            continue
        clear = math.exp(-frame[DECAY] * distance)
        beam = frame[BEAM] * min(max(1.0 - distance / BEAM_FADE_M, 0.0), 1.0)
        for zone in range(zones):
            level = frame[TOP_LEVEL] * frame[OPEN_LEVEL]
            if zone >= 2 and frame[HAS_TUNNEL] > 0.0:
                level = frame[TUBE_LEVEL]
            elif zone > 0 and frame[BEAM] > 0.5:
                level += beam * (0.45 if zone == 1 else (0.75 if zone == 2 else 0.95))
            if zone % 2 == 1 and frame[BEAM] <= 0.5:
                level *= frame[SHADOW_LEVEL] if zone == 1 or frame[HAS_TUNNEL] == 0.0 else 0.8
            base = (SHADOW_BIT if zone % 2 else 0) | (ZONE_BIT if zone >= 2 else 0) | row
            for material in range(GRASS, GROUND_MATERIALS):
                _ground_entry(frame, colours, table, base, material, level, clear, wet)


@jit_inline
def _sky_entry(frame: Float, y: float, row: int, table: Words) -> None:
    rise = math.atan2(frame[CENTRE_Y] - y, frame[FOCAL]) - math.atan2(frame[SIN_PITCH], frame[COS_PITCH])
    low = math.exp(-max(rise, 0.0) / math.radians(11.0))
    # Thick air hides the sky itself: the lower, the more.
    low += (1.0 - low) * (1.0 - math.exp(-frame[DECAY] * 40.0))
    red = frame[ZENITH] + (frame[HORIZON] - frame[ZENITH]) * low
    green = frame[ZENITH + 1] + (frame[HORIZON + 1] - frame[ZENITH + 1]) * low
    blue = frame[ZENITH + 2] + (frame[HORIZON + 2] - frame[ZENITH + 2]) * low
    bright = frame[OPEN_LEVEL]
    table[row] = pack_colour(red * bright, green * bright, blue * bright, ZERO)


@jit_inline
def _ground_entry(
    frame: Float, colours: Float, table: Words, base: int, material: int, level: float, clear: float, wet: float
) -> None:
    label = ZERO
    if material == ASPHALT or material == SLICK:
        label = DRIVABLE_BIT
    elif material == EGO_LANE or material == EGO_SLICK:
        label = DRIVABLE_BIT | EGO_LANE_BIT
    elif material >= MARK:
        label = DRIVABLE_BIT | MARK_BIT
    cover = MARK_COVERAGE[material - MARK] if material >= MARK else 1.0
    place = min(material, MARK)
    factor = level * (wet if place >= SHOULDER else 1.0)
    air = (1.0 - clear) * frame[OPEN_LEVEL]
    rest = 1.0 - cover
    red = colours[place, 0] * cover + colours[ASPHALT, 0] * rest
    green = colours[place, 1] * cover + colours[ASPHALT, 1] * rest
    blue = colours[place, 2] * cover + colours[ASPHALT, 2] * rest
    table[(material << ROW_BITS) | base] = pack_colour(
        red * factor * frame[TINT] * clear + frame[AIR] * air,
        green * factor * frame[TINT + 1] * clear + frame[AIR + 1] * air,
        blue * factor * frame[TINT + 2] * clear + frame[AIR + 2] * air,
        label,
    )


assert GROUND_MATERIALS <= MATERIALS
