"""Light and weather as numbers: what limits sight, for the expert's line of sight and for instance masks alike.

A ``Lighting`` becomes one row of floats per world, so that compiled code can read it. What limits sight:

- Fog and rain: contrast decays as exp(-3 d / visibility), 5 % at the visibility distance (Koschmieder's law with
  the meteorological threshold of 5 %). An actor farther away than that is not seen.
- Night without street lights, outside a tunnel: actors without lamps or reflectors (pedestrians, debris) are seen
  inside the low beam (``BEAM_REACH_M``, ``BEAM_HALF_ANGLE_RAD`` to either side of the heading) or within
  ``STRAY_REACH_M`` at any bearing. Everything else carries lamps or reflectors.
- Tunnel: walls hide what is beside the tube. From inside, the bright exit washes out what stands beyond it: with
  the eye d metres from the portal the veil is ``exit_glare * day * d / (d + GLARE_HALF_M)``, and actors beyond it
  are not seen while the veil exceeds ``GLARE_BLINDS``. So a glare of 0.8 blinds from 36 m before the exit on,
  0.9 from 24 m, 1.0 from 18 m; 0.6 and less never do.
- Low sun dazzles the picture but hides no actor from the line of sight.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from simdrive.errors import ParameterError
from simdrive.jit import jit, jit_inline
from simdrive.sim.spec import Lighting
from simdrive.sim.state import Float, Shape

# Columns of a light row.
SUN_ELEVATION, SUN_AZIMUTH, CLOUD, EXTINCTION, RAIN, STREET_LIGHTS = range(6)
TUNNEL_START, TUNNEL_END, EXIT_GLARE, WALL_LEFT, WALL_RIGHT, DAYLIGHT = range(6, 12)
LIGHT_COLUMNS = 12

CONTRAST_DECAY = 3.0  # -ln(0.05)
RAIN_VISIBILITY_M = 800.0  # heaviest rain alone
BEAM_REACH_M = 65.0
BEAM_HALF_ANGLE_RAD = math.radians(40.0)
STRAY_REACH_M = 12.0
GLARE_HALF_M = 12.0
GLARE_BLINDS = 0.6
NIGHT = 0.2  # daylight below which headlamps decide
_PEDESTRIAN, _DEBRIS, _BUILDING = int(Shape.PEDESTRIAN), int(Shape.DEBRIS), int(Shape.BUILDING)

_RANGES = {
    "sun_elevation_deg": (-90.0, 90.0),
    "cloud": (0.0, 1.0),
    "fog_visibility_m": (5.0, math.inf),
    "rain": (0.0, 1.0),
    "exit_glare": (0.0, 1.0),
}


def light_row(lighting: Lighting, walls_y_m: tuple[float, float] = (math.nan, math.nan)) -> Float:
    """Return the light row ``[LIGHT_COLUMNS]`` of one world.

    Args:
        lighting: light and weather.
        walls_y_m: world y of the left and right tunnel wall (``simdrive.sim.scene.tunnel_walls``); NaN = no walls.

    Raises:
        ParameterError: if a field is outside its range, or only one end of a tunnel is given.
    """
    for name, (low, high) in _RANGES.items():
        value = getattr(lighting, name)
        if not low <= value <= high:
            raise ParameterError(f"lighting.{name} must be between {low} and {high}, got {value}")
    start, end = lighting.tunnel_start_x_m, lighting.tunnel_end_x_m
    if math.isnan(start) != math.isnan(end) or start >= end:
        raise ParameterError(f"lighting needs tunnel_start_x_m < tunnel_end_x_m or neither, got {start} and {end}")
    row = np.zeros(LIGHT_COLUMNS)
    row[SUN_ELEVATION] = math.radians(lighting.sun_elevation_deg)
    row[SUN_AZIMUTH] = math.radians(lighting.sun_azimuth_deg)
    row[CLOUD] = lighting.cloud
    row[EXTINCTION] = CONTRAST_DECAY * (1.0 / lighting.fog_visibility_m + lighting.rain / RAIN_VISIBILITY_M)
    row[RAIN] = lighting.rain
    row[STREET_LIGHTS] = float(lighting.street_lights)
    row[TUNNEL_START], row[TUNNEL_END] = start, end
    row[EXIT_GLARE] = lighting.exit_glare
    row[WALL_LEFT], row[WALL_RIGHT] = walls_y_m
    row[DAYLIGHT] = daylight(lighting.sun_elevation_deg)
    return row


def light_rows(lightings: Sequence[Lighting], walls_y_m: Sequence[tuple[float, float]] | None = None) -> Float:
    """Return light rows ``[N, LIGHT_COLUMNS]`` of N worlds."""
    walls = [(math.nan, math.nan)] * len(lightings) if walls_y_m is None else walls_y_m
    rows = [light_row(lighting, wall) for lighting, wall in zip(lightings, walls, strict=True)]
    return np.stack(rows) if rows else np.zeros((0, LIGHT_COLUMNS))


def daylight(sun_elevation_deg: float) -> float:
    """Return the share of full daylight, 0 at the end of civil twilight (-6 degrees) and 1 from 8 degrees up."""
    share = min(max((sun_elevation_deg + 6.0) / 14.0, 0.0), 1.0)
    return share * share * (3.0 - 2.0 * share)


@jit_inline
def exit_veil(light: Float, eye_x: float, toward_x: float) -> float:
    """Return how much of the contrast the tunnel exit takes from what stands beyond it, 0..1.

    Args:
        light: one light row.
        eye_x: world x of the eye, m.
        toward_x: world x of what is looked at, m.
    """
    start, end = light[TUNNEL_START], light[TUNNEL_END]
    if not (start <= eye_x <= end) or start <= toward_x <= end:
        return 0.0
    before = end - eye_x if toward_x > end else eye_x - start
    return light[EXIT_GLARE] * light[DAYLIGHT] * before / (before + GLARE_HALF_M)


@jit_inline
def in_tunnel(light: Float, x: float, y: float) -> bool:
    """Tell whether a world point lies inside the tunnel."""
    along = light[TUNNEL_START] <= x <= light[TUNNEL_END]
    return along and not (y < light[WALL_LEFT] or y > light[WALL_RIGHT])


@jit
def walls_between(light: Float, ax: float, ay: float, bx: float, by: float) -> bool:
    """Tell whether a tunnel wall crosses the segment between two world points."""
    for side in range(2):
        wall = light[WALL_LEFT + side]
        if (ay - wall) * (by - wall) < 0.0:  # never with a NaN wall
            x = ax + (bx - ax) * (wall - ay) / (by - ay)
            if light[TUNNEL_START] <= x <= light[TUNNEL_END]:
                return True
    return False


@jit
def sight_allows(light: Float, eye_x: float, eye_y: float, heading: float, shape: int, x: float, y: float) -> bool:
    """Tell whether light and weather let the ego see an actor, obstacles left aside (rules: see the module).

    Args:
        light: one light row.
        eye_x, eye_y: eye of the ego, world frame, m; heading: of the ego, rad.
        shape: of the actor.
        x, y: point of the actor nearest to the eye, or its centre, world frame, m.
    """
    dx, dy = x - eye_x, y - eye_y
    distance = math.sqrt(dx * dx + dy * dy)
    if light[EXTINCTION] * distance > CONTRAST_DECAY:
        return False
    if exit_veil(light, eye_x, x) > GLARE_BLINDS or walls_between(light, eye_x, eye_y, x, y):
        return False
    unlit = shape == _PEDESTRIAN or shape == _DEBRIS or shape == _BUILDING
    dark = light[DAYLIGHT] < NIGHT and light[STREET_LIGHTS] == 0.0
    if not (unlit and dark) or distance <= STRAY_REACH_M or in_tunnel(light, x, y):
        return True
    ahead = dx * math.cos(heading) + dy * math.sin(heading)
    return distance <= BEAM_REACH_M and ahead >= distance * math.cos(BEAM_HALF_ANGLE_RAD)
