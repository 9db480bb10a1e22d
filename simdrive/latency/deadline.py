"""Deadlines of requests: when an answer counts as late, and what is done about it.

A deadline runs from the observation, so waiting for the chip counts. Publishing exactly at it is in time. An answer that
failed (no plan) is a miss as soon as that is known. Frames that never became a request are drops, not misses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.types import RequestStatus

if TYPE_CHECKING:
    from simdrive.latency.scheduler import Request

Miss = Literal["use_late", "discard_late", "skip_next", "early_exit", "fallback_plan"]
Emergency = Literal["", "fallback", "mrm"]
MRM_RANGE_MPS2 = (2.0, 4.0)


@dataclass(frozen=True)
class Deadline:
    """When answers are due, and what a late one means.

    ============= ==========================================================================================
    use_late      a late plan takes over when it comes
    discard_late  a late plan is never used
    skip_next     a late plan is used, and the frame that would have started next is skipped (the server catches up)
    early_exit    the agent is told how many output tokens fit before the deadline; a plan that is late anyway is used
    fallback_plan at the deadline the car follows its lane and slows down gently until a plan comes, late or not
    ============= ==========================================================================================

    Args:
        ms: time from the observation to the publication of its plan.
        miss: what is done when that is exceeded.
        mrm_after: after so many misses in a row the car brakes in its lane (minimum-risk manoeuvre) until a plan comes in
            time; a plan driven past its horizon brakes as hard. 0 = never.
        mrm_braking_mps2: how hard, 2 to 4 m/s2.
        fallback_braking_mps2: of ``fallback_plan``; 0 = hold the speed.
    """

    ms: float
    miss: Miss = "use_late"
    mrm_after: int = 0
    mrm_braking_mps2: float = 3.0
    fallback_braking_mps2: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.ms, bool) or not (math.isfinite(self.ms) and self.ms >= 0.001):
            raise ParameterError(f"deadline.ms must be a finite time above 0, got {self.ms}")
        if self.miss not in get_args(Miss):
            raise UnknownNameError("deadline-miss policy", self.miss, get_args(Miss))
        if int(self.mrm_after) != self.mrm_after or self.mrm_after < 0:
            raise ParameterError(f"deadline.mrm_after must be a whole number of at least 0, got {self.mrm_after}")
        low, high = MRM_RANGE_MPS2
        if not low <= self.mrm_braking_mps2 <= high:
            raise ParameterError(
                f"deadline.mrm_braking_mps2 must be from {low} to {high} m/s2, got {self.mrm_braking_mps2}"
            )
        if not 0.0 <= self.fallback_braking_mps2 <= high:
            raise ParameterError(
                f"deadline.fallback_braking_mps2 must be from 0 to {high} m/s2, got {self.fallback_braking_mps2}"
            )

    @property
    def us(self) -> int:
        """The time in microseconds."""
        return round(self.ms * 1000.0)

    def identity(self) -> dict[str, Any]:
        """Return plain data that is equal for equal deadlines."""
        return asdict(self)


def build_deadline(value: float | Mapping[str, Any] | Deadline | None) -> Deadline | None:
    """Return the deadline behind a time in ms or a mapping with ``ms`` and its settings; None stays None.

    Raises:
        UnknownNameError: if a field or policy does not exist.
        ParameterError: if ``ms`` is missing or a value is out of range.
    """
    if value is None or isinstance(value, Deadline):
        return value
    if not isinstance(value, Mapping):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ParameterError(f"deadline must be a time in ms, or a mapping such as {{ms: 300}}, got {value!r}")
        return Deadline(float(value))
    allowed = [field.name for field in fields(Deadline)]
    for key in value:
        if key not in allowed:
            raise UnknownNameError("field of deadline", str(key), allowed)
    if "ms" not in value:
        raise ParameterError("deadline needs ms, the time from observation to plan, e.g. deadline={ms: 300}")
    return Deadline(**{str(key): item for key, item in value.items()})


class Watch:
    """The deadlines of one episode.

    Attributes:
        emergency: what the car does for want of a plan: nothing, ``fallback`` or ``mrm``.
        to_skip: frames that are still to be skipped.
    """

    def __init__(self, deadline: Deadline) -> None:
        """Start with no misses."""
        self.emergency: Emergency = ""
        self.to_skip = 0
        self._deadline, self._in_a_row = deadline, 0

    def set(self, request: Request) -> None:
        """Write down when the answer to a request that starts is due."""
        request.deadline_us = request.t_obs_us + self._deadline.us

    @staticmethod
    def due_us(flying: Sequence[Request], never: int) -> int:
        """Return the next deadline that may pass; one that passed before its request started counts at the start."""
        open_ = (max(request.deadline_us, request.t_start_us) for request in flying if not request.missed)
        return min(open_, default=never)

    def pass_until(self, flying: Sequence[Request], now_us: int) -> None:
        """Count the requests in flight whose deadlines have passed; what publishes at this moment is out already."""
        for request in flying:
            if not request.missed and request.deadline_us <= now_us:
                self._count(request)

    def may_use(self, request: Request, newer: bool) -> bool:
        """Tell whether the plan of a request that publishes now may drive the car; ``newer`` than the one that does."""
        if request.t_publish_us > request.deadline_us and not request.missed:
            self._count(request)
        if request.status is not RequestStatus.OK:
            if not request.missed:
                self._count(request)
            return False
        if not request.missed:
            self._in_a_row = 0
        elif not self._late(request):
            return False
        if newer:
            self.emergency = ""
        return newer

    def _late(self, request: Request) -> bool:
        """Tell whether a late plan is used."""
        policy = self._deadline.miss
        if policy == "skip_next":
            self.to_skip += 1
        if self.emergency == "mrm":
            return False
        if policy == "discard_late":
            request.branch = "discarded"
            return False
        request.branch = request.branch or ("used_late_skips_next" if policy == "skip_next" else "used_late")
        return True

    def _count(self, request: Request) -> None:
        request.missed = True
        self._in_a_row += 1
        if self._deadline.mrm_after and self._in_a_row >= self._deadline.mrm_after:
            self.emergency = "mrm"
            request.branch = "mrm"
        elif self._deadline.miss == "fallback_plan":
            self.emergency = "fallback"
            request.branch = "fallback"
