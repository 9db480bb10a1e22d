"""Drivers that plan anew ten times a second keep to a bend as well as those that plan seldom."""

from __future__ import annotations

import numpy as np
import pytest

from simdrive.build import build
from simdrive.eval.episode import EpisodeInput
from simdrive.eval.reference import ZERO_LATENCY
from simdrive.eval.rollout import rollout
from simdrive.scenarios.sampling import build_case, sample_cases


@pytest.mark.parametrize("name", ["idm", "r157_human", "expert"])
def test_a_roundabout_without_hazard(name: str) -> None:
    cases = sample_cases("roundabout_entry", 6, seed=4, hazard=False)
    logs = rollout([EpisodeInput(case, build_case(case)) for case in cases], build("agent", name), ZERO_LATENCY)
    for log in logs:
        assert log.off_road_m.max() < 0.3
        assert np.abs(log.route_r).max() < 1.0
        assert log.contact is None
