"""How requests are scheduled on the clock, and what drives the car meanwhile: the settings, checked once.

Two independent axes. The mode decides which frames become requests and when they start; the waiting policy
decides what the car does until an answer arrives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.latency.source import Constant, LatencySource

ModeName = Literal["zero", "fixed_delay", "streaming", "queue", "periodic"]
Overflow = Literal["drop_oldest", "drop_newest"]
Waiting = Literal["follow_plan", "hold_control"]


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
    ============ ===========================================================================================
    """

    name: ModeName = "streaming"
    depth: int = 3
    overflow: Overflow = "drop_oldest"
    period_ms: float = 200.0
    publish_ms: float = 0.0

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

    @property
    def pipelined(self) -> bool:
        """Whether any number of requests may be in flight."""
        return self.name in ("zero", "fixed_delay")

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


def build_mode(value: str | Mapping[str, Any] | Mode) -> Mode:
    """Return the mode behind a name, or behind a mapping with ``name`` and its settings.

    Raises:
        UnknownNameError: if the name or a field does not exist.
        ParameterError: if a value is out of range.
    """
    if isinstance(value, Mode):
        return value
    given = {"name": value} if isinstance(value, str) else {str(key): item for key, item in value.items()}
    allowed = [field.name for field in fields(Mode)]
    for key in given:
        if key not in allowed:
            raise UnknownNameError("field of mode", key, allowed)
    return Mode(**given)


@dataclass(frozen=True)
class LatencySetting:
    """All that decides when an agent's answers arrive and what the car does until then."""

    source: LatencySource
    mode: Mode = Mode()
    waiting: Waiting = "follow_plan"
    aeb_monitor: bool = False

    def __post_init__(self) -> None:
        if self.waiting not in get_args(Waiting):
            raise UnknownNameError("waiting policy", self.waiting, get_args(Waiting))

    @property
    def immediate(self) -> bool:
        """Whether every frame is answered at once and plans are followed: mode zero, and all that comes to the same."""
        instant = isinstance(self.source, Constant) and self.source.delay_ms == 0.0 and self.mode.name != "periodic"
        return (self.mode.name == "zero" or instant) and self.waiting == "follow_plan" and not self.aeb_monitor

    def identity(self) -> dict[str, Any]:
        """Return plain data that is equal for equal settings; part of the key of every episode."""
        mode = {field.name: getattr(self.mode, field.name) for field in fields(Mode)}
        source = {} if self.mode.name == "zero" else self.source.identity()
        return {"source": source, "mode": mode, "waiting": self.waiting, "aeb_monitor": self.aeb_monitor}
