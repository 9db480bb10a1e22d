"""Failures of a run by kind of situation: its scenarios, the codes of public taxonomies, Bench2Drive's five abilities."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from simdrive.build import build
from simdrive.errors import UnknownNameError
from simdrive.eval.stats import Interval, wilson
from simdrive.eval.summary import counted
from simdrive.scenarios.taxonomy import VOCABULARIES, describe_tag

ABILITY, SCENARIO = "ability", "scenario"
KINDS = (SCENARIO, ABILITY, *VOCABULARIES)
NONE = "(no code)"
# Which scenario types ask for which ability: Bench2Drive, tools/ability_benchmark.py at 2dafce5, in the spelling of its paper.
_OVERTAKING = """Accident AccidentTwoWays ConstructionObstacle ConstructionObstacleTwoWays HazardAtSideLaneTwoWays
HazardAtSideLane ParkedObstacleTwoWays ParkedObstacle VehicleOpensDoorTwoWays"""
_MERGING = """CrossingBicycleFlow EnterActorFlow HighwayExit InterurbanActorFlow HighwayCutIn InterurbanAdvancedActorFlow
MergerIntoSlowTrafficV2 MergerIntoSlowTraffic NonSignalizedJunctionLeftTurn NonSignalizedJunctionRightTurn
NonSignalizedJunctionLeftTurnEnterFlow ParkingExit SequentialLaneChange SignalizedJunctionLeftTurn SignalizedJunctionRightTurn
SignalizedJunctionLeftTurnEnterFlow"""
_EMERGENCY = """BlockedIntersection DynamicObjectCrossing HardBreakRoute OppositeVehicleTakingPriority
OppositeVehicleRunningRedLight ParkingCutIn PedestrianCrossing ParkingCrossingPedestrian StaticCutIn VehicleTurningRoute
VehicleTurningRoutePedestrian ControlLoss"""
_GIVE_WAY = "InvadingTurn YieldToEmergencyVehicle"
_SIGNS = """BlockedIntersection OppositeVehicleTakingPriority OppositeVehicleRunningRedLight PedestrianCrossing
VehicleTurningRoute VehicleTurningRoutePedestrian EnterActorFlow CrossingBicycleFlow NonSignalizedJunctionLeftTurn
NonSignalizedJunctionRightTurn NonSignalizedJunctionLeftTurnEnterFlow SignalizedJunctionLeftTurn SignalizedJunctionRightTurn
SignalizedJunctionLeftTurnEnterFlow T_Junction VanillaNonSignalizedTurn VanillaSignalizedTurnEncounterGreenLight
VanillaSignalizedTurnEncounterRedLight VanillaNonSignalizedTurnEncounterStopsign"""
ABILITIES = {
    "overtaking": _OVERTAKING.split(), "merging": _MERGING.split(), "emergency brake": _EMERGENCY.split(),
    "give way": _GIVE_WAY.split(), "traffic signs": _SIGNS.split(),
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """Failures of one agent under one setting in one kind of situation; ``scored`` avoidable cases."""

    label: str
    agent: str
    latency: str
    failures: int
    scored: int

    @property
    def interval(self) -> Interval:
        """Failure rate with its Wilson 95 % interval."""
        return wilson(self.failures, self.scored)


def breakdown(episodes: pd.DataFrame, by: str) -> list[Part]:
    """Return failures by kind of situation; a scenario with several codes counts under each of them.

    Args:
        episodes: of a run, with ``failure``.
        by: ``scenario``, ``ability``, or a taxonomy.

    Raises:
        UnknownNameError: if ``by`` is none of ``KINDS``.
    """
    if by not in KINDS:
        raise UnknownNameError("kind of situation", by, KINDS)
    frame = counted(episodes)
    frame = frame[frame["failure"].notna()]
    labels = {name: labels_of(name, by) for name in frame["scenario"].unique()}
    order = sorted(
        {label for found in labels.values() for label in found}, key=lambda label: (label == NONE, _place(label, by))
    )
    return [
        part for label in order for part in _parts(frame[[label in labels[name] for name in frame["scenario"]]], label)
    ]


def _place(label: str, by: str) -> tuple[int, str]:
    known = list(ABILITIES) if by == ABILITY else list(VOCABULARIES.get(by, ()))
    code = label.partition(" ")[0]
    return next((place for place, name in enumerate(known) if name in (label, code)), len(known)), label


def _parts(frame: pd.DataFrame, label: str) -> Iterator[Part]:
    for (agent, latency), group in frame.groupby(["agent", "latency"], sort=False):
        yield Part(label, str(agent), str(latency), int((group["failure"] > 0.0).sum()), len(group))


@functools.lru_cache(maxsize=512)
def labels_of(scenario: str, by: str) -> tuple[str, ...]:
    """Return under which labels a scenario counts; ``NONE`` if it has no code of that kind."""
    if by == SCENARIO:
        return (scenario,)
    tags = build("scenario", scenario).tags
    taxonomy = "bench2drive" if by == ABILITY else by
    codes = [tag.partition(":")[2] for tag in tags if tag.startswith(f"{taxonomy}:")]
    if by == ABILITY:
        return tuple(name for name, types in ABILITIES.items() if set(codes) & set(types)) or (NONE,)
    return tuple(_named(taxonomy, code) for code in codes) or (NONE,)


def _named(taxonomy: str, code: str) -> str:
    meaning = describe_tag(f"{taxonomy}:{code}")
    return code if meaning == code else f"{code} {meaning}"
