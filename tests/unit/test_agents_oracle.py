"""The oracle: it leaves unhurt where a way out exists, also where the expert does not see it in time."""

from __future__ import annotations

import pytest

from simdrive.build import build
from simdrive.eval.reference import ZERO_LATENCY, episode_input, references
from simdrive.eval.rollout import rollout
from simdrive.types import Case

# Drawn by the suite; avoidable by braking at once. A clairvoyant who trusts one plan after another gets hurt here.
CASES = (
    Case("cyclist_crossing", (("corner", "house"), ("cyclist_speed_mps", 3.0166), ("ego_speed_mps", 14.883),
         ("hazard", True), ("offset_s", -0.2883), ("side", "right"), ("start_distance_m", 3.2797)), 1000013),
    Case("cut_in", (("braking_mps2", 1.7356), ("ego_speed_mps", 27.806), ("hazard", True),
         ("lateral_speed_mps", 3.5149), ("side", "left"), ("speed_difference_mps", 6.052), ("ttc_s", -0.4061)), 1000008),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.scenario)
def test_survives_what_can_be_survived(case: Case) -> None:
    reference = references([case])[0]
    assert reference.avoidable
    log = rollout([episode_input(reference)], build("agent", "oracle"), ZERO_LATENCY)[0]
    assert log.contact is None
    assert log.off_road_m.max() < 0.5
    assert log.end.name == "GOAL"
