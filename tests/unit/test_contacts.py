"""The ego's first contact: found at the tick where the boxes first overlap, and described as it was."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_kit import actor, ego, event, run, world

from simdrive.geometry import box_corners
from simdrive.sim.contacts import impact_speed, touched_actor
from simdrive.sim.kernel_frame import HEADING, LATERAL_SPEED, NUMBERS, SPEED
from simdrive.sim.spec import Action, Trigger
from simdrive.sim.state import Behaviour, Shape
from simdrive.sim.worlds import Worlds

DT = 0.02


def overlap_by_clipping(worlds: Worlds, other: int) -> bool:
    """Return whether the ego's box and another's share area, by clipping one polygon with the other."""
    actors, traits = worlds.actors, worlds.traits
    boxes = [
        box_corners(actors.x[0, v], actors.y[0, v], actors.heading[0, v], traits.length[0, v], traits.width[0, v])
        for v in (0, other)
    ]
    polygon = [tuple(corner) for corner in boxes[0]]
    clip = boxes[1][::-1]  # counter-clockwise, so that the inside is on the left of every edge
    for a, b in zip(clip, np.roll(clip, -1, axis=0), strict=True):
        kept = []
        for p, q in zip(polygon, polygon[1:] + polygon[:1], strict=True):
            side_p = (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])
            side_q = (b[0] - a[0]) * (q[1] - a[1]) - (b[1] - a[1]) * (q[0] - a[0])
            if side_p >= 0.0:
                kept.append(p)
            if (side_p > 0.0 > side_q) or (side_p < 0.0 < side_q):
                share = side_p / (side_p - side_q)
                kept.append((p[0] + share * (q[0] - p[0]), p[1] + share * (q[1] - p[1])))
        polygon = kept
    return len(polygon) > 2


def test_rear_end_contact_by_hand() -> None:
    # 45.4 m between bumpers, closing at 10 m/s: contact after 4.54 s, that is tick 227.
    worlds = Worlds([world(actor(speed_mps=10.0))])
    run(worlds, 4.52)
    assert worlds.contact_tick[0] == -1
    assert worlds.contact_us[0] == -1
    run(worlds, 0.5)
    assert worlds.contact_tick[0] in (227, 228)  # rounding decides at exact touch
    assert worlds.contact_us[0] == worlds.contact_tick[0] * 20_000
    assert worlds.contact_actor[0] == 1
    assert worlds.contact_ego_speed[0] == pytest.approx(20.0)
    assert worlds.contact_actor_speed[0] == pytest.approx(10.0)
    assert worlds.contact_impact_speed[0] == pytest.approx(10.0)


def test_crossing_contact_has_the_vector_difference_as_impact_speed() -> None:
    crosser = actor(lane=None, x_m=110.0, y_m=-26.0, heading_rad=math.pi / 2, speed_mps=10.0)
    worlds = Worlds([world(crosser)])
    run(worlds, 4.0)
    assert worlds.contact_actor[0] == 1
    assert worlds.contact_impact_speed[0] == pytest.approx(math.hypot(20.0, 10.0))


@given(y=st.floats(-30.0, 30.0), x=st.floats(70.0, 130.0), heading=st.floats(-3.1, 3.1), speed=st.floats(0.0, 20.0))
@settings(max_examples=25, deadline=None)
def test_contact_tick_agrees_with_polygon_clipping(y: float, x: float, heading: float, speed: float) -> None:
    def spec_world() -> Worlds:
        other = actor(lane=None, x_m=x, y_m=y + math.copysign(4.0, y) + 4.0, heading_rad=heading, speed_mps=speed)
        return Worlds([world(other)])

    worlds = spec_world()
    first = -1
    for tick in range(1, 151):
        run(worlds, DT)
        if overlap_by_clipping(worlds, 1):
            first = tick
            break
    whole = spec_world()
    run(whole, 3.0, ticks=10)
    if first < 0:
        assert whole.contact_tick[0] == -1
    else:
        assert abs(int(whole.contact_tick[0]) - first) <= 1  # touching boxes without shared area differ


def test_only_the_first_contact_is_kept() -> None:
    worlds = Worlds([world(actor("first", s_m=80.0, speed_mps=0.0), actor("second", s_m=90.0, speed_mps=0.0))])
    run(worlds, 3.0)
    assert worlds.contact_actor[0] == 1
    assert worlds.contact_us[0] == pytest.approx((30.0 - 4.6) / 20.0 * 1e6, abs=20_000)


def test_absent_actors_are_not_touched_until_they_appear() -> None:
    rows = (event(1, Trigger.TIME, 2.0, Action.APPEAR),)
    ghost = actor(s_m=80.0, speed_mps=0.0, present=False)
    worlds = Worlds([world(ghost)])
    run(worlds, 3.0)
    assert worlds.contact_tick[0] == -1
    worlds = Worlds([world(actor(s_m=90.0, speed_mps=0.0, present=False), events=rows)])
    run(worlds, 3.0)
    assert worlds.contact_us[0] == 2_020_000


def test_a_walker_stepping_sideways_counts_with_its_velocity() -> None:
    frame = np.zeros((2, NUMBERS))
    frame[0, SPEED], frame[1, SPEED], frame[1, LATERAL_SPEED], frame[1, HEADING] = 12.0, 0.0, 5.0, 0.0
    assert impact_speed(frame[0], frame[1]) == pytest.approx(13.0)


def test_nobody_is_touched_in_an_empty_world() -> None:
    worlds = Worlds([world()])
    run(worlds, 1.0)
    assert worlds.contact_actor[0] == -1
    frame = np.zeros((1, NUMBERS))
    assert touched_actor(frame, np.zeros((1, 20), np.int64), 1) == -1


def test_the_ego_pushes_nobody_and_is_pushed_by_nobody() -> None:
    parked = actor(s_m=80.0, speed_mps=0.0)
    worlds = Worlds([world(parked, actor("far", s_m=200.0, behaviour=Behaviour.IDM))])
    run(worlds, 3.0)
    assert worlds.contact_actor[0] == 1
    assert not worlds.others_crashed[0]
    assert worlds.actors.x[0, 1] == 80.0
    assert worlds.actors.speed[0, 0] == 20.0


def test_others_that_crash_behave_as_in_highway_env() -> None:
    wall = actor("wall", lane=("a", "b", 0), s_m=150.0, speed_mps=0.0)
    runner = actor("runner", lane=("a", "b", 0), s_m=100.0, speed_mps=20.0)
    worlds = Worlds([world(wall, runner, ego=ego(speed_mps=0.0))])
    run(worlds, 2.2)
    assert not worlds.others_crashed[0]
    run(worlds, 0.3)
    assert worlds.others_crashed[0]
    assert worlds.contact_tick[0] == -1
    speed = worlds.actors.speed[0, 2]
    run(worlds, 1.0)
    # A crashed vehicle loses its speed at 1/s: v (1 - dt)^50.
    assert worlds.actors.speed[0, 2] == pytest.approx(speed * (1.0 - DT) ** 50, rel=1e-6)


def test_buildings_stay_where_they_are() -> None:
    house = actor("house", shape=Shape.BUILDING, lane=None, x_m=150.0, length_m=10.0, width_m=3.0, speed_mps=0.0)
    runner = actor("runner", lane=("a", "b", 0), s_m=100.0, speed_mps=20.0)
    worlds = Worlds([world(house, runner, ego=ego(speed_mps=0.0))])
    run(worlds, 4.0)
    assert worlds.others_crashed[0]
    assert worlds.actors.x[0, 1] == 150.0
