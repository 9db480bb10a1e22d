"""Codes that other test programmes use for the same situations, so that results can be compared with theirs.

A tag is ``"<taxonomy>:<code>"``. Sources: the 44 scenario types of Bench2Drive (arXiv 2406.03877, from the CARLA
leaderboard 2.0), the 37 pre-crash scenarios of NHTSA (DOT HS 810 767), the three scenario types of UN Regulation
No. 157 (Annex 4, Appendix 3), and the scenario names of the Euro NCAP crash avoidance protocols.
"""

from __future__ import annotations

from simdrive.errors import ParameterError, UnknownNameError

_BENCH2DRIVE = """
Accident AccidentTwoWays ConstructionObstacle ConstructionObstacleTwoWays ParkedObstacle ParkedObstacleTwoWays
HazardAtSideLane HazardAtSideLaneTwoWays VehicleOpensDoorTwoWays HighwayCutIn HighwayExit ParkingCutIn StaticCutIn
ParkingExit MergerIntoSlowTraffic MergerIntoSlowTrafficV2 InterurbanActorFlow InterurbanAdvancedActorFlow
EnterActorFlow SequentialLaneChange HardBreakRoute InvadingTurn BlockedIntersection OppositeVehicleTakingPriority
OppositeVehicleRunningRedLight YieldToEmergencyVehicle NonSignalizedJunctionLeftTurn NonSignalizedJunctionRightTurn
NonSignalizedJunctionLeftTurnEnterFlow T_Junction VanillaNonSignalizedTurn SignalizedJunctionLeftTurn
SignalizedJunctionRightTurn SignalizedJunctionLeftTurnEnterFlow VanillaSignalizedTurnEncounterGreenLight
VanillaSignalizedTurnEncounterRedLight VanillaNonSignalizedTurnEncounterStopsign DynamicObjectCrossing
PedestrianCrossing ParkingCrossingPedestrian VehicleTurningRoute VehicleTurningRoutePedestrian CrossingBicycleFlow
ControlLoss
"""

_NHTSA = """
vehicle failure
control loss with prior vehicle action
control loss without prior vehicle action
running red light
running stop sign
road edge departure with prior vehicle manoeuvre
road edge departure without prior vehicle manoeuvre
road edge departure while backing up
animal crash with prior vehicle manoeuvre
animal crash without prior vehicle manoeuvre
pedestrian crash with prior vehicle manoeuvre
pedestrian crash without prior vehicle manoeuvre
pedalcyclist crash with prior vehicle manoeuvre
pedalcyclist crash without prior vehicle manoeuvre
backing up into another vehicle
vehicles turning, same direction
vehicles parking, same direction
vehicles changing lanes, same direction
vehicles drifting, same direction
vehicles making a manoeuvre, opposite direction
vehicles not making a manoeuvre, opposite direction
following vehicle making a manoeuvre
lead vehicle accelerating
lead vehicle moving at lower constant speed
lead vehicle decelerating
lead vehicle stopped
left turn across path from opposite directions at signalised junctions
vehicle turning right at signalised junctions
left turn across path from opposite directions at non-signalised junctions
straight crossing paths at non-signalised junctions
vehicles turning at non-signalised junctions
evasive action with prior vehicle manoeuvre
evasive action without prior vehicle manoeuvre
non-collision incident
object crash with prior vehicle manoeuvre
object crash without prior vehicle manoeuvre
other
"""

_EURO_NCAP = {
    "CCRs": "car to car rear, stationary",
    "CCRm": "car to car rear, moving",
    "CCRb": "car to car rear, braking",
    "CCFtap": "car to car front, turn across path",
    "CCFhos": "car to car front, head-on straight",
    "CCFhol": "car to car front, head-on lane change",
    "CCCscp": "car to car crossing, straight crossing path",
    "CMRs": "car to motorcyclist rear, stationary",
    "CMRb": "car to motorcyclist rear, braking",
    "CMFtap": "car to motorcyclist front, turn across path",
    "CMCscp": "car to motorcyclist crossing, straight crossing path",
    "CPFA": "car to pedestrian, farside adult",
    "CPNA": "car to pedestrian, nearside adult",
    "CPNCO": "car to pedestrian, nearside child obstructed",
    "CPLA": "car to pedestrian, longitudinal adult",
    "CPTA": "car to pedestrian, turning adult",
    "CPRA": "car to pedestrian, reverse adult",
    "CBNA": "car to bicyclist, nearside adult",
    "CBNAO": "car to bicyclist, nearside adult obstructed",
    "CBFA": "car to bicyclist, farside adult",
    "CBLA": "car to bicyclist, longitudinal adult",
    "CBTA": "car to bicyclist, turning adult",
}

_R157 = {
    "cut-in": "another vehicle enters the lane ahead",
    "cut-out": "the vehicle ahead leaves the lane and reveals an obstacle",
    "deceleration": "the vehicle ahead brakes",
}

VOCABULARIES: dict[str, dict[str, str]] = {
    "bench2drive": {name: name for name in _BENCH2DRIVE.split()},
    "nhtsa": {str(number): name for number, name in enumerate(_NHTSA.strip().splitlines(), start=1)},
    "r157": _R157,
    "euro_ncap": _EURO_NCAP,
}


def describe_tag(tag: str) -> str:
    """Return what the code of a tag stands for.

    Raises:
        ParameterError: if the tag is not ``"<taxonomy>:<code>"``.
        UnknownNameError: if taxonomy or code is unknown.
    """
    taxonomy, colon, code = tag.partition(":")
    if not colon:
        raise ParameterError(f"tag {tag!r} must read <taxonomy>:<code>, e.g. r157:cut-in")
    if taxonomy not in VOCABULARIES:
        raise UnknownNameError("taxonomy", taxonomy, VOCABULARIES)
    if code not in VOCABULARIES[taxonomy]:
        raise UnknownNameError(f"{taxonomy} code", code, VOCABULARIES[taxonomy])
    return VOCABULARIES[taxonomy][code]
