"""How requests are scheduled on the clock, and what drives the car meanwhile: the settings, checked once.

Independent axes. The mode decides which frames become requests and when they start; the waiting policy decides what the
car does until an answer arrives; the deadline says when an answer is late and what that means.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from simdrive.build import load_config
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.latency.deadline import Deadline
from simdrive.latency.device import DeviceSpec
from simdrive.latency.source import Constant, LatencySource

ModeName = Literal[
    "zero", "fixed_delay", "streaming", "queue", "periodic", "dynamic", "chunk_async", "dual_rate", "rtmdp"
]
Overflow = Literal["drop_oldest", "drop_newest"]
Waiting = Literal["follow_plan", "follow_plan_stale_frame", "hold_control", "extrapolate"]
PIPELINED = ("zero", "fixed_delay", "rtmdp")
# Part of every identity; later fields enter it only where they are set, so that old settings keep theirs.
_ALWAYS = ("name", "depth", "overflow", "period_ms", "publish_ms")


@dataclass(frozen=True)
class Mode:
    """One injection mode.

    ============ ===========================================================================================
    zero         every frame becomes a request and is answered at once; the source is not asked
    fixed_delay  every frame becomes a request at once, any number in flight (unlimited throughput)
    streaming    one job in flight; when idle it takes the newest frame, older ones are dropped
    queue        one job in flight; frames wait in a FIFO of ``depth``, ``overflow`` says which one gives way
    periodic     as streaming, but jobs start only every ``period_ms``; with ``publish_ms`` an answer is
                 published exactly that long after its start (logical execution time), and an answer that
                 overruns waits for the next multiple of it
    dynamic      as streaming, but an idle server waits for the next frame where starting at once would end in a
                 later frame period than the job is long (the shrinking-tail rule of streaming perception:
                 with times in frame periods, wait if frac(s + r) < frac(s)); r is ``expected_ms``
    chunk_async  the first ``chunk_ms`` of a plan are driven; the next request starts once at most ``threshold``
                 of them is left, and its plan takes over no earlier than ``frozen_ms`` after its observation
                 (frozen prefix); the agent is shown the plan in use as ``pending``
    dual_rate    as streaming, but the answers guide a ``fast`` agent that plans anew at every frame, at once
    rtmdp        as fixed_delay, and the agent is shown the plans that will drive the car until its own
                 (``pending``: the one in use, then those in flight)
    ============ ===========================================================================================

    Args:
        expected_ms: what a request is expected to take (``dynamic`` and the waiting policy ``extrapolate``); 0 = the
            mean of the episode's published requests, nothing before the first.
    """

    name: ModeName = "streaming"
    depth: int = 3
    overflow: Overflow = "drop_oldest"
    period_ms: float = 200.0
    publish_ms: float = 0.0
    expected_ms: float = 0.0
    chunk_ms: float = 1000.0
    threshold: float = 0.5
    frozen_ms: float = 0.0
    fast: str = "idm"

    def __post_init__(self) -> None:
        if self.name not in get_args(ModeName):
            raise UnknownNameError("mode", self.name, get_args(ModeName))
        if self.overflow not in get_args(Overflow):
            raise UnknownNameError("overflow", self.overflow, get_args(Overflow))
        if int(self.depth) != self.depth or self.depth < 1:
            raise ParameterError(f"mode.depth must be a whole number of at least 1, got {self.depth}")
        if not 0.001 <= self.period_ms < float("inf"):
            raise ParameterError(f"mode.period_ms must be above 0, got {self.period_ms}")
        if not 0.0 <= self.publish_ms < float("inf"):
            raise ParameterError(
                f"mode.publish_ms must be at least 0 (0 = publish when finished), got {self.publish_ms}"
            )
        self._check_later()

    def _check_later(self) -> None:
        for name in ("expected_ms", "frozen_ms"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise ParameterError(f"mode.{name} must be a finite number of at least 0 ms, got {value}")
        if not 100.0 <= self.chunk_ms < float("inf"):
            raise ParameterError(f"mode.chunk_ms must be at least 100 ms (one frame), got {self.chunk_ms}")
        if not 0.0 <= self.threshold <= 1.0:
            raise ParameterError(f"mode.threshold must be a share from 0 to 1, got {self.threshold}")
        if self.name == "chunk_async" and self.frozen_ms > self.chunk_ms:
            raise ParameterError(
                f"mode.frozen_ms {self.frozen_ms} is longer than mode.chunk_ms {self.chunk_ms}: the plan before would have "
                "run out"
            )

    @property
    def pipelined(self) -> bool:
        """Whether any number of requests may be in flight."""
        return self.name in PIPELINED

    @property
    def capacity(self) -> int:
        """How many frames may wait while a job is in flight."""
        return self.depth if self.name == "queue" else 1

    @property
    def period_us(self) -> int:
        """Distance of the instants at which jobs may start; 0 = at any time."""
        return max(1, round(self.period_ms * 1000.0)) if self.name == "periodic" else 0

    @property
    def publish_us(self) -> int:
        """Distance from start to publication; 0 = published when finished."""
        return round(self.publish_ms * 1000.0) if self.name == "periodic" else 0

    @property
    def frozen_us(self) -> int:
        """Shortest time from an observation to the moment at which its plan takes over."""
        return round(self.frozen_ms * 1000.0) if self.name == "chunk_async" else 0

    @property
    def chunk_us(self) -> int:
        """How much of a plan is driven; 0 = all of it."""
        return round(self.chunk_ms * 1000.0) if self.name == "chunk_async" else 0

    @property
    def shows_pending(self) -> bool:
        """Whether the agent is shown the plans that drive the car until its own does."""
        return self.name in ("chunk_async", "rtmdp")

    def identity(self) -> dict[str, Any]:
        """Return plain data that is equal for equal modes; of a fast agent also what it is made of."""
        plain = Mode()
        given = {field.name: getattr(self, field.name) for field in fields(Mode)}
        kept = {key: value for key, value in given.items() if key in _ALWAYS or value != getattr(plain, key)}
        return kept | ({"fast": load_config("agent", self.fast)} if self.name == "dual_rate" else {})


def check_mode(value: Any) -> None:
    """Check that something can name a mode.

    Raises:
        ParameterError: if it is neither a name nor a mapping.
    """
    if not isinstance(value, str | Mapping):
        raise ParameterError(
            f"mode must be a name, e.g. streaming, or {{name: periodic, period_ms: 400}}, got {value!r}"
        )


def build_mode(value: str | Mapping[str, Any] | Mode) -> Mode:
    """Return the mode behind a name, or behind a mapping with ``name`` and its settings.

    Raises:
        UnknownNameError: if the name or a field does not exist.
        ParameterError: if a value is out of range.
    """
    if isinstance(value, Mode):
        return value
    check_mode(value)
    given = {"name": value} if isinstance(value, str) else {str(key): item for key, item in value.items()}
    allowed = [field.name for field in fields(Mode)]
    for key in given:
        if key not in allowed:
            raise UnknownNameError("field of mode", key, allowed)
    return Mode(**given)


@dataclass(frozen=True)
class LatencySetting:
    """All that decides when an agent's answers arrive and what the car does until then.

    ======================= ================================================================================
    follow_plan             the plan in the world frame, entered where the time since its observation says
    follow_plan_stale_frame the plan as if made for the pose and moment at which it takes over
    hold_control            the control asked for when the plan arrived
    extrapolate             as follow_plan, but the agent is shown the ego where it is expected to be by then
    ======================= ================================================================================

    ``aeb_monitor`` is a safety brake at sensor rate beside any of them.
    """

    source: LatencySource
    mode: Mode = Mode()
    waiting: Waiting = "follow_plan"
    aeb_monitor: bool = False
    deadline: Deadline | None = None
    device: DeviceSpec | None = None

    def __post_init__(self) -> None:
        if self.waiting not in get_args(Waiting):
            raise UnknownNameError("waiting policy", self.waiting, get_args(Waiting))
        if self.mode.name == "dual_rate" and self.waiting not in ("follow_plan", "extrapolate"):
            raise ParameterError(
                f"mode dual_rate cannot wait by {self.waiting}: its fast agent plans anew at every frame; use follow_plan "
                "or extrapolate"
            )
        if self.deadline is not None and self.deadline.miss == "skip_next" and self.mode.name in PIPELINED[1:]:
            raise ParameterError(
                f"mode {self.mode.name} starts a request at every frame, so there is no next one to skip; use another "
                "deadline.miss or mode"
            )
        if self.device is not None and self.mode.name in PIPELINED[1:]:
            raise ParameterError(
                f"mode {self.mode.name} has unlimited throughput, so it cannot share a device; leave latency.device out or "
                "use a mode with one job in flight, e.g. streaming"
            )

    @property
    def immediate(self) -> bool:
        """Whether every frame is answered at once and plans are followed: mode zero, and all that comes to the same."""
        instant = (
            isinstance(self.source, Constant)
            and self.source.delay_ms == 0.0
            and self.mode.name in ("fixed_delay", "streaming", "queue")
            and self.device is None
        )
        plain = self.waiting == "follow_plan" and not self.aeb_monitor and self.deadline is None
        return (self.mode.name == "zero" or instant) and plain

    def identity(self) -> dict[str, Any]:
        """Return plain data that is equal for equal settings; part of the key of every episode."""
        zero = self.mode.name == "zero"
        source = {} if zero else self.source.identity()
        plain = {
            "source": source, "mode": self.mode.identity(), "waiting": self.waiting, "aeb_monitor": self.aeb_monitor,
        }  # fmt: skip
        if self.deadline is not None and not zero:
            plain["deadline"] = self.deadline.identity()
        if self.device is not None and not zero:
            plain["device"] = self.device.identity()
        return plain
