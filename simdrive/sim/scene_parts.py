"""Static ground of a map as convex quads: asphalt strips, lane marks, pavement. Runs once per map."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from simdrive.errors import ParameterError
from simdrive.jit import jit_allocating
from simdrive.sim.lanes import CIRCULAR, POLY, SINE, lane_position, lane_width
from simdrive.sim.state import Float, RoadTables

STRIPED, CONTINUOUS, CONTINUOUS_LINE = 1, 2, 3  # highway-env LineType
SAGITTA_M = 0.05  # how far a chord may miss its arc
STRAIGHT_STRIP_M = 100.0
LINE_PIECE_M = 20.0
MARK_WIDTH_M = 0.17
DASH_M, DASH_PERIOD_M = 4.0, 12.0
SHOULDER_M = 0.5
JOINED_M = 0.3  # borders of neighbouring lanes closer than this belong to one surface


@jit_allocating
def border_points(roads: RoadTables, lane: int, s: Float, half_widths: float, offset_m: float) -> Float:
    """Return world points ``[n, 2]`` at distances ``s`` along a lane.

    Args:
        half_widths: lateral place in half lane widths: -1 = left border, 1 = right border.
        offset_m: added to the lateral place, m to the right.
    """
    points = np.empty((len(s), 2))
    for row in range(len(s)):
        r = 0.5 * half_widths * lane_width(roads, lane, s[row]) + offset_m
        points[row, 0], points[row, 1] = lane_position(roads, lane, s[row], r)
    return points


def lane_step_m(roads: RoadTables, lane: int, longest_m: float) -> float:
    """Return how long a chord along a lane may be: at most ``longest_m``, and within ``SAGITTA_M`` of the curve."""
    kind = int(roads.lane_kind[lane])
    geometry = roads.lane_geometry[lane]
    if kind == CIRCULAR:
        centre = abs(float(geometry[2]))
        outer = centre + 0.5 * float(roads.lane_width[lane])
        # The outer side bends over the longer arc: the chord that fits there, scaled back to the centre line.
        return min(math.sqrt(8.0 * SAGITTA_M * outer) * centre / outer, longest_m)
    if kind == SINE:
        bend = abs(float(geometry[7])) * float(geometry[8]) ** 2
        radius = 1.0 / bend if bend > 0.0 else math.inf
    elif kind == POLY:
        return min(2.0, longest_m)
    else:
        radius = math.inf
    return min(math.sqrt(8.0 * SAGITTA_M * radius), longest_m)


def _cuts(start_m: float, end_m: float, step_m: float) -> Float:
    count = max(math.ceil((end_m - start_m) / step_m - 1e-9), 1)
    return np.linspace(start_m, end_m, count + 1)


def strip(left: Float, right: Float) -> Float:
    """Return the quads ``[n - 1, 4, 2]`` between two borders ``[n, 2]``: start left, start right, end right, end left."""
    return np.stack([left[:-1], right[:-1], right[1:], left[1:]], axis=1)


def _joined(roads: RoadTables, lane: int) -> bool:
    """Tell whether a lane's right border is the left border of the next lane of its road."""
    after = lane + 1
    if after >= len(roads.lane_kind) or roads.lane_road[after] != roads.lane_road[lane]:
        return False
    shares = np.array([0.0, 0.5, 1.0])
    own = border_points(roads, lane, shares * roads.lane_length[lane], 1.0, 0.0)
    other = border_points(roads, after, shares * roads.lane_length[after], -1.0, 0.0)
    return bool(np.all(np.hypot(*(own - other).T) < JOINED_M))


def surfaces(roads: RoadTables) -> Iterator[tuple[int, int]]:
    """Yield (first, last) lane rows of every surface: neighbouring lanes of a road that touch all along."""
    first = 0
    for lane in range(len(roads.lane_kind)):
        if not _joined(roads, lane):
            yield first, lane
            first = lane + 1


def surface_quads(roads: RoadTables, first: int, last: int, margin_m: float) -> Float:
    """Return the quads of one surface, widened by ``margin_m`` on both sides."""
    step = min(lane_step_m(roads, lane, STRAIGHT_STRIP_M) for lane in (first, last))
    shares = _cuts(0.0, 1.0, step / max(float(roads.lane_length[first]), 0.1))
    left = border_points(roads, first, shares * roads.lane_length[first], -1.0, -margin_m)
    right = border_points(roads, last, shares * roads.lane_length[last], 1.0, margin_m)
    return strip(left, right)


def mark_quads(roads: RoadTables, lane: int) -> Float:
    """Return the quads of the marks on both borders of a lane; a border shared with the next lane is drawn there."""
    parts = [np.zeros((0, 4, 2))]
    for side, place in ((0, -1.0), (1, 1.0)):
        kind = int(roads.lane_lines[lane, side])
        if side == 1 and _joined(roads, lane) and int(roads.lane_lines[lane + 1, 0]) > 0:
            continue
        if kind == STRIPED:
            starts = np.arange(0.0, max(float(roads.lane_length[lane]) - 0.5 * DASH_M, 0.1), DASH_PERIOD_M)
            ends = np.minimum(starts + DASH_M, roads.lane_length[lane])
            parts += [_line(roads, lane, place, a, b) for a, b in zip(starts, ends, strict=True)]
        elif kind in (CONTINUOUS, CONTINUOUS_LINE):
            parts.append(_line(roads, lane, place, 0.0, float(roads.lane_length[lane])))
    return np.concatenate(parts)


def _line(roads: RoadTables, lane: int, place: float, start_m: float, end_m: float) -> Float:
    s = _cuts(start_m, end_m, lane_step_m(roads, lane, LINE_PIECE_M))
    half = 0.5 * MARK_WIDTH_M
    return strip(border_points(roads, lane, s, place, -half), border_points(roads, lane, s, place, half))


def triangles(polygon: Float) -> Float:
    """Return a simple polygon ``[n, 2]`` as quads ``[n - 2, 4, 2]`` that repeat their last corner (ear clipping).

    Raises:
        ParameterError: if the polygon crosses itself.
    """
    points = np.asarray(polygon, np.float64)
    after = np.roll(points, -1, axis=0)
    turn = 1.0 if float(np.sum(points[:, 0] * after[:, 1] - points[:, 1] * after[:, 0])) > 0.0 else -1.0
    left = list(range(len(points)))
    found: list[Float] = []
    while len(left) > 3:
        for place in range(len(left)):
            ear = [left[place - 1], left[place], left[(place + 1) % len(left)]]
            others = [row for row in left if row not in ear]
            if _is_ear(points[ear], points[others], turn):
                found.append(points[[*ear, ear[2]]])
                del left[place]
                break
        else:
            raise ParameterError(f"polygon {points.tolist()} crosses itself; give its corners in order around it")
    return np.stack([*found, points[[*left, left[2]]]])


def _is_ear(ear: Float, others: Float, turn: float) -> bool:
    def sides(p: Float) -> Float:
        edges = np.roll(ear, -1, axis=0) - ear
        away = p[:, None, :] - ear[None, :, :]
        return turn * (edges[:, 0] * away[:, :, 1] - edges[:, 1] * away[:, :, 0])

    first, second = ear[1] - ear[0], ear[2] - ear[1]
    if turn * (first[0] * second[1] - first[1] * second[0]) < 0.0:
        return False
    inside = np.all(sides(others) > 0.0, axis=1) if len(others) else np.zeros(0, bool)
    return not bool(np.any(inside))


def stack_quads(parts: Sequence[Float]) -> Float:
    """Concatenate quads, also of no parts at all."""
    return np.concatenate([np.zeros((0, 4, 2)), *parts])
