"""What kind of moment an observation is: the slices over which differences are counted."""

from __future__ import annotations

import math

import numpy as np

from simdrive.agents.language.sights import KINDS
from simdrive.sim.state import Shape
from simdrive.types import Float, ObservationBatch

SLICES = ("scenario", "lighting", "corruption", "distance", "kind", "speed")
DISTANCES_M = (10.0, 20.0, 40.0, 80.0)
SPEEDS_MPS = (5.0, 10.0, 15.0, 20.0)
NOBODY = "nobody"
_CORRIDOR_M = 6.0  # to either side of where the ego points: its lane and the next ones


def band(value: float, edges: tuple[float, ...], unit: str) -> str:
    """Return the name of the band that ``value`` falls in, e.g. ``10-20 m``."""
    inner = [f"{low:g}-{high:g} {unit}" for low, high in zip(edges, edges[1:], strict=False)]
    names = [f"below {edges[0]:g} {unit}", *inner, f"from {edges[-1]:g} {unit}"]
    return names[sum(value >= edge for edge in edges)]


def nearest_ahead(batch: ObservationBatch) -> list[tuple[str, float]]:
    """Return kind and distance (centre to centre, m) of the nearest visible actor ahead of each of N egos.

    ``(NOBODY, inf)`` where there is none within 80 m and 6 m to either side.
    """
    view = batch.world
    assert view is not None
    forward, right = _placed(batch)
    ahead = view.present & view.visible & (forward > 0.0) & (np.abs(right) < _CORRIDOR_M) & (forward < DISTANCES_M[-1])
    ahead[:, 0] = False
    ahead &= view.shape != Shape.BUILDING
    distance = np.where(ahead, np.hypot(forward, right), np.inf)
    nearest = distance.argmin(axis=1)
    found = []
    for row, column in enumerate(nearest.tolist()):
        gap_m = float(distance[row, column])
        kind = KINDS.get(Shape(int(view.shape[row, column])), "other")
        found.append((kind, gap_m) if math.isfinite(gap_m) else (NOBODY, math.inf))
    return found


def _placed(batch: ObservationBatch) -> tuple[Float, Float]:
    """Return where the actors stand, ``[N, V]`` ahead and to the right of each ego; NaN becomes far away."""
    view = batch.world
    assert view is not None
    x, y = np.where(view.present, view.x, 1e9), np.where(view.present, view.y, 1e9)
    dx, dy = x - batch.ego[:, :1], y - batch.ego[:, 1:2]
    cos, sin = np.cos(batch.ego[:, 2:3]), np.sin(batch.ego[:, 2:3])
    return dx * cos + dy * sin, dy * cos - dx * sin


def distance_name(gap_m: float) -> str:
    """Return the band of a distance; ``nobody`` beyond the last one."""
    return NOBODY if not math.isfinite(gap_m) else band(gap_m, DISTANCES_M[:-1], "m")


def speed_name(speed_mps: float) -> str:
    """Return the band of a speed."""
    return band(speed_mps, SPEEDS_MPS, "m/s")
