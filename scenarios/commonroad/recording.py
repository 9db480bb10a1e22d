"""What a CommonRoad file says, in its own frame (x east, y north, angles counter-clockwise), m, rad, s."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from simdrive.types import Float


@dataclass(frozen=True)
class Lanelet:
    """A piece of a lane between two bounds of equally many points."""

    id: int
    left: Float  # [n, 2]
    right: Float  # [n, 2]
    successors: tuple[int, ...]
    predecessors: tuple[int, ...]
    beside_left: int | None  # adjacent in the same direction
    beside_right: int | None
    marking_left: str | None  # lineMarking of the file, None = not said
    marking_right: str | None
    speed_limit_mps: float | None
    inside_junction: bool
    line: int

    @property
    def centre(self) -> Float:
        """``[n, 2]`` points half-way between the bounds."""
        middle: Float = 0.5 * (self.left + self.right)
        return middle


@dataclass(frozen=True)
class Body:
    """A shape as the smallest box along its own axis."""

    length_m: float
    width_m: float
    ahead_m: float = 0.0  # centre of the box against the reference point, in the frame of the object
    left_m: float = 0.0
    turn_rad: float = 0.0  # of the box against the object


@dataclass(frozen=True)
class Moves:
    """States of one object; arrays ``[n]``, times ascending."""

    time_s: Float
    x_m: Float
    y_m: Float
    heading_rad: Float  # unwrapped
    speed_mps: Float  # along the heading, may be negative


@dataclass(frozen=True)
class Obstacle:
    """A thing on the road; one that stands has a single state."""

    id: int
    kind: str  # type of the file, e.g. "car"
    body: Body
    moves: Moves
    static: bool
    line: int


@dataclass(frozen=True)
class Goal:
    """What a planning problem asks for; fields that the file leaves out are None or empty."""

    points: tuple[tuple[float, float], ...]  # centres of goal regions
    lanelets: tuple[int, ...]
    end_s: float | None  # latest time


@dataclass(frozen=True)
class Problem:
    """Where the ego starts, and its goal."""

    id: int
    x_m: float
    y_m: float
    heading_rad: float
    speed_mps: float
    time_s: float
    goal: Goal | None
    line: int
    replaces: int | None = None  # the recorded vehicle whose place the ego takes, if the file has no problem


@dataclass
class Skipped:
    """What a file holds that was not used, counted by (element, reason)."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, element: str, reason: str) -> None:
        """Count one element."""
        self.counts[element, reason] += 1

    def rows(self) -> list[dict[str, str | int]]:
        """Return one row per element and reason."""
        return [{"element": e, "reason": r, "count": n} for (e, r), n in sorted(self.counts.items())]


@dataclass(frozen=True)
class Recording:
    """One file."""

    name: str  # benchmarkID, or the name of the file
    file: str
    version: str
    step_s: float
    lanelets: dict[int, Lanelet]
    obstacles: tuple[Obstacle, ...]
    problems: tuple[Problem, ...]
    skipped: Skipped

    @property
    def end_s(self) -> float:
        """Time of the last recorded state."""
        return max((float(o.moves.time_s[-1]) for o in self.obstacles if not o.static), default=0.0)
