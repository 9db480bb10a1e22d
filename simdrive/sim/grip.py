"""What slick ground does to the ego: its tyres hold only friction x 9.81 m/s2 in all directions together.

The friction circle (Rajamani: Vehicle Dynamics and Control, 2011, chapter 13): the acceleration along and the one
across that a control asks for, ``a`` and ``v**2 * curvature``, form one vector, and where it is longer than the tyres
hold it is made that long, its direction kept. So braking in a bend costs steering, as it does on the road. Nothing
slides beyond that: the vehicle does not spin, and the wheel angle that is applied is the one that a car with full hold
would need for the bend that is left. The kernels get controls that the ground allows and know nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

import numpy as np

from simdrive.errors import ParameterError
from simdrive.sim.spec import Slick, WorldSpec
from simdrive.sim.state import Bool, Float
from simdrive.types import Long

GRAVITY_MPS2 = 9.81
SIGHT_M = 100.0  # slick ground that begins further ahead is not in view


def check_slicks(slicks: Sequence[Slick]) -> None:
    """Check the slick stretches of one world.

    Raises:
        ParameterError: naming the stretch and what is wrong with it.
    """
    for number, slick in enumerate(slicks):
        where = f"slicks[{number}]"
        if not (isfinite(slick.start_m) and isfinite(slick.end_m) and slick.start_m < slick.end_m):
            raise ParameterError(
                f"{where} reaches from start_m {slick.start_m} to end_m {slick.end_m}; "
                "both must be finite, and the start before the end"
            )
        if not 0.0 < slick.friction <= 1.0:
            raise ParameterError(f"{where}: friction is {slick.friction}; allowed: above 0, at most 1")
    order = sorted(range(len(slicks)), key=lambda number: slicks[number].start_m)
    for before, after in pairwise(order):
        if slicks[before].end_m > slicks[after].start_m:
            raise ParameterError(
                f"slicks[{before}] ends at {slicks[before].end_m} m and slicks[{after}] starts at "
                f"{slicks[after].start_m} m; they must not overlap"
            )


@dataclass(frozen=True)
class Grip:
    """The slick stretches of a batch, ``[B, K]``, NaN where a world has fewer; holds nothing that changes."""

    start_m: Float
    end_m: Float
    hold_mps2: Float

    def held(self, controls: Float, active: Bool, route_s: Float, speed: Float, length: Float) -> Float:
        """Return the controls that the ground allows in this tick.

        Args:
            controls: ``[B, 2]`` acceleration (m/s2) and front-wheel steering (rad) asked for.
            active: ``[B]`` worlds that move; the controls of others are not looked at.
            route_s: ``[B]`` where the egos are along their routes, m.
            speed: ``[B]`` m/s.
            length: ``[B]`` of the egos, m.

        Returns:
            ``[B, 2]``; ``controls`` itself if nothing has to give way, else a copy in which only those rows differ.
        """
        here = (self.start_m <= route_s[:, None]) & (route_s[:, None] < self.end_m)
        rows = np.flatnonzero(active & here.any(axis=1))
        if not len(rows):
            return controls
        hold = self.hold_mps2[rows, here[rows].argmax(axis=1)]
        along, steering = controls[rows, 0], controls[rows, 1]
        slip_sine = np.sin(np.arctan(0.5 * np.tan(steering)))  # of highway-env's kinematic bicycle
        across = speed[rows] ** 2 * 2.0 * slip_sine / length[rows]
        wanted = np.hypot(along, across)
        over = wanted > hold
        if not over.any():
            return controls
        share = hold[over] / wanted[over]
        allowed = controls.copy()
        allowed[rows[over], 0] = along[over] * share
        allowed[rows[over], 1] = np.arctan(2.0 * np.tan(np.arcsin(slip_sine[over] * share)))
        return allowed


def slicks_in_view(grip: Grip | None, rows: Long, route_s: Float) -> Float | None:
    """Return the slick ground ``[N, K, 3]`` that the egos of the worlds ``rows`` [N] can see, as in ``WorldView``.

    Args:
        grip: of the batch; None = there is none.
        rows: which worlds.
        route_s: ``[N]`` where their egos are, m.
    """
    if grip is None:
        return None
    found = np.stack([grip.start_m[rows], grip.end_m[rows], grip.hold_mps2[rows]], axis=2)
    ahead = (found[:, :, 0] <= route_s[:, None] + SIGHT_M) & (found[:, :, 1] >= route_s[:, None])
    found[~ahead] = np.nan
    return found


def grip_of(specs: Sequence[WorldSpec]) -> Grip | None:
    """Return what limits the egos of some worlds, None if there is no slick ground in any."""
    most = max((len(spec.slicks) for spec in specs), default=0)
    if not most:
        return None
    table = np.full((3, len(specs), most), np.nan)
    for row, spec in enumerate(specs):
        for column, slick in enumerate(spec.slicks):
            table[:, row, column] = slick.start_m, slick.end_m, slick.friction * GRAVITY_MPS2
    return Grip(*table)
