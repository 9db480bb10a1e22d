"""Writes world specs into the arrays that the kernels work on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from simdrive.errors import ParameterError, SimdriveError
from simdrive.sim.batch import Batch, Frame, Play, Record, Script, Setting, Shared, Ways, Widths
from simdrive.sim.checks import check_layout, check_route_length, check_spec
from simdrive.sim.drivable import corners_outside_m, pack_polygons
from simdrive.sim.frames import pack
from simdrive.sim.layout import Places, empty_places, place_world
from simdrive.sim.play import (
    CONTACT_ACTOR,
    CONTACT_TICK,
    EVENT_CODES,
    EVENT_NUMBERS,
    OUTSIDE_M,
    RECORD_CODES,
    RECORD_NUMBERS,
    ROUTE_INDEX,
    ROUTE_R,
    ROUTE_S,
)
from simdrive.sim.roads import RoadMap, join_maps
from simdrive.sim.route import build_route, project
from simdrive.sim.spec import Channel, WorldSpec
from simdrive.sim.state import Behaviour, Extras, Float, Int, RoadTables, Whole
from simdrive.sim.tick import start_worlds
from simdrive.sim.width import free_widths

ROUTE_BEHIND_M = 40.0  # route kept behind the start of the ego
ROUTE_BEYOND_M = 160.0  # route kept beyond the goal: plans look that far
_BY_LANES = (Behaviour.IDM, Behaviour.CONTROLLED, Behaviour.LINEAR)


# The same case is driven by several agents: what lies beside its route is worked out once per process.
_KNOWN_WIDTHS: dict[bytes, Float] = {}
_MOST_WIDTHS = 4096
_KNOWN_ROUTES: dict[tuple[Any, ...], Float] = {}  # by map, lanes, start and goal
_MOST_ROUTES = 1024


def assemble(specs: Sequence[WorldSpec]) -> Batch:
    """Lay out a batch of worlds at time zero.

    Raises:
        ParameterError: naming world, actor, event row or field that is not allowed.
    """
    if not specs:
        raise ParameterError("no world was given; a batch needs at least one WorldSpec")
    for number, spec in enumerate(specs):
        _named(number, check_spec, spec)
    maps: dict[str, RoadMap] = {}
    for spec in specs:
        maps.setdefault(spec.road.key, spec.road)
    numbers = {key: number for number, key in enumerate(maps)}
    map_id = np.array([numbers[spec.road.key] for spec in specs], np.int32)
    roads = join_maps(list(maps.values()))
    places = empty_places(specs)
    for w, spec in enumerate(specs):
        place_world(places, roads, *_lane_range(roads, map_id[w]), spec, w)
    shape = places.actors.x.shape
    shared = Shared(*pack_polygons([polygon for spec in specs for polygon in spec.extra_drivable]))
    ways, widths = _ways(specs, places, roads, map_id, shared)
    batch = Batch(
        roads=roads,
        shared=shared,
        traits=places.traits,
        setting=Setting(
            map_id=map_id,
            connected=np.ones(len(specs), np.bool_),
            route_road=places.routes.road,
            route_lane=places.routes.lane_id,
            shape=places.traits.shape,
            reactive=places.traits.reactive,
        ),
        script=Script(*_events(specs), places.path_lane, places.path_start, places.path_count),
        ways=ways,
        widths=widths,
        actors=places.actors,
        frame=_frame(places, roads, map_id),
        play=_play(specs, shape, places.motion),
        record=_record(len(specs)),
    )
    start_worlds(batch.roads, batch.setting, batch.frame)
    for number, spec in enumerate(specs):
        _named(number, _start_ego, batch, spec, number)
    return batch


def _named(number: int, call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except SimdriveError as error:
        raise ParameterError(f"world {number}: {error}") from error


def _lane_range(roads: RoadTables, map_id: int) -> tuple[int, int]:
    return int(roads.map_lane_start[map_id]), int(roads.map_lane_start[map_id + 1])


def _events(specs: Sequence[WorldSpec]) -> tuple[Float, Whole]:
    """Return the event rows as numbers and codes."""
    rows = max(1, *(len(spec.events) for spec in specs))
    numbers = np.zeros((len(specs), rows, EVENT_NUMBERS))
    codes = np.full((len(specs), rows, EVENT_CODES), -1, np.int64)
    for w, spec in enumerate(specs):
        for row, event in enumerate(spec.events):
            numbers[w, row] = event.threshold, event.delay_s, event.magnitude, event.rate, event.until
            subject = event.actor if event.subject < 0 else event.subject
            codes[w, row] = event.actor, event.trigger, subject, event.after_row, event.channel, event.action
    return numbers, codes


def _play(specs: Sequence[WorldSpec], shape: tuple[int, ...], motion: Float) -> Play:
    rows = (len(specs), max(1, *(len(spec.events) for spec in specs)))
    return Play(
        event_times=np.full((*rows, 2), math.nan),
        nearest=np.full(rows, -1, np.int64),
        charge=np.full((*shape, len(Channel)), -1, np.int64),
        motion=motion,
    )


def _frame(places: Places, roads: RoadTables, map_id: Int) -> Frame:
    """Return the working tables of the kernels; scratch parts are filled by ``start_worlds``."""
    shape = places.actors.x.shape
    extras = Extras(
        linear=np.zeros((*shape, 5)),
        target_speeds=np.zeros((*shape, 1)),
        target_speed_count=np.zeros(shape, np.int32),
        yielding=np.zeros(shape, np.bool_),
        yield_timer=np.zeros(shape, np.int32),
        steering_held=np.zeros(shape, np.bool_),
    )
    first_lane = roads.map_lane_start[map_id].astype(np.int64)
    numbers, whole = pack(places.actors, places.traits, places.routes, extras, first_lane)
    lanes = int(np.max(np.diff(roads.map_lane_start)))
    return Frame(
        numbers=numbers,
        whole=whole,
        s=np.full((*shape, lanes), math.nan),
        r=np.full((*shape, lanes), math.nan),
        members=np.zeros((shape[0], lanes, (shape[1] + 63) // 64), np.uint64),
    )


def _record(size: int) -> Record:
    record = Record(np.zeros((size, RECORD_NUMBERS)), np.zeros((size, RECORD_CODES), np.int64))
    for column in (ROUTE_INDEX, CONTACT_TICK, CONTACT_ACTOR):
        record.codes[:, column] = -1
    return record


def _ways(
    specs: Sequence[WorldSpec], places: Places, roads: RoadTables, map_id: Int, shared: Shared
) -> tuple[Ways, Widths]:
    routes = [_named(number, _route, spec) for number, spec in enumerate(specs)]
    counts = np.array([len(route) for route in routes], np.int64)
    longest = int(counts.max())
    polygons = np.concatenate([[0], np.cumsum([len(spec.extra_drivable) for spec in specs])]).astype(np.int64)
    stacked, widths = np.empty((len(specs), longest, 5)), np.empty((len(specs), 4, longest))
    for w, route in enumerate(routes):
        stacked[w, : counts[w]], stacked[w, counts[w] :] = route, route[-1]
        first, last = _lane_range(roads, map_id[w])
        key = _widths_key(specs[w], route)
        known = _KNOWN_WIDTHS.get(key)
        if known is None:
            free_widths(
                roads.lane_geometry[first:last], roads.points, bool(roads.fused_dot[0]), *shared, int(polygons[w]),
                int(polygons[w + 1]), stacked[w], int(counts[w]), widths[w],
            )  # fmt: skip
            if len(_KNOWN_WIDTHS) >= _MOST_WIDTHS:
                _KNOWN_WIDTHS.clear()
            _KNOWN_WIDTHS[key] = widths[w, :, : counts[w]].copy()
        else:
            widths[w, :, : counts[w]] = known
            widths[w, :, counts[w] :] = known[:, -1:]
    ways = Ways(
        route=stacked,
        route_count=counts,
        polygons=np.stack([polygons[:-1], polygons[1:]], axis=1),
        actor_count=np.array([1 + len(spec.actors) for spec in specs], np.int64),
        by_lanes=np.array([np.isin(row, _BY_LANES).any() for row in places.traits.behaviour]),
    )
    return ways, Widths(*(np.ascontiguousarray(widths[:, column]) for column in range(4)))


def _widths_key(spec: WorldSpec, route: Float) -> bytes:
    """Return a hash of all that the widths beside a route depend on."""
    total = hashlib.sha256(spec.road.key.encode())
    for array in (route, *spec.extra_drivable):
        total.update(str(np.shape(array)).encode() + np.ascontiguousarray(array, np.float64).tobytes())
    return total.digest()


def _route(spec: WorldSpec) -> Float:
    start = spec.ego.s_m
    if spec.ego.lane is None or spec.ego_route[:1] != (spec.ego.lane,):
        raise ParameterError(
            f"ego_route: starts with {spec.ego_route[:1]}, the ego stands on lane {spec.ego.lane}; begin with that lane"
        )
    key = (spec.road.key, spec.ego_route, start, spec.goal_m)
    known = _KNOWN_ROUTES.get(key)
    if known is None:
        known = build_route(spec.road, spec.ego_route, start, ROUTE_BEHIND_M, spec.goal_m + ROUTE_BEYOND_M)
        if len(_KNOWN_ROUTES) >= _MOST_ROUTES:
            _KNOWN_ROUTES.clear()
        _KNOWN_ROUTES[key] = known
    return known


def _start_ego(batch: Batch, spec: WorldSpec, w: int) -> None:
    """Find the ego on its route, and refuse a world that starts with an overlap or off its route."""
    actors, traits, ways, record = batch.actors, batch.traits, batch.ways, batch.record
    route, count = ways.route[w], int(ways.route_count[w])
    x, y, heading = float(actors.x[w, 0]), float(actors.y[w, 0]), float(actors.heading[w, 0])
    s, r, index = project(route, count, x, y, -1)
    record.numbers[w, ROUTE_S], record.numbers[w, ROUTE_R], record.codes[w, ROUTE_INDEX] = s, r, index
    angle = (heading - route[index, 2] + math.pi) % (2.0 * math.pi) - math.pi
    check_route_length(spec, float(route[count - 1, 3]))
    check_layout(spec, actors, traits, w, r, angle)
    record.numbers[w, OUTSIDE_M] = corners_outside_m(
        batch.roads, *_lane_range(batch.roads, batch.setting.map_id[w]), *batch.shared, int(ways.polygons[w, 0]),
        int(ways.polygons[w, 1]), x, y, heading, float(traits.length[w, 0]), float(traits.width[w, 0]),
    )  # fmt: skip
