"""What the single and the vector environment share: spaces, observations, rewards and ends of an episode.

Everything works on rows of a batch of worlds, and a row's result depends on that row alone, so one
environment and any slot of many give the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from simdrive.errors import ControlError, ParameterError, UnknownNameError
from simdrive.scenarios.sampling import build_case, sample_cases
from simdrive.sim.camera import render
from simdrive.sim.camera_worlds import state_of_worlds
from simdrive.sim.follow import OFF_ROAD_M
from simdrive.sim.scene import SceneTables, join_scenes
from simdrive.sim.scene_cache import light_of, scene_of
from simdrive.sim.tracker import TrackerLimits
from simdrive.sim.visibility import line_of_sight
from simdrive.sim.worlds import Worlds
from simdrive.types import Bool, CameraSpec, Case, Float, Long

Actions = Literal["normalised", "physical"]
Single = npt.NDArray[np.float32]
Observation = dict[str, npt.NDArray[Any]]

ROUTE_POINTS, ROUTE_STEP_M = 20, 5.0
ACTORS, RANGE_M = 12, 120.0
_EGO_BOUNDS = np.array([60.0, 20.0, 1.0, 5.0, 20.0, np.pi, 60.0, 2000.0])
_ACTOR_BOUNDS = np.array([1.0, RANGE_M, RANGE_M, 1.0, 1.0, 60.0, 30.0, 5.0])
_CASE_SEEDS = 2**31


@dataclass(frozen=True)
class Reward:
    """Weights of the reward of one step.

    reward = progress * (metres along the route) / (cruise speed * step)
             - jerk * |change of acceleration| / step
             - contact (on the first contact) - off_road (on leaving the road)

    The change of acceleration is that of the ego's last tick against the last tick of the step before, so
    ``jerk`` is per m/s3. Driving at cruise speed gives ``progress`` per step.
    """

    progress: float = 1.0
    jerk: float = 0.01
    contact: float = 20.0
    off_road: float = 20.0


@dataclass(frozen=True)
class Field:
    """A batch of worlds in play, with what it takes to look at it."""

    worlds: Worlds
    cases: tuple[Case, ...]
    light: Float  # [B, LIGHT_COLUMNS]
    scene: npt.NDArray[np.int32]  # [B] place of each world's scene in `tables`
    tables: SceneTables | None  # None without cameras


@dataclass(frozen=True)
class Outcome:
    """What a step brought to N worlds, ``[N]`` each."""

    reward: Float
    terminated: Bool
    truncated: Bool


class Task:
    """A scenario as a control task: ``sub_steps`` physics ticks per step.

    Observation: ``ego`` [8] speed, acceleration, steering, yaw rate, offset from the route, heading against
    the route, cruise speed, metres to the goal; ``route`` [20, 2] points of the route every 5 m from the ego
    on, ahead and to the right; ``actors`` [12, 8] the nearest actors in line of sight: 1, ahead, right,
    cosine and sine of their heading against the ego's, speed, length, width (zeros where there are fewer);
    with cameras ``frames`` [camera, H, W, 3]. Metres, seconds, radians; values beyond the bounds of the space
    are clipped.

    Action: acceleration and steering. ``normalised``: both in [-1, 1]; -1 is the full brake, 1 full
    acceleration or full steering to the right. ``physical``: m/s2 and rad, bounds of the tracker limits.
    """

    def __init__(
        self,
        scenario: str,
        hazard: bool = True,
        params: Mapping[str, Any] | None = None,
        cameras: Sequence[CameraSpec] = (),
        sub_steps: int = 5,
        frequency_hz: int = 50,
        actions: Actions = "normalised",
        reward: Reward = Reward(),
        limits: TrackerLimits = TrackerLimits(),  # noqa: B008 - frozen
    ) -> None:
        """Check the settings.

        Raises:
            UnknownNameError: if the scenario, a parameter or the kind of actions does not exist.
            ParameterError: if ``sub_steps`` is below 1, or a parameter is out of range.
        """
        if actions not in get_args(Actions):
            raise UnknownNameError("kind of actions", actions, get_args(Actions))
        if int(sub_steps) != sub_steps or sub_steps < 1:
            raise ParameterError(f"sub_steps must be a whole number of at least 1, got {sub_steps}")
        self.scenario, self.hazard, self.params = scenario, hazard, dict(params or {})
        sample_cases(scenario, 1, 0, self.params, hazard)  # names what is wrong before anything runs
        self.cameras, self.sub_steps, self.frequency_hz = tuple(cameras), int(sub_steps), int(frequency_hz)
        self.step_s = self.sub_steps / self.frequency_hz
        self._weights = reward
        self._top = np.array([limits.max_acceleration_mps2, limits.max_steering_rad])
        self._bottom = np.array([-limits.max_braking_mps2, -limits.max_steering_rad])
        bounds = (-np.ones(2), np.ones(2)) if actions == "normalised" else (self._bottom, self._top)
        self._normalised = actions == "normalised"
        self.action_space = spaces.Box(bounds[0].astype(np.float32), bounds[1].astype(np.float32))
        self.observation_space = spaces.Dict(self._spaces())

    def _spaces(self) -> dict[str, spaces.Space[Any]]:
        reach = ROUTE_POINTS * ROUTE_STEP_M + _EGO_BOUNDS[4]
        bound = np.broadcast_to(_ACTOR_BOUNDS, (ACTORS, 8)).astype(np.float32)
        found: dict[str, spaces.Space[Any]] = {
            "ego": spaces.Box(-_EGO_BOUNDS.astype(np.float32), _EGO_BOUNDS.astype(np.float32)),
            "route": spaces.Box(-reach, reach, (ROUTE_POINTS, 2), np.float32),
            "actors": spaces.Box(-bound, bound),
        }
        if self.cameras:
            shape = (len(self.cameras), self.cameras[0].height, self.cameras[0].width, 3)
            found["frames"] = spaces.Box(0, 255, shape, np.uint8)
        return found

    def draw(self, rng: np.random.Generator) -> Case:
        """Return the next case of a slot; it consumes one number of ``rng``."""
        seed = int(rng.integers(_CASE_SEEDS))
        return sample_cases(self.scenario, 1, seed, self.params, self.hazard)[0]

    def open(self, cases: Sequence[Case]) -> Field:
        """Build the worlds of some cases."""
        specs = [build_case(case) for case in cases]
        worlds = Worlds(specs, self.frequency_hz)
        light = np.stack([light_of(spec) for spec in specs])
        scene, tables = np.zeros(len(specs), np.int32), None
        if self.cameras:
            scenes = [scene_of(spec) for spec in specs]
            distinct = list({found.key: found for found in scenes}.values())
            keys = [found.key for found in distinct]
            scene = np.array([keys.index(found.key) for found in scenes], np.int32)
            tables = join_scenes(distinct)
        return Field(worlds, tuple(cases), light, scene, tables)

    def controls(self, actions: npt.ArrayLike) -> Float:
        """Return acceleration (m/s2) and steering (rad) ``[N, 2]`` for actions ``[N, 2]``.

        Raises:
            ControlError: if an action is not finite or outside the action space; the message names it.
        """
        values = np.asarray(actions, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != 2:
            raise ControlError(f"an action is [acceleration, steering], got shape {values.shape[1:]}")
        low, high = self.action_space.low.astype(np.float64), self.action_space.high.astype(np.float64)
        bad = ~(np.isfinite(values) & (values >= low) & (values <= high))
        if bad.any():
            row, column = (int(place) for place in np.argwhere(bad)[0])
            raise ControlError(
                f"action {row}: {('acceleration', 'steering')[column]} is {values[row, column]}; "
                f"allowed are {low[column]:g} to {high[column]:g}"
            )
        if not self._normalised:
            return values
        scaled: Float = np.where(values < 0.0, -values * self._bottom, values * self._top)
        return scaled

    def observe(self, field: Field, rows: Long) -> Observation:
        """Return what the agent sees of some worlds [N], fresh arrays ``[N, ...]``."""
        found: Observation = {
            "ego": _clipped(_ego(field.worlds, rows), _EGO_BOUNDS),
            "route": _clipped(_route(field.worlds, rows), ROUTE_POINTS * ROUTE_STEP_M + _EGO_BOUNDS[4]),
            "actors": _clipped(_actors(field, rows), _ACTOR_BOUNDS),
        }
        if field.tables is not None:
            state = state_of_worlds(field.worlds, rows.astype(np.int32), field.scene[rows], field.light[rows])
            found["frames"] = render(field.tables, state, self.cameras, labels=False).rgb
        return found

    def judge(self, field: Field, rows: Long, route_s: Float, acceleration: Float) -> Outcome:
        """Return rewards and ends of some worlds after a step.

        Args:
            field, rows: the worlds [N].
            route_s, acceleration: ``[N]`` of their egos before the step.
        """
        worlds, weights = field.worlds, self._weights
        specs = [worlds.specs[row] for row in rows]
        cruise = np.array([max(spec.cruise_speed_mps, 1.0) for spec in specs])
        contact, off_road = worlds.contact_tick[rows] >= 0, worlds.outside_m[rows] > OFF_ROAD_M
        jerk = np.abs(worlds.ego_control[rows, 0] - acceleration) / self.step_s
        reward = weights.progress * (worlds.route_s[rows] - route_s) / (cruise * self.step_s)
        reward = reward - weights.jerk * jerk - weights.contact * contact - weights.off_road * off_road
        arrived = worlds.route_s[rows] >= np.array([spec.goal_m for spec in specs])
        late = worlds.t_us[rows] >= np.array([round(spec.time_limit_s * 1e6) for spec in specs])
        terminated: Bool = contact | off_road | arrived
        return Outcome(reward, terminated, late & ~terminated)

    def info(self, field: Field, rows: Long) -> dict[str, npt.NDArray[Any]]:
        """Return facts of some worlds [N] beside the observation, fresh arrays ``[N]``."""
        worlds = field.worlds
        return {
            "case": np.array([field.cases[row].key for row in rows], dtype=object),
            "t_us": worlds.t_us[rows],
            "route_s": worlds.route_s[rows],
            "off_road_m": worlds.outside_m[rows],
            "contact": worlds.contact_tick[rows] >= 0,
            "contact_actor": worlds.contact_actor[rows],
            "impact_speed_mps": worlds.contact_impact_speed[rows],
            "goal": worlds.route_s[rows] >= np.array([worlds.specs[row].goal_m for row in rows]),
        }


def _clipped(values: Float, bound: Float | float) -> Single:
    return np.clip(values, -np.asarray(bound), bound).astype(np.float32)


def _on_route(worlds: Worlds, rows: Long, s: Float) -> Float:
    """Return the route columns ``[N, K, 5]`` at ``s`` [N, K], linear between points that are 1 m apart."""
    route = worlds.route[rows]
    place = np.clip(s - route[:, :1, 3], 0.0, (worlds.route_count[rows] - 1)[:, None])
    low = np.minimum(place.astype(np.int64), (worlds.route_count[rows] - 2)[:, None])
    share, row = (place - low)[:, :, None], np.arange(len(rows))[:, None]
    points: Float = route[row, low] * (1.0 - share) + route[row, low + 1] * share
    return points


def _ego(worlds: Worlds, rows: Long) -> Float:
    state, specs = worlds.actors, [worlds.specs[row] for row in rows]
    along = _on_route(worlds, rows, worlds.route_s[rows][:, None])[:, 0, 2]
    turn = (state.heading[rows, 0] - along + np.pi) % (2.0 * np.pi) - np.pi
    goal = np.array([spec.goal_m for spec in specs]) - worlds.route_s[rows]
    cruise = np.array([spec.cruise_speed_mps for spec in specs])
    speed, yaw_rate = state.speed[rows, 0], state.yaw_rate[rows, 0]
    acceleration, steering = worlds.ego_control[rows].T
    return np.stack([speed, acceleration, steering, yaw_rate, worlds.route_r[rows], turn, cruise, goal], axis=1)


def _in_ego_frame(worlds: Worlds, rows: Long, x: Float, y: Float) -> tuple[Float, Float]:
    """Return (ahead, right) of world points ``[N, K]``, m."""
    state = worlds.actors
    dx, dy = x - state.x[rows, :1], y - state.y[rows, :1]
    cos, sin = np.cos(state.heading[rows, :1]), np.sin(state.heading[rows, :1])
    return dx * cos + dy * sin, dy * cos - dx * sin


def _route(worlds: Worlds, rows: Long) -> Float:
    s = worlds.route_s[rows][:, None] + ROUTE_STEP_M * np.arange(ROUTE_POINTS)
    points = _on_route(worlds, rows, s)
    return np.stack(_in_ego_frame(worlds, rows, points[:, :, 0], points[:, :, 1]), axis=2)


def _actors(field: Field, rows: Long) -> Float:
    """Return the nearest actors in line of sight ``[N, ACTORS, 8]``."""
    state, traits = field.worlds.actors, field.worlds.traits
    seen = line_of_sight(
        state.present[rows], traits.shape[rows], state.x[rows], state.y[rows], state.heading[rows],
        traits.length[rows], traits.width[rows], traits.height[rows], field.light[rows],
    )  # fmt: skip
    ahead, right = _in_ego_frame(field.worlds, rows, state.x[rows], state.y[rows])
    distance = np.where(seen & state.present[rows], np.hypot(ahead, right), np.inf)
    distance[:, 0] = np.inf
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :ACTORS]
    row = np.arange(len(rows))[:, None]
    turn = state.heading[rows] - state.heading[rows, :1]
    columns = (
        np.ones_like(ahead), ahead, right, np.cos(turn), np.sin(turn), state.speed[rows], traits.length[rows],
        traits.width[rows],
    )  # fmt: skip
    table = np.stack([column[row, nearest] for column in columns], axis=2)
    table[distance[row, nearest] > RANGE_M] = 0.0
    found = np.zeros((len(rows), ACTORS, 8))
    found[:, : table.shape[1]] = table
    return found
