"""The regulation's scenario types as worlds: gaps where they are stated, and the suites of the published grids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simdrive.build import build
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.eval.episode import EpisodeInput
from simdrive.eval.reference import ZERO_LATENCY
from simdrive.eval.rollout import rollout
from simdrive.scenarios.grid import grid_rows
from simdrive.scenarios.r157 import BEGIN_S, R157
from simdrive.scenarios.sampling import build_case, load_suite
from simdrive.types import Case, EndReason, EpisodeLog


def driven(scenario: str, agent: str = "constant_speed", **params: Any) -> EpisodeLog:
    case = Case(f"r157_{scenario}", tuple(sorted({**params, "hazard": True}.items())), 5)
    return rollout([EpisodeInput(case, build_case(case), True, -1)], build("agent", agent), ZERO_LATENCY)[0]


def gap_m(log: EpisodeLog, first: int, second: int, at_s: float) -> float:
    """Bumper gap between two actors on the straight road, between the frames."""
    apart = log.x[:, second] - log.x[:, first] - 0.5 * (log.actors.length[first] + log.actors.length[second])
    return float(np.interp(at_s, log.t_us * 1e-6, apart))


def test_a_cut_in_begins_at_its_gap() -> None:
    log = driven("cut_in", ego_speed_kph=70.0, other_speed_kph=40.0, dx0_m=25.0, lateral_speed_mps=1.5)
    assert gap_m(log, 0, 1, BEGIN_S) == pytest.approx(25.0, abs=0.05)
    assert log.end == EndReason.CONTACT
    sideways = np.abs(log.y[:, 1] - log.y[:, 0]) - 0.5 * (log.actors.width[0] + log.actors.width[1])
    before = log.t_us * 1e-6 < BEGIN_S
    assert sideways[before] == pytest.approx(1.6, abs=0.05)
    assert sideways[-1] < 0.2  # it is in the ego's way


def test_who_does_not_move_sideways_is_no_hazard() -> None:
    log = driven("cut_in", ego_speed_kph=70.0, other_speed_kph=40.0, dx0_m=25.0, lateral_speed_mps=0.0)
    assert log.end == EndReason.GOAL
    assert log.hazard_us == -1


def test_a_cut_out_reveals_the_stopped_car_at_its_distance() -> None:
    log = driven("cut_out", ego_speed_kph=60.0, dx0_m=60.0, lateral_speed_mps=2.0, time_gap_s=2.0)
    assert gap_m(log, 0, 1, BEGIN_S) == pytest.approx(60.0 / 3.6 * 2.0, abs=0.05)
    assert gap_m(log, 1, 2, BEGIN_S) == pytest.approx(60.0, abs=0.05)
    assert log.end == EndReason.CONTACT
    assert log.contact is not None
    assert log.actors.name[log.contact.actor] == "stopped"


def test_the_leader_brakes_as_told_and_the_regulations_driver_comes_through() -> None:
    params = {"ego_speed_kph": 50.0, "decel_mps2": 3.0, "time_gap_s": 2.0}
    log = driven("deceleration", **params)
    assert log.end == EndReason.CONTACT
    speed = np.interp([BEGIN_S, BEGIN_S + 2.0], log.t_us * 1e-6, log.speed[:, 1])
    assert speed == pytest.approx([50.0 / 3.6, 50.0 / 3.6 - 6.0], abs=0.4)
    assert driven("deceleration", "cc_human", **params).end == EndReason.GOAL


def test_what_cannot_happen_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="R157"):
        R157("cut_up")
    with pytest.raises(ParameterError, match="below ego_speed_kph"):
        driven("cut_in", ego_speed_kph=50.0, other_speed_kph=50.0, dx0_m=5.0, lateral_speed_mps=1.0)


def test_the_suites_are_the_published_grids() -> None:
    from simdrive.r157.grids import grid

    names = {"ego_speed_kph": 1, "other_speed_kph": 2, "dx0_m": 3, "lateral_speed_mps": 4, "decel_mps2": 5}
    for kind in ("cut_in", "cut_out", "deceleration"):
        published = list(grid(kind, ("CC_human_driver",)))
        ours = [row for entry in load_suite(f"r157_{kind}").entries for row in grid_rows(entry.grid)]
        used = [name for name in names if name in ours[0]]
        expected = {tuple(float(row[names[name]]) for name in used) for row in published}
        assert {tuple(float(row[name]) for name in used) for row in ours} == expected
        assert len(ours) == len(published)
