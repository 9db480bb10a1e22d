"""The lanes around an episode as thin polylines, from the map that its run folder holds."""

from __future__ import annotations

from typing import Any

import numpy as np

from simdrive.errors import RunFolderError
from simdrive.eval.store import RunStore
from simdrive.report.tracks import CENTIMETRE, deltas
from simdrive.sim.scene_parts import STRAIGHT_STRIP_M, border_points, lane_step_m
from simdrive.sim.state import RoadTables
from simdrive.types import Float

MARGIN_M = 80.0  # lanes farther from the way driven are left out
THINNED_M = 0.1


def lanes_near(store: RunStore, map_key: str, way: Float, origin: tuple[float, float]) -> list[list[Any]]:
    """Return the lanes near a way: x and y of the left border, x and y of the right one, their two line types.

    Args:
        store: whose map it is; without the map there are no lanes.
        map_key: which one.
        way: points driven ``[n, 2]``, m, finite.
        origin: world point that positions count from, m.
    """
    try:
        arrays = store.load_map(map_key)
        roads = RoadTables(**{name: arrays[name] for name in RoadTables._fields})
    except (RunFolderError, KeyError):
        return []  # the picture lacks its road, and says nothing wrong
    if not len(way):
        return []
    low, high = way.min(axis=0) - MARGIN_M, way.max(axis=0) + MARGIN_M
    found = []
    for lane in range(len(roads.lane_kind)):
        borders = [_border(roads, lane, place) for place in (-1.0, 1.0)]
        both = np.concatenate(borders)
        if (both.max(axis=0) < low).any() or (both.min(axis=0) > high).any():
            continue
        thin = [thinned(border, THINNED_M) - origin for border in borders]
        columns = [deltas(border[:, axis], CENTIMETRE) for border in thin for axis in (0, 1)]
        found.append([*columns, *(int(kind) for kind in roads.lane_lines[lane])])
    return found


def _border(roads: RoadTables, lane: int, place: float) -> Float:
    length = float(roads.lane_length[lane])
    count = max(int(np.ceil(length / max(lane_step_m(roads, lane, STRAIGHT_STRIP_M), 0.1))), 1)
    points: Float = border_points(roads, lane, np.linspace(0.0, length, count + 1), place, 0.0)
    return points


def thinned(points: Float, tolerance_m: float) -> Float:
    """Return a polyline ``[n, 2]`` without the points that lie nearly on the chord of others (Douglas and Peucker 1973)."""
    kept = np.zeros(len(points), np.bool_)
    kept[[0, -1]] = True
    open_spans = [(0, len(points) - 1)]
    while open_spans:
        first, last = open_spans.pop()
        if last - first < 2:
            continue
        chord = points[last] - points[first]
        away = points[first + 1 : last] - points[first]
        length = float(np.hypot(*chord))
        gaps = np.abs(chord[0] * away[:, 1] - chord[1] * away[:, 0]) / length if length > 0.0 else np.hypot(*away.T)
        farthest = int(np.argmax(gaps))
        if gaps[farthest] > tolerance_m:
            middle = first + 1 + farthest
            kept[middle] = True
            open_spans += [(first, middle), (middle, last)]
    return points[kept]
