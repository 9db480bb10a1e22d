"""Closeness: hand-computed followers and crossings, and the fast path against naive stepping."""

from __future__ import annotations

import math

import numpy as np
import pytest
from logs import make_log, with_fields

from simdrive.geometry import boxes_overlap
from simdrive.metrics import criticality, trace
from simdrive.types import EpisodeLog


def behind_a_stopped_car(distance_m: float, rows: int = 11) -> EpisodeLog:
    """The ego drives 1 m per row at 10 m/s; boxes are 5 m long, so the first gap is ``distance_m - 5``."""
    return make_log(rows, others=[{"x": distance_m}])


def test_min_ttc_behind_a_stopped_car() -> None:
    value = criticality.min_ttc()(behind_a_stopped_car(30.0))
    assert value.valid
    assert value.value == pytest.approx(1.5)  # 15 m left at 10 m/s in the last row


def test_min_ttc_is_capped_at_its_horizon_and_zero_at_a_contact() -> None:
    assert criticality.min_ttc(horizon_s=4.0)(behind_a_stopped_car(500.0)).value == 4.0
    assert criticality.min_ttc()(make_log(3, others=[{"x": 6.5}], contact_with=1)).value == 0.0


def test_min_ttc_unscored_when_alone_or_never_moving() -> None:
    assert not criticality.min_ttc()(make_log(5)).valid
    assert not criticality.min_ttc()(make_log(5, speed=0.0, others=[{"x": 20.0, "speed": -10.0}])).valid
    absent = make_log(5, others=[{"x": 20.0, "present": False}])
    assert not criticality.min_ttc()(absent).valid


def test_min_ttc_of_a_crossing_pedestrian() -> None:
    # Pedestrian (0.6 x 0.6), 10 m ahead of the ego's centre and 3 m aside, walks 2 m/s towards its path.
    walker = {
        "x": 10.0,
        "y": 3.0,
        "heading": -math.pi / 2,
        "speed": 2.0,
        "length": 0.6,
        "width": 0.6,
        "shape": 5,
    }
    log = make_log(1, speed=5.0, others=[walker])
    # Lateral overlap from (3 - 1 - 0.3) / 2 = 0.85 s, longitudinal from (10 - 2.5 - 0.3) / 5 = 1.44 s.
    assert criticality.min_ttc()(log).value == pytest.approx(1.44)


def test_lateral_drift_counts_although_the_log_has_speed_along_the_heading_only() -> None:
    # A car in the next lane drifts 1 m/s towards the ego at heading 0: overlap starts at 2 m offset.
    y = 4.0 - 0.1 * np.arange(11)
    log = make_log(11, others=[{"x": np.arange(11) * 1.0, "y": y, "speed": 10.0}])
    assert trace.velocities(log)[5, 1] == pytest.approx([10.0, -1.0])
    assert criticality.min_ttc()(log).value == pytest.approx(1.0)


def test_ttc_exposure_sums_the_time_below_the_bound() -> None:
    # Times to collision 2.5, 2.4 .. 1.5 s; at most 1.85 s from row 7 (1.8) on: rows 7, 8, 9 last 0.1 s each.
    assert criticality.ttc_exposure(below_s=1.85)(behind_a_stopped_car(30.0)).value == pytest.approx(0.3)
    assert not criticality.ttc_exposure()(make_log(1, others=[{"x": 30.0}])).valid


@pytest.mark.parametrize(("distance_m", "score"), [(24.0, 0.0), (25.0, 1.0), (200.0, 1.0)])
def test_ttc_bound_is_between_the_steps_09_and_10(distance_m: float, score: float) -> None:
    assert criticality.ttc_within_bound()(behind_a_stopped_car(distance_m)).value == score


def test_ttc_bound_ignores_who_is_beside_unless_the_ego_straddles_lanes() -> None:
    # The neighbour cuts in at 10 degrees, its box meets the ego's within 0.5 s; its centre is 61 degrees off.
    neighbour = {"x": 1.0, "y": 2.9, "speed": 9.5, "heading": -math.radians(20.0)}
    log = make_log(2, others=[neighbour])
    assert criticality.min_ttc()(log).value < 0.5
    assert criticality.ttc_within_bound()(log).value == 1.0
    across = with_fields(log, on_several_lanes=np.ones(2, dtype=np.bool_))
    assert criticality.ttc_within_bound()(across).value == 0.0
    junction = with_fields(log, in_junction=np.ones(2, dtype=np.bool_))
    assert criticality.ttc_within_bound()(junction).value == 0.0


def test_ttc_bound_never_looks_behind() -> None:
    log = make_log(3, others=[{"x": -7.0, "speed": 20.0}], in_junction=np.ones(3, dtype=np.bool_))
    assert criticality.min_ttc()(log).value < 0.2
    assert criticality.ttc_within_bound()(log).value == 1.0


def test_ttc_bound_drops_the_touched_track_and_scores_fault_instead() -> None:
    rear_ended = make_log(3, others=[{"x": -4.5, "speed": 16.0}], contact_with=1)
    assert criticality.ttc_within_bound()(rear_ended).value == 1.0
    guilty = make_log(3, others=[{"x": 6.5}], contact_with=1)
    assert criticality.ttc_within_bound()(guilty).value == 0.0


def naive_stepped_ttc(log: EpisodeLog, row: int, actor: int) -> float:
    """nuPlan's projection, literally: move both boxes in steps of 0.1 s until they overlap."""
    velocity = trace.velocities(log)[row]
    size = log.actors
    for step in range(1, 30):
        t = 0.1 * step
        boxes = [
            (
                log.x[row, who] + velocity[who, 0] * t,
                log.y[row, who] + velocity[who, 1] * t,
                log.heading[row, who],
                size.length[who],
                size.width[who],
            )
            for who in (0, actor)
        ]
        if boxes_overlap(*boxes[0], *boxes[1]):
            return t
    return math.inf


def test_stepped_ttc_agrees_with_naive_stepping() -> None:
    rng = np.random.default_rng(7)
    compared = 0
    for _ in range(40):
        others = [
            {
                "x": float(rng.uniform(3.0, 40.0)),
                "y": float(rng.uniform(-8.0, 8.0)),
                "heading": float(rng.uniform(-3.0, 3.0)),
                "speed": float(rng.uniform(0.0, 15.0)),
            }
            for _ in range(3)
        ]
        log = make_log(3, speed=float(rng.uniform(1.0, 20.0)), others=others, in_junction=np.ones(3, dtype=np.bool_))
        fast = criticality.stepped_ttc(log)
        tracks = criticality.conflict_tracks(log)
        for row in range(3):
            naive = min(
                (naive_stepped_ttc(log, row, actor) for actor in range(1, 4) if tracks[row, actor - 1]),
                default=math.inf,
            )
            assert fast[row] == pytest.approx(naive)
            compared += math.isfinite(naive)
    assert compared > 20


def test_drac_of_a_follower_is_the_textbook_formula() -> None:
    # dv 10, gap 15 in the last row: 100 / 30.
    assert criticality.max_drac()(behind_a_stopped_car(30.0)).value == pytest.approx(100.0 / 30.0)
    moving = make_log(1, speed=20.0, others=[{"x": 40.0, "speed": 8.0}])
    assert criticality.max_drac()(moving).value == pytest.approx(12.0**2 / (2.0 * 35.0))


def test_drac_zero_when_opening_or_followed_and_capped_when_hopeless() -> None:
    assert criticality.max_drac()(make_log(3, others=[{"x": 20.0, "speed": 15.0}])).value == 0.0
    assert criticality.max_drac()(make_log(3, others=[{"x": -20.0, "speed": 25.0}])).value == 0.0
    assert criticality.max_drac()(make_log(1, others=[{"x": 5.1}])).value == 20.0
    assert not criticality.max_drac()(make_log(3)).valid


def test_min_gap_is_the_smallest_box_distance_to_anybody() -> None:
    log = make_log(11, others=[{"x": 30.0}, {"x": 5.0, "y": 6.0}])
    assert criticality.min_gap()(log).value == pytest.approx(4.0)
    assert criticality.min_gap()(behind_a_stopped_car(30.0)).value == pytest.approx(15.0)
    assert not criticality.min_gap()(make_log(3)).valid


def test_absent_actors_are_no_conflict_even_where_the_ego_drives_over_them() -> None:
    present = np.arange(11) < 3
    log = make_log(11, others=[{"x": 30.0, "present": present}])
    assert criticality.min_ttc()(log).value == pytest.approx(2.3)
    assert trace.velocities(log)[5, 1].tolist() == [0.0, 0.0]
