"""Facts of the protocol that the worlds are built from: targets, distances, the moment at which a test begins.

Sources: [P] Euro NCAP, Crash Avoidance Frontal Collisions protocol, version 1.1 (implementation January 2026);
[V] the public OpenSCENARIO version of it, github.com/vectorgrp/OSC-NCAP-scenarios at ee7aa11 (2026): sizes of the
targets, reference points, distances and radii are its parameter values. Heights of two-wheelers are with their rider
(ISO 19206-4 and -5), because the camera sees the rider.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.sim.state import Shape

TICK_S = 0.02  # worlds of the protocol are synchronised for 50 Hz
T0_S = 4.0  # [P] a test begins at a time to collision of 4 s
LANE_M = 3.5  # [P]
CORNER_M = 8.0  # [P] radius of the kerb of the crossing
ARM_M = 340.0  # of a crossing road: the slowest cyclist takes 15 s from its start to the impact, at 60 km/h of the ego
PENETRATION_M = 0.002  # how deep the boxes overlap on the tick of the impact, so that rounding cannot part them


@dataclass(frozen=True)
class Target:
    """What is hit: box and the point of it that the impact location speaks of."""

    shape: Shape
    length_m: float
    width_m: float
    height_m: float
    reference_m: float = 0.0  # ahead of the middle of the box


CAR = Target(Shape.CAR, 4.023, 1.712, 1.427)
MOTORCYCLE = Target(Shape.MOTORCYCLE, 2.08, 0.79, 1.5)
ADULT = Target(Shape.PEDESTRIAN, 0.6, 0.5, 1.8, 0.3 - 0.36)
CHILD = Target(Shape.PEDESTRIAN, 0.711, 0.298, 1.154, 0.3555 - 0.396)
BICYCLE = Target(Shape.CYCLIST, 1.89, 0.5, 1.86, 0.62 - 0.605)
SMALL_CAR = Target(Shape.CAR, 4.316, 1.79, 1.48)  # obstruction vehicles
LARGE_CAR = Target(Shape.CAR, 4.418, 1.82, 1.533)


@dataclass(frozen=True)
class StatedImpact:
    """Where a target is hit if nobody reacts: a point of the target, and where on the ego it lies at first contact.

    On the front: ``at_m`` to the right of the middle of the ego. On a side: ``at_m`` behind its front.
    """

    face: str  # front or side
    at_m: float
    ahead_m: float  # the point of the target, ahead of the middle of its box
    right_m: float  # and to the right of it


def across_m(location_pct: float, width_m: float) -> float:
    """Return how far right of the middle of a car of ``width_m`` an impact location lies.

    The location counts in percent of the width from the nearside (right-hand traffic: right) edge; it may lie
    outside the car, where only a part of the target is hit.
    """
    return (0.5 - location_pct / 100.0) * width_m


def known(kind: str, facts: Mapping[str, object]) -> str:
    """Return ``kind`` if the facts have it.

    Raises:
        UnknownNameError: if not.
    """
    if kind not in facts:
        raise UnknownNameError("Euro NCAP scenario of this family", kind, facts)
    return kind


def check_closing(name: str, ego_kph: float, target_kph: float) -> None:
    """Refuse a target that is as fast as the ego or faster: nobody would ever hit it.

    Raises:
        ParameterError: naming both speeds.
    """
    if target_kph >= ego_kph:
        raise ParameterError(
            f"{name}: a target at {target_kph:g} km/h is never reached by an ego at {ego_kph:g} km/h; "
            "choose target_speed_kph below ego_speed_kph"
        )
