"""The words of simdrive as data: frozen dataclasses that cross the boundaries between its parts.

Times are integer microseconds of simulated time unless a name ends in ``_s``. Positions are metres in the world
frame (x forward at heading 0, y and lateral offsets to the right), angles radians.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from simdrive.streams import digest

Float = npt.NDArray[np.float64]
Long = npt.NDArray[np.int64]
Int = npt.NDArray[np.int32]
Bool = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

FRAME_PERIOD_US = 100_000  # cameras deliver at 10 Hz
STAGES = ("sensor", "preprocess", "vision", "prefill", "decode", "action")  # order of every stage array
PLAN_COLUMNS = ("t_s", "x_m", "y_m", "heading_rad", "speed_mps")  # columns of a plan; t since t_obs


class Command(IntEnum):
    """Navigation command given with an observation."""

    FOLLOW = 0
    LEFT = 1
    RIGHT = 2
    STRAIGHT = 3


# --- cases -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One (scenario, params, seed): the unit that is paired between agents."""

    scenario: str
    params: tuple[tuple[str, float | int | str | bool], ...]  # sorted by name
    seed: int

    @property
    def key(self) -> str:
        """Hash that identifies the case and keys its random streams."""
        return digest({"scenario": self.scenario, "params": dict(self.params), "seed": self.seed})

    def param(self, name: str) -> float | int | str | bool:
        """Return one parameter.

        Raises:
            KeyError: if the case has no such parameter.
        """
        return dict(self.params)[name]


# --- observations and plans ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CameraSpec:
    """One camera fixed to the ego: pinhole, looking along its yaw; x forward, y right, z up from the ego centre."""

    name: str = "front"
    width: int = 224
    height: int = 128
    horizontal_fov_deg: float = 70.0
    yaw_deg: float = 0.0  # positive = to the right
    pitch_deg: float = 0.0  # positive = downwards
    x_m: float = 0.6
    y_m: float = 0.0
    z_m: float = 1.75
    supersample: int = 1


@dataclass(frozen=True)
class Wants:
    """What an agent needs to be shown; nothing else is computed."""

    cameras: tuple[CameraSpec, ...] = ()
    frame_offsets_us: tuple[int, ...] = (0,)  # 0 = newest frame, -300_000 = the frame of 0.3 s before
    world: Literal["none", "visible", "clairvoyant"] = "none"


@dataclass(frozen=True)
class WorldView:
    """Read-only world state of N worlds at ``t_obs_us``: arrays ``[N, V]`` unless stated, ego in column 0.

    ``visible`` is the line of sight from the ego (any bearing). An agent that wants ``visible`` gets unseen actors
    with ``present`` False and their state blanked to NaN.
    """

    present: Bool
    visible: Bool
    shape: npt.NDArray[np.int8]  # simdrive.sim.state.Shape
    x: Float
    y: Float
    heading: Float
    speed: Float
    lateral_speed: Float  # across the heading, m/s (pedestrians, drifting vehicles)
    acceleration: Float
    yaw_rate: Float
    length: Float
    width: Float
    height: Float
    brake_light: Bool
    indicator: npt.NDArray[np.int8]
    lane: Int  # row of `roads`
    world: Int  # [N] index of the world in the batch
    map_id: Int  # [N] map of each world in `roads`
    roads: Any  # simdrive.sim.state.RoadTables
    simulator: Any = None  # clairvoyant only: simdrive.sim.worlds.Worlds (read and snapshot, never step)
    slicks: Float | None = None  # [N, K, 3] slick ground in view: from, to (m along the route), hold (m/s2); NaN = none


@dataclass(frozen=True)
class ObservationBatch:
    """What N requests get to see. Row order carries no meaning; ``slot`` names the episode a row belongs to."""

    slot: Long  # [N]
    t_obs_us: Long  # [N]
    ego: Float  # [N, 7]: x, y, heading, speed, acceleration, steering, yaw_rate
    route: Float  # [N, R, 5]: x, y, heading, s (m along the route), curvature (1/m); padded with its last point
    route_s: Float  # [N] position of the ego along the route, m
    route_r: Float  # [N] lateral offset of the ego from the route, m
    lane_left_m: Float  # [N, R] free carriageway left of the route centre in the driving direction, m (>= half a lane)
    lane_right_m: Float  # [N, R] likewise to the right
    cruise_speed_mps: Float  # [N] what the ego should drive where nothing hinders it
    speed_limit_mps: Float  # [N]
    command: Int  # [N]
    ego_size: Float  # [N, 2] length, width
    frames: Bytes | None = None  # [N, camera, time, H, W, 3]
    world: WorldView | None = None
    max_output_tokens: Long | None = None  # [N]
    age_us: Long | None = None  # [N] age of the plan in use, -1 = none yet
    pending: Float | None = None  # [N, K, P, 5] plans that drive the car until this answer does; t from this t_obs
    same_left_m: Float | None = None  # [N, R] the part of lane_left_m on lanes that lead the ego's way
    same_right_m: Float | None = None  # [N, R] likewise to the right

    def __len__(self) -> int:
        return len(self.slot)


@dataclass(frozen=True)
class TokenUsage:
    """Tokens that each of N requests cost."""

    prompt: Long  # [N] text tokens in
    image: Long  # [N]
    output: Long  # [N]

    @classmethod
    def zeros(cls, count: int) -> TokenUsage:
        """Usage of an agent that is no language model."""
        return cls(*(np.zeros(count, dtype=np.int64) for _ in range(3)))


@dataclass(frozen=True)
class PlanBatch:
    """What an agent answers to N requests."""

    plan: Float  # [N, P, 5] columns PLAN_COLUMNS; t from t_obs, ascending; horizon at least 4 s
    usage: TokenUsage
    text: tuple[str, ...] | None = None
    error: tuple[str | None, ...] | None = None  # per row: None, "unparsable", "invalid", ...
    looked: Float | None = None  # [N, C, R, W] attention to the agent's C cameras, as in Looked


@dataclass(frozen=True)
class Charge:
    """What an agent's requests are priced as; empty for agents that are no model.

    Shares say what compression left of the model that the agent is or stands for; they are applied to the card of
    ``architecture``. ``simdrive.latency.charging`` checks and applies them.
    """

    architecture: str = ""
    precision: str = ""
    keep_layers: float = 1.0  # language layers
    keep_heads: float = 1.0  # query heads; key/value heads follow
    keep_feedforward: float = 1.0  # inner width of MLPs
    keep_width: float = 1.0  # width of the language model
    keep_vision_layers: float = 1.0
    keep_vision_heads: float = 1.0
    keep_vision_feedforward: float = 1.0
    keep_image_tokens: float = 1.0  # image tokens left after pruning in the language model
    prune_after: float = 0.0  # share of language layers that still see all image tokens
    bits: tuple[tuple[str, float], ...] = ()  # (group, effective bits) that differ from the precision's


@dataclass(frozen=True)
class AgentCard:
    """Who an agent is, for every table that shows its result."""

    name: str
    kind: Literal["rule", "reference", "model", "control"]
    description: str
    parameters: dict[str, Any] = field(default_factory=dict)
    weight_hash: str = ""


class Agent(Protocol):
    """A driving policy. Its state may depend only on its slot's observations since ``reset``."""

    card: AgentCard
    wants: Wants
    charge: Charge

    def reset(self, slots: Long) -> None:
        """Forget everything about ``slots`` [N]."""

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        """Answer each row of ``batch`` with a plan in the world frame."""


# --- requests and latency --------------------------------------------------------------------------------------


class RequestStatus(IntEnum):
    """How a request ended."""

    OK = 0
    EXCEPTION = 1
    TIMEOUT = 2
    UNPARSABLE = 3
    INVALID = 4
    DROPPED = 5  # queue overflow: never started
    UNFINISHED = 6  # the episode ended first


@dataclass(frozen=True)
class Looked:
    """Where the answers of an episode looked in their newest pictures: an even grid over each camera's."""

    cameras: tuple[CameraSpec, ...]  # C
    share: Float  # [K, C, R, W] of an answer's attention, float32, rows from the top; NaN where nobody looked


@dataclass(frozen=True)
class RequestLog:
    """All requests of one episode, in order of ``t_obs_us``; [K] arrays, -1 where a time stamp never came."""

    t_obs_us: Long
    t_start_us: Long
    t_first_token_us: Long
    t_finish_us: Long
    t_actuate_us: Long
    stages_us: Long  # [K, 6] in the order of STAGES
    status: npt.NDArray[np.int8]  # RequestStatus
    prompt_tokens: Long
    image_tokens: Long
    output_tokens: Long
    blind_m: Float  # metres driven between t_obs and t_actuate
    plan: Float  # [K, P, 5] in the world frame, NaN where none
    text: tuple[str, ...]
    dropped_frames: int  # frames that arrived while the agent was busy and were never used
    t_publish_us: Long  # >= t_finish; later under logical execution time or a frozen prefix
    deadline_us: Long  # absolute; -1 = none
    missed: Bool  # no plan was published by the deadline
    max_output_tokens: Long  # what the agent was told; -1 = nothing
    branch: tuple[str, ...]  # what a missed deadline led to: used_late, discarded, fallback, mrm, ...
    state: tuple[str, ...]  # conditions that the request ran under: clock state, burst, cold start
    looked: Looked | None = None  # None = not recorded


# --- episode log -----------------------------------------------------------------------------------------------


class EndReason(IntEnum):
    """Why an episode ended."""

    GOAL = 0
    CONTACT = 1
    TIME_LIMIT = 2
    STUCK = 3
    OFF_ROAD = 4
    BLOCKED = 5  # a crash among others blocks the ego: the case is invalid, not failed


@dataclass(frozen=True)
class Contact:
    """The ego's first contact, at the physics tick where the boxes first overlap."""

    t_us: int
    actor: int
    shape: int
    ego_speed_mps: float
    actor_speed_mps: float
    impact_speed_mps: float  # magnitude of the relative velocity


@dataclass(frozen=True)
class ActorTable:
    """Fixed facts of the actors of one episode, [V], ego first."""

    name: tuple[str, ...]
    shape: npt.NDArray[np.int8]
    length: Float
    width: Float
    height: Float
    colour: Bytes  # [V, 3]
    is_hazard: Bool


@dataclass(frozen=True)
class EpisodeLog:
    """Everything metrics and renderer need of one episode, agents not included.

    T rows at 10 Hz on the frame clock (``t_us[0]`` is the case's request phase); the last row is the end of the
    episode at physics resolution, so its spacing may be shorter.
    """

    case: Case
    actors: ActorTable
    map_key: str
    t_us: Long  # [T]
    present: Bool  # [T, V]
    x: Float  # [T, V]
    y: Float
    heading: Float
    speed: Float
    acceleration: Float  # [T, V] along the heading
    visible: Bool  # [T, V] line of sight from the ego
    brake_light: Bool
    indicator: npt.NDArray[np.int8]
    steering: Float  # [T] of the ego
    lane: Int  # [T, V] lane row of the map (map-local)
    lane_s: Float  # [T, V] along that lane
    lane_r: Float  # [T, V] from its centre
    lane_heading: Float  # [T] heading of the ego's lane at the ego
    lane_width: Float  # [T] of the ego's lane
    in_junction: Bool  # [T] ego
    off_road_m: Float  # [T] largest distance of an ego corner outside the drivable area
    on_several_lanes: Bool  # [T] ego box overlaps more than one lane
    route_s: Float  # [T] ego progress along its route
    route_r: Float  # [T]
    speed_limit_mps: Float  # [T]
    plan_age_us: Long  # [T] age of the plan in use, -1 = none
    plan_request: Int  # [T] index into requests of the plan in use, -1 = none
    aeb_active: Bool  # [T]
    requests: RequestLog
    contact: Contact | None
    end: EndReason
    goal_m: float
    route_start_s: float
    cruise_speed_mps: float
    hazard_us: int  # the hazard first existed and was in line of sight; -1 = never
    avoidable: bool
    expert_progress_m: float  # NaN while the reference itself is driven
    saturated: bool  # a plan was used past its horizon
    cold_start: bool  # no plan had arrived when the hazard appeared
    lighting: Any  # simdrive.sim.spec.Lighting


# --- metrics ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MetricValue:
    """One number of one episode; ``valid`` False = not scored (value is NaN)."""

    value: float
    valid: bool = True


class Metric(Protocol):
    """A pure function of an episode log with a declared unit and direction."""

    @property
    def name(self) -> str:
        """Column name in every table."""

    @property
    def unit(self) -> str:
        """Unit of the value, empty for pure numbers and flags."""

    @property
    def better(self) -> Literal["lower", "higher", "none"]:
        """Direction in which the value improves."""

    def __call__(self, log: EpisodeLog) -> MetricValue:
        """Score one episode."""


# --- suites ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SuiteEntry:
    """One scenario of a suite with its number of cases and, where given, narrowed parameter ranges.

    With a ``grid`` the cases are not drawn: they are all combinations of its values, or ``cases`` of them evenly
    spread if that is fewer. A key may join names that go together: ``"ego_speed_kph, target_speed_kph": [[30, 20]]``.
    """

    scenario: str
    cases: int
    params: dict[str, Any] = field(default_factory=dict)
    hazard: bool = True
    grid: dict[str, list[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """A named, versioned list of scenarios with parameter ranges and seeds."""

    name: str
    version: int
    description: str
    entries: Sequence[SuiteEntry]
    seed: int = 0
