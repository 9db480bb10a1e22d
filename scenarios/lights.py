"""What a world's light and weather are called in tables."""

from __future__ import annotations

import math

from simdrive.sim.spec import Lighting

_FOG_M, _RAIN, _LOW_SUN_DEG, _OVERCAST = 300.0, 0.2, 12.0, 0.8


def lighting_name(light: Lighting) -> str:
    """Return the most trying thing about the light and weather of a world."""
    if light.fog_visibility_m < _FOG_M:
        return "fog"
    if light.rain > _RAIN:
        return "rain"
    if light.sun_elevation_deg < 0.0:
        return "night"
    if not math.isnan(light.tunnel_start_x_m):
        return "tunnel"
    if light.sun_elevation_deg < _LOW_SUN_DEG:
        return "low sun"
    return "overcast" if light.cloud > _OVERCAST else "day"
