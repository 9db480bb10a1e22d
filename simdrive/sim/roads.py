"""Compile highway-env road networks into lane tables, so that kernels never touch Python objects."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from highway_env.road.lane import CircularLane, PolyLane, PolyLaneFixedWidth, SineLane, StraightLane
from highway_env.road.road import RoadNetwork

from simdrive.errors import UnknownNameError, UnsupportedError
from simdrive.sim.kernel_routes import ROAD_NEXT_END, ROAD_NEXT_START
from simdrive.sim.lanes import (
    BOUND_RADIUS,
    BOUND_X,
    CIRCULAR,
    FORBIDDEN,
    KIND,
    LANE_COLUMNS,
    LANE_ID,
    LENGTH,
    LINK_END,
    LINK_START,
    NEIGHBOUR_MARGIN_M,
    POINT_START,
    POLY,
    PRIORITY,
    ROAD,
    ROAD_FIRST,
    ROAD_LAST,
    SINE,
    STRAIGHT,
    VEHICLE_LENGTH_M,
)
from simdrive.sim.state import Float, RoadTables

LaneIndex = tuple[str, str, int]
LooseLaneIndex = tuple[str, str, int | None]  # None: the only lane of its road
_POINT_COLUMNS = 8


@dataclass(frozen=True)
class RoadMap:
    """One compiled map. Two maps with equal ``key`` have equal lanes and equal names."""

    tables: RoadTables  # this map alone: map id 0
    lane_index: tuple[LaneIndex, ...]  # highway-env's name of every row
    nodes: tuple[str, ...]  # node id -> name
    key: str  # content hash, 16 hex digits

    def row(self, lane_index: LooseLaneIndex) -> int:
        """Return the row of a lane; an id of None is allowed on a road with one lane, as in highway-env.

        Raises:
            UnknownNameError: if the map has no such lane.
        """
        start, end, lane_id = lane_index
        wanted = (start, end, 0 if lane_id is None else int(lane_id))
        rows = _row_of(self)
        ambiguous = lane_id is None and (start, end, 1) in rows
        if wanted not in rows or ambiguous:
            raise UnknownNameError("lane", str(lane_index), map(str, rows))
        return rows[wanted]

    def road(self, start: str, end: str) -> int:
        """Return the road row of the road from node ``start`` to node ``end``.

        Raises:
            UnknownNameError: if the map has no such road.
        """
        rows = _row_of(self)
        if (start, end, 0) not in rows:
            raise UnknownNameError("road", str((start, end)), {str(index[:2]) for index in rows})
        return int(self.tables.lane_road[rows[start, end, 0]])


def _row_of(road_map: RoadMap) -> dict[LaneIndex, int]:
    return {index: row for row, index in enumerate(road_map.lane_index)}


def compile_network(network: RoadNetwork) -> RoadMap:
    """Compile a road network; rows follow highway-env's dict order, which decides ties.

    Raises:
        UnsupportedError: for a lane class without an exact counterpart, or a network without lanes.
    """
    roads = [(start, end, lanes) for start, ends in network.graph.items() for end, lanes in ends.items()]
    roads = [road for road in roads if road[2]]
    if not roads:
        raise UnsupportedError("the road network has no lanes; add at least one with add_lane")
    names = list(dict.fromkeys(name for start, end, _ in roads for name in (start, end)))
    node = {name: number for number, name in enumerate(names)}
    lanes = [(road, lane_id, lane) for road, (_, _, row) in enumerate(roads) for lane_id, lane in enumerate(row)]
    points: list[Float] = []
    geometry = np.zeros((len(lanes), LANE_COLUMNS))
    kinds = np.array([_lane_kind(lane) for _, _, lane in lanes], dtype=np.int8)
    for row, (_, _, lane) in enumerate(lanes):
        columns, lane_points = _GEOMETRY[int(kinds[row])](lane)
        geometry[row, : len(columns)] = columns
        width = float(getattr(lane, "width", 0.0))
        common = [lane.length, width, _speed_limit(lane), width / 2 + NEIGHBOUR_MARGIN_M]
        geometry[row, LENGTH : LENGTH + len(common)] = common
        points.append(lane_points)
    starts = [node[start] for start, _, _ in roads]
    ends = [node[end] for _, end, _ in roads]
    # highway-env walks the start nodes in dict order when it looks backwards, and so do the rows.
    following = [[other for other, start in enumerate(starts) if start == end] for end in ends]
    leading = [[other for other, end in enumerate(ends) if end == start] for start in starts]
    road_starts = _offsets([len(row) for _, _, row in roads])
    lengths = _column(lanes, lambda lane: lane.length)
    links = [
        _links(row, lane_id, road_starts, following[road], leading[road])
        for row, (road, lane_id, _) in enumerate(lanes)
    ]
    geometry[:, KIND], geometry[:, POINT_START] = kinds, _offsets([len(rows) for rows in points])[:-1]
    link_starts = _offsets([len(row) for row in links])
    geometry[:, LINK_START], geometry[:, LINK_END] = link_starts[:-1], link_starts[1:]
    for row, (road, lane_id, lane) in enumerate(lanes):
        geometry[row, LANE_ID], geometry[row, FORBIDDEN] = lane_id, bool(lane.forbidden)
        geometry[row, PRIORITY], geometry[row, ROAD] = lane.priority, road
        geometry[row, ROAD_FIRST], geometry[row, ROAD_LAST] = road_starts[road], road_starts[road + 1]
        geometry[row, BOUND_X : BOUND_RADIUS + 1] = _bound(lane, int(kinds[row]))
    tables = RoadTables(
        lane_kind=kinds,
        lane_map=np.zeros(len(lanes), np.int32),
        lane_road=np.array([road for road, _, _ in lanes], np.int32),
        lane_id=np.array([lane_id for _, lane_id, _ in lanes], np.int32),
        lane_geometry=geometry,
        lane_length=lengths,
        lane_width=_column(lanes, lambda lane: getattr(lane, "width", 0.0)),
        lane_speed_limit=_column(lanes, _speed_limit),
        lane_forbidden=np.array([bool(lane.forbidden) for _, _, lane in lanes]),
        lane_priority=np.array([lane.priority for _, _, lane in lanes], np.int32),
        lane_lines=np.array([lane.line_types or (0, 0) for _, _, lane in lanes], np.int8).reshape(-1, 2),
        lane_point_start=_offsets([len(rows) for rows in points]),
        points=np.concatenate([*points, np.zeros((0, _POINT_COLUMNS))]),
        road_lane_start=road_starts,
        road_from=np.array(starts, np.int32),
        road_to=np.array(ends, np.int32),
        road_next_start=_offsets([len(rows) for rows in following]),
        road_next=np.array([row for rows in following for row in rows], np.int32),
        map_lane_start=np.array([0, len(lanes)], np.int32),
        map_road_start=np.array([0, len(roads)], np.int32),
        road_prev_start=_offsets([len(rows) for rows in leading]),
        road_prev=np.array([row for rows in leading for row in rows], np.int32),
        lane_link=np.array([lane for row in links for lane in row], np.int32),
        road_codes=_road_codes(road_starts, starts, ends, following),
        fused_dot=np.zeros(1, np.bool_),
    )
    index = tuple((roads[road][0], roads[road][1], lane_id) for road, lane_id, _ in lanes)
    return RoadMap(tables, index, tuple(names), _key(tables, index))


def join_maps(maps: Sequence[RoadMap], fused_dot: bool = False) -> RoadTables:
    """Concatenate maps into one set of tables; a map's id is its position, its rows are shifted.

    Args:
        maps: the maps; the same map may be given once and used by many worlds.
        fused_dot: rounding of dot products, see simdrive.sim.arithmetic.
    """
    if not maps:
        raise UnsupportedError("no map was given; a batch of worlds needs at least one")
    parts = [road_map.tables for road_map in maps]
    lanes = np.cumsum([0] + [len(part.lane_kind) for part in parts])
    roads = np.cumsum([0] + [len(part.road_from) for part in parts])
    joined: dict[str, Any] = {}
    for name in RoadTables._fields:
        columns = [np.asarray(getattr(part, name)) for part in parts]
        if name in ("lane_road", "road_next", "road_prev"):
            columns = [column + shift for column, shift in zip(columns, roads[:-1], strict=True)]
        elif name == "lane_geometry":
            columns = _shift(columns, (POINT_START, LINK_START, LINK_END), ("points", "lane_link", "lane_link"), parts)
        elif name == "road_codes":
            columns = _shift(columns, (ROAD_NEXT_START, ROAD_NEXT_END), ("road_next", "road_next"), parts)
        elif name == "lane_map":
            columns = [np.full_like(column, number) for number, column in enumerate(columns)]
        elif name.endswith("_start"):
            columns = _join_offsets(columns)
        joined[name] = np.concatenate(columns).astype(columns[0].dtype)
    joined["map_lane_start"] = lanes.astype(np.int32)
    joined["map_road_start"] = roads.astype(np.int32)
    joined["fused_dot"] = np.array([fused_dot])
    return RoadTables(**joined)


def _shift(columns: list[Any], targets: Sequence[int], tables: Sequence[str], parts: Sequence[RoadTables]) -> list[Any]:
    """Shift the columns ``targets`` that point into concatenated ``tables``; the others count within their map."""
    shifted = [column.copy() for column in columns]
    for target, table in zip(targets, tables, strict=True):
        sizes = [len(getattr(part, table)) for part in parts]
        for column, shift in zip(shifted, np.cumsum([0, *sizes[:-1]]), strict=True):
            column[:, target] += shift
    return shifted


def _join_offsets(columns: list[Any]) -> list[Any]:
    """Shift offset columns so that they count through, keeping one closing entry."""
    shift, joined = 0, []
    for column in columns:
        joined.append(column[:-1] + shift)
        shift += int(column[-1])
    return [*joined, np.array([shift], np.int32)]


def _links(row: int, lane_id: int, road_starts: Any, following: list[int], leading: list[int]) -> list[int]:
    """Return lane rows in highway-env's search order: itself, next ones, then ``-1 - lane`` for previous ones."""

    def neighbour(road: int) -> int:
        count = road_starts[road + 1] - road_starts[road]
        return int(road_starts[road] + (lane_id if lane_id < count else 0))

    return [row, *(neighbour(road) for road in following), *(-1 - neighbour(road) for road in leading)]


def _road_codes(road_starts: Any, starts: list[int], ends: list[int], following: list[list[int]]) -> Any:
    next_starts = _offsets([len(rows) for rows in following])
    counts = np.diff(road_starts)
    columns = [road_starts[:-1], counts, starts, ends, next_starts[:-1], next_starts[1:]]
    return np.column_stack(columns).astype(np.int32)


def _lane_kind(lane: Any) -> int:
    kind = _KINDS.get(type(lane))
    if kind is None:
        allowed = ", ".join(sorted(name.__name__ for name in _KINDS))
        raise UnsupportedError(f"lane class {type(lane).__qualname__} is not supported; use one of {allowed}")
    if lane.VEHICLE_LENGTH != VEHICLE_LENGTH_M:
        raise UnsupportedError(f"lanes need VEHICLE_LENGTH {VEHICLE_LENGTH_M}, got {lane.VEHICLE_LENGTH}")
    return kind


def _speed_limit(lane: Any) -> float:
    return float("nan") if lane.speed_limit is None else float(lane.speed_limit)


def _straight(lane: Any) -> tuple[list[float], Float]:
    columns = [*lane.start, *lane.direction, *lane.direction_lateral, lane.heading]
    return columns, np.zeros((0, _POINT_COLUMNS))


def _sine(lane: Any) -> tuple[list[float], Float]:
    columns, points = _straight(lane)
    return [*columns, lane.amplitude, lane.pulsation, lane.phase], points


def _circular(lane: Any) -> tuple[list[float], Float]:
    columns = [*lane.center, lane.radius, lane.start_phase, lane.direction]
    return columns, np.zeros((0, _POINT_COLUMNS))


def _poly(lane: Any) -> tuple[list[float], Float]:
    curve = lane.curve
    # The interpolators keep their knots in a closure only.
    knots = dict(zip(curve.x_curve.__code__.co_freevars, curve.x_curve.__closure__, strict=True))
    heights = dict(zip(curve.y_curve.__code__.co_freevars, curve.y_curve.__closure__, strict=True))
    arc, x, y = knots["x"].cell_contents, knots["y"].cell_contents, heights["y"].cell_contents
    widths = getattr(lane, "width_samples", [])
    points = np.zeros((len(curve.poses) + len(arc) + len(widths), _POINT_COLUMNS))
    for row, (s, pose) in enumerate(zip(curve.s_samples, curve.poses, strict=True)):
        heading = np.arctan2(pose.normal[1], pose.normal[0])
        points[row, :6] = [s, *pose.position, *pose.normal, heading]
    points[len(curve.poses) : len(curve.poses) + len(arc), :3] = np.column_stack([arc, x, y])
    points[len(curve.poses) + len(arc) :, 0] = widths
    return [len(curve.poses), len(arc), len(widths)], points


def _bound(lane: Any, kind: int) -> tuple[float, float, float]:
    """Return (x, y, radius) of a circle around the lane, m; an infinite radius where no proof is at hand.

    A straight lane's L1 distance is at least the distance to its axis. On an arc one walks |r| to the circle and the
    rest along it. On a sine lane the walk may miss by up to two amplitudes, which the radius swallows.
    """
    slack = 1e-3  # far above any rounding
    if kind in (STRAIGHT, SINE):
        x, y = (lane.start + lane.end) / 2
        return x, y, lane.length / 2 + 3 * abs(getattr(lane, "amplitude", 0.0)) + slack
    if kind == CIRCULAR and lane.length > 0 and lane.radius > 0:
        half = abs(lane.end_phase - lane.start_phase) / 2
        if half >= np.pi / 2:
            return lane.center[0], lane.center[1], lane.radius + slack
        middle, reach = (lane.start_phase + lane.end_phase) / 2, lane.radius * np.cos(half)
        x, y = lane.center[0] + reach * np.cos(middle), lane.center[1] + reach * np.sin(middle)
        return x, y, lane.radius * np.sin(half) + slack
    return 0.0, 0.0, np.inf


_KINDS: dict[type, int] = {
    StraightLane: STRAIGHT,
    SineLane: SINE,
    CircularLane: CIRCULAR,
    PolyLaneFixedWidth: POLY,
    PolyLane: POLY,
}
_GEOMETRY: dict[int, Callable[[Any], tuple[list[float], Float]]] = {
    STRAIGHT: _straight,
    SINE: _sine,
    CIRCULAR: _circular,
    POLY: _poly,
}


def _column(lanes: Iterable[tuple[int, int, Any]], value: Callable[[Any], float]) -> Float:
    return np.array([value(lane) for _, _, lane in lanes], dtype=np.float64)


def _offsets(counts: Sequence[int]) -> Any:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)


def _key(tables: RoadTables, index: Sequence[LaneIndex]) -> str:
    total = hashlib.sha256(repr([(start, end, int(lane_id)) for start, end, lane_id in index]).encode())
    for name in RoadTables._fields:
        if name != "fused_dot":
            column = np.ascontiguousarray(getattr(tables, name))
            if name == "lane_geometry":
                column = column[:, :BOUND_X]
            if column.dtype == np.float64:  # the last bits depend on the host's libm; the name of a map must not
                column = np.round(column, 9) + 0.0  # no negative zeros
            total.update(f"{name}{column.dtype}{column.shape}".encode() + column.tobytes())
    return total.hexdigest()[:16]
