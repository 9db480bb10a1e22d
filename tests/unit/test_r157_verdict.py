"""Paths, reaction times and contact: tiny cases by hand, properties, golden verdicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simdrive.r157 import kinematics
from simdrive.r157.cases import VERDICT_COLUMNS, parse, to_cases
from simdrive.r157.parameters import CC_HUMAN, CUT_IN, CUT_OUT, DECELERATION, FSM, MODELS, REG157, RSS
from simdrive.r157.verdict import Verdicts, judge

GOLDEN = Path(__file__).parents[1] / "golden" / "r157"
NAN = float("nan")


def _judge(*rows: tuple[float, ...], frequency_hz: float = 10.0) -> Verdicts:
    return judge(to_cases(rows), frequency_hz)


def _wall(model: int, gap_m: float) -> tuple[float, ...]:
    """A leader at 10 m/s that stands one step later: the gap needed is the stopping distance, sample by sample."""
    return (DECELERATION, model, 10.0, 10.0, 0.0, 0.0, 1e6, gap_m)


@pytest.mark.parametrize(
    ("model", "stop_m"),
    [
        # 4 samples at 10 m/s, then 9.4, 8.8, ... 0.4
        (REG157, 4.0 + 7.84),
        # 8 samples that lose 0.04 m/s each, then the ramp from 0.4 m/s2: 9.5135, 9.2205, 8.801, ... 0.748854
        (CC_HUMAN, 7.856 + 7.744677),
        # safe at the first sample, 8 more at 10 m/s, then the ramp from zero: 9.8735, 9.6205, ... 0.509854
        (RSS, 1.0 + 8.0 + 8.483927),
    ],
)
def test_stopping_distance_by_hand(model: int, stop_m: float) -> None:
    verdicts = _judge(_wall(model, stop_m - 0.002), _wall(model, stop_m + 0.002))
    assert verdicts.collision.tolist() == [1, 0]
    assert verdicts.min_ttc_s[0] == 0.0


def test_deceleration_path_starts_one_step_after_the_start() -> None:
    path = np.empty((kinematics.FIELDS, 400))
    ego_x, samples = kinematics.write_deceleration(20.0, 20.0, 30.0, 5.0, 10.0, path)
    assert (ego_x, samples) == (2.0, 349)
    assert path[kinematics.X, :3] == pytest.approx([36.3, 38.25, 40.15])  # 30 + 4.3 + 2.0, + 1.95, + 1.90
    assert path[kinematics.VX, 45] == 0.0


def test_cut_in_path_gathers_its_sideways_speed_before_the_start() -> None:
    path = np.empty((kinematics.FIELDS, 400))
    ego_x, samples = kinematics.write_cut_in(20.0, 10.0, 15.0, 0.3, 10.0, path)
    assert (ego_x, samples) == (pytest.approx(-4.0), 352)
    assert path[kinematics.Y, :4] == pytest.approx([3.515, 3.515, 3.5, 3.47])
    assert path[kinematics.X, :4] == pytest.approx([17.3, 18.3, 19.3, 20.3])
    assert path[kinematics.Y, 351] == pytest.approx(3.5 - 0.03 * 117)  # stops at the first sample past the ego's line


def test_cut_out_reveals_at_375_mm_and_leaves_a_crashed_leader_in_the_way() -> None:
    path = np.empty((kinematics.FIELDS, 400))
    kinematics.write_cut_out(20.0, 20.0, 40.0, 100.0, 1.0, 10.0, path)
    seen = path[kinematics.SEEN]
    assert seen[:3].tolist() == [0.0, 0.0, 0.0]
    assert seen[3] == 1.0
    assert path[kinematics.X, 3] == pytest.approx(40.0 + 4.3 + 100.0 + 4.3)
    kinematics.write_cut_out(20.0, 20.0, 40.0, 10.0, 1.0, 10.0, path)
    crash = int(np.argmax(path[kinematics.LONG] == 4.3))
    assert crash == 4  # the stopped car is 5 m long: 9.65 m away, passed with the fifth step of 2 m
    assert np.ptp(path[kinematics.X, crash:349]) == 0.0


def test_only_overlap_of_both_extents_counts() -> None:
    beside = (CUT_IN, FSM, 20.0, 10.0, 1.0, 0.05, 0.0, NAN)  # the ego is past before the bodies overlap
    never = (CUT_IN, CC_HUMAN, 20.0, 10.0, 1.0, 0.0, 0.0, NAN)
    verdicts = _judge(beside, never)
    assert verdicts.collision.tolist() == [0, 0]
    assert np.isnan(verdicts.min_ttc_s).all()


def test_human_stops_watching_a_cut_in_above_two_seconds() -> None:
    """As in the published simulation: at the first overlap TTC is above 2 s, so nothing later is looked at."""
    verdicts = _judge((CUT_IN, CC_HUMAN, 20.0, 10.0, 40.0, 1.1, 0.0, NAN))
    assert verdicts.collision[0] == 0
    assert verdicts.min_ttc_s[0] == pytest.approx(2.5)  # 15 steps of 0.11 m use up the 1.6 m: 40 m - 15 * 1 m


def test_order_and_company_of_the_rows_do_not_matter() -> None:
    rng = np.random.default_rng(5)
    rows = [
        (int(rng.integers(3)), int(rng.integers(4)), rng.uniform(5, 35), rng.uniform(3, 20), rng.uniform(1, 60),
         rng.uniform(0.1, 2.5), rng.uniform(0.5, 9.0), NAN)
        for _ in range(200)
    ]  # fmt: skip
    together = _judge(*rows)
    alone = [_judge(row).collision[0] for row in rows[:40]]
    assert together.collision[:40].tolist() == alone
    assert _judge(*rows[::-1]).collision[::-1].tolist() == together.collision.tolist()
    assert 0 < together.collision.sum() < 200


@settings(deadline=None)
@given(
    st.sampled_from([CC_HUMAN, REG157]), st.floats(3.0, 36.0), st.floats(0.5, 10.0), st.floats(1.0, 90.0),
    st.floats(0.0, 40.0),
)  # fmt: skip
def test_more_room_never_hurts_drivers_whose_reaction_does_not_depend_on_it(
    model: int, speed: float, decel: float, gap: float, more: float
) -> None:
    """RSS and FSM lack the property: more room may delay their reaction by one sample, which can cost more."""
    near, far = (
        (DECELERATION, model, speed, speed, 0.0, 0.0, decel, gap),
        (DECELERATION, model, speed, speed, 0.0, 0.0, decel, gap + more),
    )
    verdicts = _judge(near, far)
    assert verdicts.collision[1] <= verdicts.collision[0]


@pytest.mark.parametrize("model", [CC_HUMAN, REG157, RSS, FSM])
@pytest.mark.parametrize(("ego", "other"), [(60.0, 30.0), (110.0, 70.0)])
def test_collisions_on_the_published_grid_form_one_block_of_gaps(model: int, ego: float, other: float) -> None:
    """Not monotone: with very little room the ego is past before the overlap. There is no second block, though."""
    found = 0
    for lateral in (0.5, 1.0, 1.7):
        hit = _judge(
            *((CUT_IN, model, ego / 3.6, other / 3.6, float(gap), lateral, 0.0, NAN) for gap in range(1, 60))
        ).collision
        assert (np.diff(hit) == 1).sum() <= 1
        found += int(hit.sum())
    assert found > 0


@pytest.mark.parametrize("model", MODELS)
def test_golden_verdicts(model: str) -> None:
    """Cases next to the boundary of each driver; verdicts and times are frozen."""
    header, *lines = [line.split(",") for line in (GOLDEN / f"{model}.csv").read_text().splitlines()]
    wanted = len(header) - len(VERDICT_COLUMNS)
    table = parse(tuple(header[:wanted]), [(n, line[:wanted]) for n, line in enumerate(lines, 2)], model)
    verdicts = judge(table.cases)
    assert [str(hit) for hit in verdicts.collision] == [line[wanted] for line in lines]
    times = ["" if np.isnan(ttc) else f"{ttc:.4f}" for ttc in verdicts.min_ttc_s]
    assert times == [line[wanted + 1] for line in lines]
    assert {line[wanted] for line in lines} == {"0", "1"}


def test_a_finer_step_moves_few_verdicts() -> None:
    rng = np.random.default_rng(3)
    rows = [
        (CUT_OUT, model, speed, speed, rng.uniform(2, 150), rng.uniform(0.3, 3.0), 0.0, NAN)
        for model in range(4)
        for speed in rng.uniform(5, 36, 150)
    ]
    coarse, fine = _judge(*rows), _judge(*rows, frequency_hz=100.0)
    assert (coarse.collision != fine.collision).mean() < 0.02
