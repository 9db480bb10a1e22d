"""Contacts: nuPlan's five rules in their order, severity, and the multiplier."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from logs import make_log, with_fields

from simdrive.metrics import collision
from simdrive.metrics.collision import Rule
from simdrive.types import EpisodeLog

PEDESTRIAN, CYCLIST, DEBRIS, BARRIER = 5, 6, 7, 9


def hit(other: dict[str, Any], rows: int = 3, **fields: Any) -> EpisodeLog:
    """A log whose last row is a contact with the only other actor; the ego is then at x = 2 (10 m/s, 3
    rows).
    """
    return make_log(rows, others=[other], contact_with=1, **fields)


def rule(log: EpisodeLog) -> tuple[Rule, bool]:
    touch = collision.touches(log)[0]
    return touch.rule, touch.at_fault


def test_no_contact_scores_zero_contacts_and_no_severity() -> None:
    log = make_log(5, others=[{"x": 100.0}])
    assert collision.contact()(log).value == 0.0
    assert collision.contacts()(log).value == 0.0
    assert collision.at_fault_contact()(log).value == 0.0
    assert collision.no_at_fault_score()(log).value == 1.0
    for metric in (collision.impact_speed(), collision.delta_v(), collision.fault_rule()):
        assert not metric(log).valid
        assert math.isnan(metric(log).value)


def test_stopped_ego_is_never_at_fault() -> None:
    assert rule(hit({"x": 4.5, "speed": -6.0}, speed=0.05)) == (Rule.STOPPED_EGO, False)


def test_running_into_a_stopped_track_is_at_fault_even_sideways() -> None:
    assert rule(hit({"x": 6.5, "speed": 0.0})) == (Rule.STOPPED_TRACK, True)
    assert rule(hit({"x": 2.0, "y": 1.9, "speed": 0.0})) == (Rule.STOPPED_TRACK, True)


def test_objects_count_as_stopped_whatever_their_logged_speed() -> None:
    assert rule(hit({"x": 2.0, "y": 1.9, "speed": 3.0, "shape": DEBRIS})) == (Rule.STOPPED_TRACK, True)


def test_hit_from_behind_is_not_at_fault() -> None:
    assert rule(hit({"x": -4.5, "speed": 16.0})) == (Rule.ACTIVE_REAR, False)


def test_front_bumper_in_the_other_box_is_at_fault() -> None:
    # Front bumper at x = 4.5 in the last row; the leader's box spans 4.2 .. 9.2.
    assert rule(hit({"x": 6.3, "speed": 2.0})) == (Rule.ACTIVE_FRONT, True)


def test_side_contact_is_at_fault_only_across_lanes_or_off_the_road() -> None:
    side = {"x": -1.0, "y": 1.9, "speed": 9.0}
    assert rule(hit(side)) == (Rule.ACTIVE_LATERAL, False)
    assert rule(hit(side, on_several_lanes=np.array([False, False, True]))) == (Rule.ACTIVE_LATERAL, True)
    assert rule(hit(side, on_several_lanes=np.array([True, True, False]))) == (Rule.ACTIVE_LATERAL, False)
    assert rule(hit(side, off_road_m=np.array([0.0, 0.0, 0.1]))) == (Rule.ACTIVE_LATERAL, True)


@pytest.mark.parametrize(("degrees", "behind"), [(149.0, False), (151.0, True)])
def test_behind_means_more_than_150_degrees_seen_from_the_rear_axle(degrees: float, behind: bool) -> None:
    # Rear axle of a 5 m ego: 1.4113 m behind its centre, which is at (2, 0) in the last row.
    angle = math.radians(degrees)
    x, y = 2.0 - 5.0 * 1.461 / 5.176 + 3.5 * math.cos(angle), 3.5 * math.sin(angle)
    log = hit({"x": x - 9.0 * 0.2, "y": y, "speed": 9.0})
    assert collision.bearing_from_rear_axle(log, 2, 1) == pytest.approx(angle)
    assert (rule(log)[0] == Rule.ACTIVE_REAR) == behind


def test_severity_of_a_rear_end_and_of_a_crossing() -> None:
    assert collision.impact_speed()(hit({"x": 6.3, "speed": 2.0})).value == pytest.approx(8.0)
    assert collision.delta_v()(hit({"x": 6.3, "speed": 2.0})).value == pytest.approx(4.0)
    crossing = hit({"x": 5.0, "y": -2.0, "heading": math.pi / 2, "speed": 7.5})
    assert collision.impact_speed()(crossing).value == pytest.approx(12.5)  # 3-4-5 triangle
    assert collision.delta_v(other_mass_kg=6000.0)(crossing).value == pytest.approx(0.75 * 12.5)


def test_multiplier_is_half_for_one_object_and_zero_for_a_road_user() -> None:
    assert collision.no_at_fault_score()(hit({"x": 6.5, "shape": BARRIER})).value == 0.5
    assert collision.no_at_fault_score()(hit({"x": 6.5})).value == 0.0
    assert collision.no_at_fault_score()(hit({"x": 6.5, "shape": PEDESTRIAN})).value == 0.0
    assert collision.no_at_fault_score()(hit({"x": -4.5, "speed": 16.0})).value == 1.0


def test_everybody_touched_in_the_same_instant_is_judged() -> None:
    others = [
        {"x": 6.5, "shape": DEBRIS, "width": 1.0, "y": -0.6},
        {"x": 6.5, "shape": DEBRIS, "width": 1.0, "y": 0.6},
    ]
    log = make_log(3, others=[*others, {"x": 60.0}], contact_with=1)
    assert collision.contacts()(log).value == 2.0
    assert collision.no_at_fault_score()(log).value == 0.0  # 1 - 2/2
    absent = with_fields(log, present=np.array([[True, True, False, True]] * 3))
    assert collision.contacts()(absent).value == 1.0


def test_vulnerable_contacts_are_told_apart() -> None:
    assert collision.vulnerable_contact()(hit({"x": 6.5, "shape": CYCLIST, "speed": 3.0})).value == 1.0
    assert collision.vulnerable_contact()(hit({"x": 6.5})).value == 0.0


def test_contact_in_the_first_row() -> None:
    log = make_log(1, others=[{"x": 4.5}], contact_with=1)
    assert collision.at_fault_contact()(log).value == 1.0
    assert collision.contact()(log).value == 1.0


def test_a_contact_before_the_log_is_a_failure_of_the_metric_not_a_score() -> None:
    log = make_log(3, others=[{"x": 6.5}], contact_with=1, phase_us=50_000)
    assert log.contact is not None
    early = with_fields(log, contact=type(log.contact)(10, 1, 0, 10.0, 0.0, 10.0))
    with pytest.raises(ValueError, match="earlier than the log"):
        collision.contact()(early)
