"""From a recording to a world: the ego on its way, everybody else on their tracks or driven by IDM."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from simdrive.errors import ParameterError
from simdrive.geometry import boxes_overlap
from simdrive.scenarios.cast import draw_colour
from simdrive.scenarios.commonroad.frame import SceneFrame
from simdrive.scenarios.commonroad.network import Network, build_network
from simdrive.scenarios.commonroad.recording import Goal, Moves, Obstacle, Problem, Recording, Skipped
from simdrive.scenarios.roads import HIGHWAY_LIMIT_MPS
from simdrive.scenarios.stage import ego_on
from simdrive.sim.route import build_route
from simdrive.sim.spec import CHANNEL_OF, Action, ActorSpec, Event, LaneIndex, Lighting, Trigger
from simdrive.sim.state import VEHICLES, Behaviour, Shape
from simdrive.sim.tracks import Track, TrackedWorldSpec
from simdrive.types import Command, Float

LEAD_IN_S = 0.5  # recordings are short and begin in the middle of traffic
_SHAPES = {
    "car": Shape.CAR, "taxi": Shape.CAR, "parkedVehicle": Shape.CAR, "unknown": Shape.CAR, "truck": Shape.TRUCK,
    "train": Shape.TRUCK, "bus": Shape.BUS, "priorityVehicle": Shape.EMERGENCY, "motorcycle": Shape.MOTORCYCLE,
    "bicycle": Shape.CYCLIST, "pedestrian": Shape.PEDESTRIAN, "constructionZone": Shape.BARRIER,
    "roadBoundary": Shape.BARRIER, "median_strip": Shape.BARRIER, "building": Shape.BUILDING, "pillar": Shape.BUILDING,
}  # fmt: skip
_HEIGHTS_M = {
    Shape.CAR: 1.5, Shape.TRUCK: 3.5, Shape.BUS: 3.1, Shape.EMERGENCY: 2.2, Shape.MOTORCYCLE: 1.45, Shape.CYCLIST: 1.75,
    Shape.PEDESTRIAN: 1.75, Shape.BARRIER: 1.0, Shape.BUILDING: 6.0,
}  # fmt: skip
_EGO_ASIDE_M, _EGO_TURN_RAD = 1.9, math.radians(29.0)  # what a world allows between the ego and its route
_SLOWEST_WISH_MPS = 5.0
_STANDING_M = 1.0  # who moves less than this in the whole recording is parked where IDM drives the others
_GOAL_BEFORE_END_M = 1.0
_SHORTEST_GOAL_M = 5.0
_TICK_S = 0.02  # who appears moves in that tick already, and must be at the first state when it is over
_REST_M = 200.0  # route beyond the goal
_TURN_RAD = math.radians(30.0)


@dataclass(frozen=True)
class Placed:
    """A world with the places in the file that its actors come from."""

    spec: TrackedWorldSpec
    obstacles: tuple[int, ...]  # id in the file of each actor, in order
    frame: SceneFrame
    start_s: float  # time of the recording at which the world begins


def problems_of(recording: Recording) -> tuple[Problem, ...]:
    """Return the planning problems; a file without any lends the ego the place of its longest recorded drive.

    Raises:
        ParameterError: if there is neither a problem nor a vehicle that drives.
    """
    if recording.problems:
        return recording.problems
    moving = [o for o in recording.obstacles if not o.static and _shape(o) in VEHICLES and len(o.moves.time_s) > 1]
    if not moving:
        raise ParameterError(f"{recording.file}: holds neither a <planningProblem> nor a vehicle that drives")
    chosen = max(moving, key=lambda o: (_travel(o.moves), -o.id))
    m = chosen.moves
    goal = Goal(((float(m.x_m[-1]), float(m.y_m[-1])),), (), float(m.time_s[-1]))
    place = float(m.x_m[0]), float(m.y_m[0]), float(m.heading_rad[0]), max(float(m.speed_mps[0]), 0.0)
    return (Problem(chosen.id, *place, float(m.time_s[0]), goal, chosen.line, chosen.id),)


def build_world(
    recording: Recording,
    problem: Problem,
    rng: np.random.Generator,
    *,
    reactive: bool,
    traffic: bool = True,
    skipped: Skipped | None = None,
) -> Placed:
    """Return the world of one planning problem.

    Args:
        recording, problem: what the file holds.
        rng: draws colours and light.
        reactive: IDM drives the recorded vehicles from the start; others still replay their tracks.
        traffic: False = nobody but the ego.
        skipped: counts what had to be left out.

    Raises:
        ParameterError: if the ego does not start on a lanelet, naming file and line.
    """
    out = skipped if skipped is not None else Skipped()
    frame = SceneFrame(problem.x_m, problem.y_m, problem.heading_rad)
    network = build_network(recording.lanelets, frame, out)
    way, reached = _way(network, recording, problem, frame, out)
    lanes = network.lanes(network.onward(way, _REST_M))
    ego = _ego(network, lanes[0], problem, recording)
    try:
        route = build_route(network.road.map, lanes, ego.s_m)
    except ParameterError as error:
        raise ParameterError(f"{_where(recording, problem)}: no way for the ego: {error}") from error
    length = float(route[-1, 3]) - _GOAL_BEFORE_END_M
    if length <= 0.0:
        raise ParameterError(f"{_where(recording, problem)}: the road ends {length + 1.0:.1f} m ahead of the ego")
    recorded_s = recording.end_s - problem.time_s
    wanted_s = None if problem.goal is None or problem.goal.end_s is None else problem.goal.end_s - problem.time_s
    if wanted_s is not None and wanted_s <= 0.0:
        raise ParameterError(f"{_where(recording, problem)}: its goal ends before the ego starts")
    limit_s = wanted_s or (recorded_s if recorded_s > 0.0 else 20.0)
    goal_m = _goal_m(network, route, way if reached else (), problem, frame)
    if goal_m is None:
        goal_m = max(problem.speed_mps, _SLOWEST_WISH_MPS) * limit_s
    colours = {o.id: draw_colour(rng, _shape(o)) for o in recording.obstacles}
    cast = _Cast(network, problem, frame, colours, out, [ego])
    for obstacle in recording.obstacles if traffic else ():
        if obstacle.id != problem.replaces:
            cast.add(obstacle, reactive)
    goal_m = float(np.clip(goal_m, min(_SHORTEST_GOAL_M, length), length))
    actors = tuple(cast.actors[1:])
    spec = TrackedWorldSpec(
        road=network.road.map,
        ego=ego,
        actors=actors,
        events=tuple(cast.events),
        ego_route=lanes,
        goal_m=goal_m,
        cruise_speed_mps=_cruise(network, lanes, problem, recording),
        time_limit_s=limit_s,
        hazard_actors=tuple(range(1, len(actors) + 1)),
        lead_in_s=min(LEAD_IN_S, 0.5 * limit_s),
        command=int(_command(route, goal_m)),
        lighting=Lighting(float(rng.uniform(25.0, 65.0)), float(rng.uniform(0.0, 360.0)), float(rng.uniform(0.0, 0.4))),
        tracks=tuple(cast.tracks),
    )
    return Placed(spec, tuple(cast.sources), frame, problem.time_s)


def _where(recording: Recording, problem: Problem) -> str:
    kind = "planningProblem" if problem.replaces is None else "dynamicObstacle"
    return f"{recording.file}, line {problem.line}, <{kind}> {problem.id}"


def _shape(obstacle: Obstacle) -> Shape:
    return _SHAPES.get(obstacle.kind, Shape.CAR)


def _travel(moves: Moves) -> float:
    return float(np.hypot(np.diff(moves.x_m), np.diff(moves.y_m)).sum())


def _way(
    network: Network, recording: Recording, problem: Problem, frame: SceneFrame, out: Skipped
) -> tuple[tuple[int, ...], bool]:
    """Return the lanelets from the ego's start to its goal, and whether they reach it."""
    starts = network.at(0.0, 0.0, 0.0)
    if not starts:
        raise ParameterError(f"{_where(recording, problem)}: the ego starts on no lanelet that leads its way")
    goal = problem.goal
    if goal is None or not (goal.points or goal.lanelets):
        return (starts[0],), False
    goals = [lanelet for lanelet in goal.lanelets if lanelet in network.index]
    for x, y in goal.points:
        goals += _around(network, *frame.point(x, y))
    way = network.path(starts, goals)
    if way is None:
        out.add("goalState/position", "no lanelets lead there: the ego follows its road")
        return (starts[0],), False
    return way, True


def _around(network: Network, x: float, y: float) -> list[int]:
    """Return the lanelets that hold a point, whatever way they lead."""
    found = []
    for key, index in network.index.items():
        lane = network.road.lane(index)
        s, r = lane.local_coordinates(np.array([x, y]))
        if -_EGO_ASIDE_M <= s <= lane.length + _EGO_ASIDE_M and abs(r) <= 0.5 * lane.width + 0.5:
            found.append(key)
    return found


def _ego(network: Network, lane: LaneIndex, problem: Problem, recording: Recording) -> ActorSpec:
    s, r, turn = _on(network, lane, 0.0, 0.0, 0.0)
    if abs(r) > _EGO_ASIDE_M or abs(turn) > _EGO_TURN_RAD:
        raise ParameterError(
            f"{_where(recording, problem)}: the ego starts {abs(r):.1f} m beside the middle of its lanelet and turned by "
            f"{math.degrees(abs(turn)):.0f} degrees; allowed are {_EGO_ASIDE_M:g} m and 29 degrees"
        )
    length = float(network.road.lane(lane).length)
    return replace(ego_on(lane, min(max(s, 0.0), length - 0.1), problem.speed_mps), r_m=r, heading_rad=turn)


def _on(network: Network, index: LaneIndex, x: float, y: float, heading: float) -> tuple[float, float, float]:
    """Return lane coordinates (s, r, heading against the lane) of a pose."""
    lane = network.road.lane(index)
    s, r = lane.local_coordinates(np.array([x, y]))
    turn = heading - float(lane.heading_at(min(max(s, 0.0), lane.length)))
    return float(s), float(r), (turn + math.pi) % (2.0 * math.pi) - math.pi


def _goal_m(network: Network, route: Float, way: Sequence[int], problem: Problem, frame: SceneFrame) -> float | None:
    """Return how far along the route the goal lies; None where the problem names no place that can be reached."""
    goal = problem.goal
    if goal is None or not way:
        return None
    if goal.points:
        x, y = frame.point(*goal.points[0])
    else:  # a lanelet: to drive into it, or along the one that the ego starts on
        lane = network.road.lane(network.index[way[-1]])
        x, y = lane.position(lane.length if len(way) == 1 else 0.5 * lane.length, 0.0)
    nearest = int(np.argmin(np.hypot(route[:, 0] - x, route[:, 1] - y)))
    return float(route[nearest, 3])


def _cruise(network: Network, lanes: Sequence[LaneIndex], problem: Problem, recording: Recording) -> float:
    """Return what the ego should drive: as fast as the faster ones of the recording, within the limit of its road."""
    limits = [network.road.lane(index).speed_limit for index in lanes]
    limit = min((float(value) for value in limits if value), default=HIGHWAY_LIMIT_MPS)
    speeds = [float(o.moves.speed_mps.max()) for o in recording.obstacles if not o.static and _shape(o) in VEHICLES]
    brisk = float(np.percentile(speeds, 85.0)) if speeds else problem.speed_mps
    return max(min(max(brisk, problem.speed_mps), limit, HIGHWAY_LIMIT_MPS), _SLOWEST_WISH_MPS)


def _command(route: Float, goal_m: float) -> Command:
    ahead = route[(route[:, 3] >= 0.0) & (route[:, 3] <= goal_m + 20.0), 2]
    turn = float(ahead[-1] - ahead[0]) if len(ahead) else 0.0
    return Command.FOLLOW if abs(turn) < _TURN_RAD else Command.RIGHT if turn > 0.0 else Command.LEFT


@dataclass
class _Cast:
    """Actors, events and tracks of a world while they are collected; the ego comes first."""

    network: Network
    problem: Problem
    frame: SceneFrame
    colours: dict[int, tuple[int, int, int]]
    skipped: Skipped
    actors: list[ActorSpec]

    def __post_init__(self) -> None:
        self.events: list[Event] = []
        self.tracks: list[Track] = []
        self.sources: list[int] = []
        pose = (0.0, 0.0, 0.0, self.actors[0].length_m, self.actors[0].width_m)
        self.boxes: list[tuple[float, float, float, float, float]] = [pose]

    def add(self, obstacle: Obstacle, reactive: bool) -> None:
        """Add one recorded object, or count why it is left out."""
        moves = obstacle.moves
        place = self.frame.points(np.column_stack([moves.x_m, moves.y_m]))
        heading, time = self.frame.headings(moves.heading_rad), moves.time_s - self.problem.time_s
        if obstacle.static:
            self._stand(obstacle, place[0], float(heading[0]))
            return
        if time[-1] <= 0.0:
            self.skipped.add("dynamicObstacle", "gone before the ego starts")
            return
        if time[0] < 0.0:
            time, place, heading, speed = _cut(time, place, heading, moves.speed_mps)
        else:
            speed = moves.speed_mps
        box = (float(place[0, 0]), float(place[0, 1]), float(heading[0]), obstacle.body.length_m, obstacle.body.width_m)
        if time[0] <= 0.0 and boxes_overlap(*self.boxes[0], *box):
            self.skipped.add("dynamicObstacle", "stands where the ego starts")
            return
        track = Track(len(self.actors), time, place[:, 0], place[:, 1], heading, speed)
        if reactive and _shape(obstacle) in VEHICLES:
            self._drive(obstacle, track, box)
        else:
            self._replay(obstacle, track)

    def _look(self, obstacle: Obstacle) -> ActorSpec:
        shape, body = _shape(obstacle), obstacle.body
        return ActorSpec(
            f"{obstacle.kind}_{obstacle.id}", shape, length_m=body.length_m, width_m=body.width_m,
            height_m=_HEIGHTS_M[shape], colour=self.colours[obstacle.id],
        )  # fmt: skip

    def _append(self, obstacle: Obstacle, actor: ActorSpec) -> None:
        self.actors.append(actor)
        self.sources.append(obstacle.id)

    def _stand(self, obstacle: Obstacle, place: Float, heading: float) -> None:
        x, y, body = float(place[0]), float(place[1]), obstacle.body
        box = (x, y, heading, body.length_m, body.width_m)
        if any(boxes_overlap(*other, *box) for other in self.boxes):
            self.skipped.add("staticObstacle", "stands where somebody starts")
            return
        self.boxes.append(box)
        self._append(
            obstacle, replace(self._look(obstacle), behaviour=Behaviour.OBSTACLE, x_m=x, y_m=y, heading_rad=heading)
        )

    def _replay(self, obstacle: Obstacle, track: Track) -> None:
        begin, end = float(track.time_s[0]), float(track.time_s[-1])
        actor = replace(
            self._look(obstacle), x_m=float(track.x_m[0]), y_m=float(track.y_m[0]),
            heading_rad=float(track.heading_rad[0]), speed_mps=float(track.speed_mps[0]), present=begin <= 0.0,
        )  # fmt: skip
        self._append(obstacle, actor)
        self.tracks.append(track)
        if begin > 0.0:
            self._event(track.actor, Action.APPEAR, max(begin - _TICK_S, 0.0))
        self._event(track.actor, Action.VANISH, math.floor(end / _TICK_S + 1e-6) * _TICK_S)  # after its last whole tick

    def _event(self, actor: int, action: Action, time_s: float) -> None:
        self.events.append(Event(actor, Trigger.TIME, time_s, CHANNEL_OF[action], action, subject=actor))

    def _drive(self, obstacle: Obstacle, track: Track, box: tuple[float, float, float, float, float]) -> None:
        """Let IDM take over a vehicle at its first state; one that does not move stays where it is."""
        if track.time_s[0] > 0.0:
            self.skipped.add("dynamicObstacle", "reactive: comes later, when its place may be taken")
            return
        x, y, heading = box[:3]
        if math.hypot(track.x_m[-1] - x, track.y_m[-1] - y) < _STANDING_M and track.speed_mps.max() < 0.5:
            self._stand(obstacle, np.array([x, y]), heading)
            return
        if any(boxes_overlap(*other, *box) for other in self.boxes):
            self.skipped.add("dynamicObstacle", "reactive: overlaps another vehicle at the start")
            return
        starts = self.network.at(x, y, heading)
        if not starts:
            self.skipped.add("dynamicObstacle", "reactive: starts on no lanelet that leads its way, so it is replayed")
            self._replay(obstacle, track)
            return
        ends = self.network.at(float(track.x_m[-1]), float(track.y_m[-1]), float(track.heading_rad[-1]))
        way = self.network.path(starts, ends) or (starts[0],)
        lanes = self.network.lanes(self.network.onward(way, _REST_M))
        s, r, turn = _on(self.network, lanes[0], x, y, heading)
        self.boxes.append(box)
        self._append(
            obstacle,
            replace(
                self._look(obstacle), behaviour=Behaviour.IDM, lane=lanes[0], s_m=s, r_m=r, heading_rad=turn,
                route=lanes[1:], speed_mps=max(float(track.speed_mps[0]), 0.0),
                target_speed_mps=max(float(track.speed_mps.max()), 1.0),
            ),
        )  # fmt: skip


def _cut(time: Float, place: Float, heading: Float, speed: Float) -> tuple[Float, Float, Float, Float]:
    """Return states from time zero on, the first of them interpolated."""
    keep = time > 0.0
    at = np.concatenate([[0.0], time[keep]])
    columns = [np.interp(at, time, column) for column in (place[:, 0], place[:, 1], heading, speed)]
    return at, np.column_stack(columns[:2]), columns[2], columns[3]
