"""What is known about a case before any agent drives it: avoidable or not, and how far the expert gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simdrive.build import build
from simdrive.eval.episode import EpisodeInput
from simdrive.eval.rollout import rollout
from simdrive.latency.modes import LatencySetting, Mode
from simdrive.latency.source import Constant
from simdrive.scenarios.sampling import build_case
from simdrive.sim.search import find_avoidable
from simdrive.sim.tracker import TrackerLimits
from simdrive.types import Case, EndReason

_BATCH = 64
ZERO_LATENCY = LatencySetting(Constant(0.0), Mode("zero"))


@dataclass(frozen=True)
class CaseReference:
    """Facts of one case that every agent is measured against."""

    case: Case
    avoidable: bool
    hazard_us: int  # the hazard first existed and was in line of sight; -1 = never
    expert_progress_m: float  # along the route, at zero latency
    valid: bool  # False: a crash among others blocks even the expert, so the case is unusable


def references(
    cases: Sequence[Case],
    *,
    expert: str = "expert",
    frequency_hz: int = 50,
    limits: TrackerLimits = TrackerLimits(),  # noqa: B008 - frozen
) -> list[CaseReference]:
    """Return the references of cases in the given order; one does not depend on the others.

    Raises:
        UnknownNameError: if a scenario, parameter or the expert does not exist.
        ParameterError: if a parameter is out of range.
    """
    found: list[CaseReference] = []
    for start in range(0, len(cases), _BATCH):
        found += _references(cases[start : start + _BATCH], expert, frequency_hz, limits)
    return found


def _references(cases: Sequence[Case], expert: str, frequency_hz: int, limits: TrackerLimits) -> list[CaseReference]:
    specs = [build_case(case) for case in cases]
    searched = find_avoidable(specs, limits, frequency_hz)
    episodes = [
        EpisodeInput(case, spec, found.avoidable, found.hazard_us)
        for case, spec, found in zip(cases, specs, searched, strict=True)
    ]
    logs = rollout(episodes, build("agent", expert), ZERO_LATENCY, frequency_hz=frequency_hz, limits=limits)
    return [
        CaseReference(
            case=log.case,
            avoidable=log.avoidable,
            hazard_us=log.hazard_us,
            expert_progress_m=float(log.route_s[-1]) - log.route_start_s,
            valid=log.end != EndReason.BLOCKED,
        )
        for log in logs
    ]


def episode_input(reference: CaseReference) -> EpisodeInput:
    """Build the world of a referenced case, ready to be driven."""
    return EpisodeInput(
        reference.case,
        build_case(reference.case),
        reference.avoidable,
        reference.hazard_us,
        reference.expert_progress_m,
    )
