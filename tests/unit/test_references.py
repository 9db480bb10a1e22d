"""What is settled of a case before anybody drives it: the yardstick of progress, and where none is asked for."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from simdrive.build import build
from simdrive.eval.prepared import world_of
from simdrive.eval.reference import ZERO_LATENCY, episode_input, reference_drives, references, settled
from simdrive.eval.rollout import rollout
from simdrive.metrics.evaluate import evaluate, load_metrics
from simdrive.scenarios.sampling import make_case, sample_cases
from simdrive.types import Case

CUT_IN = {"ego_speed_kph": 50.0, "other_speed_kph": 30.0, "dx0_m": 40.0, "lateral_speed_mps": 0.8}
CUT_OUT = {"ego_speed_kph": 50.0, "time_gap_s": 2.0, "dx0_m": 60.0, "lateral_speed_mps": 1.5}


def cases() -> list[Case]:
    """A case of the regulation with one other vehicle, one with two, and one that asks for progress."""
    return [
        make_case("r157_cut_in", CUT_IN, 1), make_case("r157_cut_out", CUT_OUT, 1),
        sample_cases("lead_braking", 1, 3, {}, hazard=True)[0],
    ]  # fmt: skip


def test_the_regulation_asks_for_no_progress() -> None:
    asked = [world_of(case).progress_asked for case in cases()]
    assert asked == [False, False, True]
    found = references(cases())
    assert [reference.expert_progress_m for reference in found[:2]] == [0.0, 0.0]
    assert found[2].expert_progress_m > 50.0
    assert [reference.case for reference in found] == cases()


def test_the_expert_drives_where_only_that_tells_something() -> None:
    drives = [log for _, log in settled(cases())]
    assert drives[0] is None  # one other vehicle cannot block the way
    assert drives[1] is not None
    assert drives[2] is not None
    driven = [reference for reference, _ in reference_drives(cases())]
    assert driven == references(cases())


@pytest.mark.parametrize("driver", ["cc_human", "constant_speed"])
def test_in_a_case_of_the_regulation_contact_alone_decides(driver: str) -> None:
    reference = references([make_case("r157_cut_in", CUT_IN | {"dx0_m": 20.0}, 2)])[0]
    log = rollout([episode_input(reference)], build("agent", driver), ZERO_LATENCY)[0]
    values = evaluate(log, load_metrics(["failure", "contact", "low_progress", "progress_ratio"]))
    assert values["failure"].value == values["contact"].value == float(driver == "constant_speed")
    assert values["low_progress"].value == 0.0
    assert values["progress_ratio"].value == 1.0
    unknown = replace(log, expert_progress_m=math.nan)
    assert math.isnan(evaluate(unknown, load_metrics(["low_progress"]))["low_progress"].value)
