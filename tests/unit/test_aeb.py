from __future__ import annotations

import math

import numpy as np
import pytest

from simdrive.sim.aeb import aeb_monitor, time_to_contact

V = 15.0
BRAKING, REACTION = 8.0, 0.3


def monitor(actors: list[tuple[float, ...]], speed: float = V, curvature: float = 0.0, was: bool = False) -> bool:
    """Ego at the origin heading +x; actors are (x, y, heading, speed, lateral speed, length, width, seen)."""
    rows = np.array([(0.0, 0.0, 0.0, speed, 0.0, 4.6, 1.85, 1.0), *actors]).T[:, None, :].copy()
    out = np.zeros(1, np.bool_)
    aeb_monitor(*rows[:7], rows[7] > 0, np.array([curvature]), np.array([was]), BRAKING, REACTION, out)
    return bool(out[0])


def car(x: float, y: float = 0.0, speed: float = 0.0, heading: float = 0.0, seen: bool = True) -> tuple[float, ...]:
    return (x, y, heading, speed, 0.0, 4.6, 1.85, float(seen))


def test_time_to_contact_of_a_standing_car() -> None:
    time, closing = time_to_contact(V, 0.0, 4.6, 1.85, 4.6 + 15.1, 0.0, 0.0, 0.0, 0.0, 4.6, 1.85)
    assert time == pytest.approx(1.1)  # 15.1 m at 15 m/s, on a grid of 0.1 s
    assert closing == V
    assert time_to_contact(V, 0.0, 4.6, 1.85, 30.0, 2.0, 0.0, 0.0, 0.0, 4.6, 1.85)[0] == math.inf


def test_fires_when_braking_must_begin_and_not_before() -> None:
    must = V / (2 * BRAKING) + REACTION  # s
    assert monitor([car(4.6 + V * (must - 0.1))])
    assert not monitor([car(4.6 + V * (must + 0.2))])


def test_ignores_what_is_not_in_its_path() -> None:
    assert not monitor([car(12.0, 3.5)])  # next lane
    assert not monitor([car(-6.0, 0.0, 30.0)])  # behind, faster
    assert not monitor([car(12.0, 0.0, V + 1.0)])  # ahead, faster
    assert not monitor([car(12.0, seen=False)])
    assert not monitor([car(5.5)], speed=0.0)


def test_follows_the_bend() -> None:
    curvature = 1 / 40.0  # to the right
    angle = 12.0 / 40.0
    ahead = car(40 * math.sin(angle), 40 * (1 - math.cos(angle)), heading=angle)
    assert monitor([ahead], curvature=curvature)
    assert not monitor([ahead], curvature=-curvature)


def test_sees_a_pedestrian_walk_into_the_path() -> None:
    walker = (13.0, -2.2, math.pi / 2, 1.6, 0.0, 0.5, 0.6, 1.0)
    assert monitor([walker])
    leaving = (13.0, 2.2, math.pi / 2, 1.6, 0.0, 0.5, 0.6, 1.0)
    assert not monitor([leaving])


def test_stays_on_longer_than_it_takes_to_fire() -> None:
    must = V / (2 * BRAKING) + REACTION
    between = [car(4.6 + V * 1.3 * must)]
    assert not monitor(between)
    assert monitor(between, was=True)
