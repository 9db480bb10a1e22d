"""What is known about a case before any agent drives it: avoidable or not, and how far the expert gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from simdrive.build import build
from simdrive.eval.episode import EpisodeInput
from simdrive.eval.prepared import started, world_of
from simdrive.eval.rollout import rollout
from simdrive.latency.modes import LatencySetting, Mode
from simdrive.latency.source import Constant
from simdrive.sim.search import search
from simdrive.sim.spec import WorldSpec
from simdrive.sim.tracker import TrackerLimits
from simdrive.types import Case, EndReason, EpisodeLog

EXPERT = "expert"  # whose progress is the yardstick
_BATCH = 256
ZERO_LATENCY = LatencySetting(Constant(0.0), Mode("zero"))


@dataclass(frozen=True)
class CaseReference:
    """Facts of one case that every agent is measured against."""

    case: Case
    avoidable: bool
    hazard_us: int  # the hazard first existed and was in line of sight; -1 = never
    expert_progress_m: float  # along the route, at zero latency; 0 where no progress is asked for
    valid: bool  # False: a crash among others blocks even the expert, so the case is unusable


def references(
    cases: Sequence[Case],
    *,
    expert: str = EXPERT,
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
        part = settled(cases[start : start + _BATCH], expert, frequency_hz, limits)
        found += [reference for reference, _ in part]
    return found


def settled(
    cases: Sequence[Case],
    expert: str = EXPERT,
    frequency_hz: int = 50,
    limits: TrackerLimits = TrackerLimits(),  # noqa: B008 - frozen
) -> list[tuple[CaseReference, EpisodeLog | None]]:
    """Return each reference, with the expert's episode where that had to be driven."""
    needed = [_needs_expert(world_of(case)) for case in cases]
    idle = tuple(case for case, needs in zip(cases, needed, strict=True) if not needs)
    driving = [case for case, needs in zip(cases, needed, strict=True) if needs]
    driven = iter(reference_drives(driving, expert, frequency_hz, limits))
    known = iter(search(started(idle, frequency_hz), limits) if idle else ())
    found: list[tuple[CaseReference, EpisodeLog | None]] = []
    for case, needs in zip(cases, needed, strict=True):
        if needs:
            found.append(next(driven))
        else:
            fact = next(known)
            found.append((CaseReference(case, fact.avoidable, fact.hazard_us, 0.0, valid=True), None))
    return found


def _needs_expert(spec: WorldSpec) -> bool:
    """Whether only a drive tells how far one gets, or whether a crash among others blocks the way."""
    return spec.progress_asked or len(spec.actors) > 1


def reference_drives(
    cases: Sequence[Case],
    expert: str = EXPERT,
    frequency_hz: int = 50,
    limits: TrackerLimits = TrackerLimits(),  # noqa: B008 - frozen
) -> list[tuple[CaseReference, EpisodeLog]]:
    """Return each reference with the expert's episode behind it, which is its episode under any setting that is
    ``immediate``.
    """
    chosen = tuple(cases)
    if not chosen:
        return []
    episodes = [
        EpisodeInput(case, world_of(case), found.avoidable, found.hazard_us)
        for case, found in zip(chosen, search(started(chosen, frequency_hz), limits), strict=True)
    ]
    logs = rollout(
        episodes, build("agent", expert), ZERO_LATENCY, frequency_hz=frequency_hz, limits=limits,
        worlds=started(chosen, frequency_hz),
    )  # fmt: skip
    return [_reference(log) for log in logs]


def _reference(log: EpisodeLog) -> tuple[CaseReference, EpisodeLog]:
    progress_m = float(log.route_s[-1]) - log.route_start_s if world_of(log.case).progress_asked else 0.0
    valid = log.end != EndReason.BLOCKED
    reference = CaseReference(log.case, log.avoidable, log.hazard_us, progress_m, valid)
    return reference, replace(log, expert_progress_m=progress_m)


def episode_input(reference: CaseReference) -> EpisodeInput:
    """Build the world of a referenced case, ready to be driven."""
    return EpisodeInput(
        reference.case,
        world_of(reference.case),
        reference.avoidable,
        reference.hazard_us,
        reference.expert_progress_m,
    )
