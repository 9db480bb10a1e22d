"""The folder of a study: references are settled once, interrupted work continues, nothing is driven twice."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from simdrive.errors import ParameterError, RunFolderError
from simdrive.eval.grid import AgentConfig
from simdrive.eval.runner import run
from simdrive.eval.studies.runs import StudyBase, StudyRuns, delay_name, references_of
from simdrive.scenarios.sampling import sample_cases

CASES = sample_cases("cut_in", 2, seed=3)
BASE = StudyBase("test", 1, CASES)
EXPERT, HOLDING = AgentConfig.named("expert"), AgentConfig.named("constant_speed")


class Counting:
    """Remembers stages; can fail when a stage begins."""

    def __init__(self, stop_at: str = "") -> None:
        self.stages: list[str] = []
        self._stop_at = stop_at

    def stage(self, name: str, total: int) -> None:
        self.stages.append(name)
        if name == self._stop_at:
            raise KeyboardInterrupt

    def advance(self, count: int) -> None:
        pass

    def note(self, message: str) -> None:
        pass


def study(out: Path, progress: Counting) -> dict[str, pd.Series]:
    runs = StudyRuns(BASE, out, progress)
    return {
        "expert 0": runs.failures_at(EXPERT, 0.0),
        "expert 600": runs.failures_at(EXPERT, 600.0),
        "hold": runs.failures_at(HOLDING, 0.0),
    }


def test_interrupted_studies_continue_to_the_same_result(tmp_path: Path) -> None:
    whole, stopped, again = Counting(), Counting(stop_at="episodes"), Counting()
    expected = study(tmp_path / "whole", whole)
    assert whole.stages.count("references") == 1
    with pytest.raises(KeyboardInterrupt):
        study(tmp_path / "parts", stopped)
    found = study(tmp_path / "parts", again)
    assert "references" not in again.stages  # they were in the plan already
    for name, failures in expected.items():
        pd.testing.assert_series_equal(found[name], failures)
    assert set(expected["hold"].index) == {case.key for case in CASES}


def test_handed_on_references_give_the_plan_that_settled_ones_give(tmp_path: Path) -> None:
    runs = StudyRuns(BASE, tmp_path / "study", Counting())
    runs.failures_at(EXPERT, 0.0)
    handed_on = runs.store(HOLDING, BASE.delay(0.0), delay_name(0.0))
    fresh = StudyRuns(BASE, tmp_path / "other", Counting()).store(HOLDING, BASE.delay(0.0), delay_name(0.0))
    pd.testing.assert_frame_equal(handed_on.plan, fresh.plan)
    assert references_of(fresh) == references_of(handed_on)


def test_references_of_other_cases_are_refused(tmp_path: Path) -> None:
    runs = StudyRuns(BASE, tmp_path / "study", Counting())
    known = references_of(runs.store(HOLDING, BASE.delay(0.0), "hold"))
    from simdrive.eval.runner import RunRequest

    request = RunRequest("test", 1, CASES[:1], (HOLDING,), (BASE.delay(0.0),))
    with pytest.raises(ParameterError, match="known references"):
        run(request, tmp_path / "run", Counting(), known=known)
    assert not (tmp_path / "run").exists()


def test_a_folder_of_other_cases_is_refused_with_the_difference(tmp_path: Path) -> None:
    StudyRuns(BASE, tmp_path / "study", Counting())
    StudyRuns(BASE, tmp_path / "study", Counting())
    with pytest.raises(RunFolderError, match="suite_version: 1 -> 2"):
        StudyRuns(StudyBase("test", 2, CASES), tmp_path / "study", Counting())
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(RunFolderError, match="left untouched"):
        StudyRuns(BASE, tmp_path / "foreign", Counting())


def test_delay_names_sort_by_delay() -> None:
    delays = [0.0, 62.5, 100.0, 1600.0]
    assert sorted(map(delay_name, delays)) == [delay_name(delay) for delay in delays]


def test_a_wrong_clock_is_refused_at_once() -> None:
    with pytest.raises(Exception, match="mode"):
        StudyBase("test", 1, CASES, mode="later")
    with pytest.raises(Exception, match="waiting"):
        StudyBase("test", 1, CASES, waiting="sleep")
