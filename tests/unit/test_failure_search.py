"""Failure search on worlds that are plain functions: distances, densities, the search, rates and found suites."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm, truncnorm

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.eval.failures.boundary import choose_axes, draw_boundary
from simdrive.eval.failures.proposal import Mixture, Proposal
from simdrive.eval.failures.rate import plain_rate, proposal_of, weighted_rate
from simdrive.eval.failures.search import Budget, search
from simdrive.eval.failures.space import Space
from simdrive.eval.failures.study import FailureStudy, write_suite
from simdrive.eval.failures.trials import Trial
from simdrive.scenarios.sampling import load_suite, suite_cases
from simdrive.types import Case


def space_of(**changes: Any) -> Space:
    given: dict[str, Any] = {"narrowed": {}, "nominal": {}, "spread": 1 / 6, "exposure": "normal", "seed": 3}
    return Space.of("cut_out", **(given | changes))


def judge(cases: Sequence[Case], fails_above: float = 32.0, hopeless_above: float = math.inf) -> list[Trial]:
    """Fails at high speed behind a close lead; beyond a still higher speed nothing helps."""
    found = []
    for case in cases:
        speed, gap = float(case.param("ego_speed_mps")), float(case.param("time_gap_s"))
        limit = fails_above + 2.0 * (gap - 0.2)
        outcome = "unavoidable" if speed > hopeless_above else "fail" if speed > limit else "pass"
        margin = max(limit - speed, 0.0) / 20.0
        found.append(Trial(case, outcome, outcome != "unavoidable", margin, True))  # type: ignore[arg-type]
    return found


def test_distance_counts_standard_deviations_from_the_nominal_values() -> None:
    space = space_of(nominal={"ego_speed_mps": 23.5})
    point = np.array([0.25, 0.5, 0.5, 2.0, 1.0])  # 23.5 m/s of [20, 34]; choices count nothing
    assert space.distance(point) == pytest.approx(0.0)
    point[0], point[1] = 0.75, 0.5 + 0.5 / 3.0
    assert space.offsets(point) == pytest.approx({"ego_speed_mps": 3.0, "time_gap_s": 1.0, "reveal_s": 0.0})
    assert space.distance(point) == pytest.approx(math.sqrt(10.0))
    assert space.values(point)["lead"] == "truck"
    assert space.case(point).seed == 3_000_000


def test_fixed_ranges_have_no_distance_and_drawn_values_stay_inside() -> None:
    space = space_of(narrowed={"reveal_s": 2.0, "lead": "van", "time_gap_s": [0.3, 0.4]})
    points = space.everything().sample(200, np.random.default_rng(0))
    values = [space.values(point) for point in points]
    assert {v["reveal_s"] for v in values} == {2.0}
    assert {v["lead"] for v in values} == {"van"}
    assert all(0.3 <= float(v["time_gap_s"]) <= 0.4 for v in values)
    assert "reveal_s" not in space.offsets(points[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"narrowed": {"ego_speed_mps": [10, 30]}}, "outside"),
        ({"nominal": {"ego_speed_mps": 50}}, "outside"),
        ({"nominal": {"lead": "car"}}, "range with a nominal value"),
        ({"nominal": {"speed": 1}}, "range with a nominal value"),
        ({"spread": 0.0}, "spread"),
        ({"exposure": "guess"}, "exposure"),
        ({"seed": -1}, "seed"),
        ({"narrowed": {"ego_speed_mps": 30, "time_gap_s": 0.3, "reveal_s": 2.0}}, "no range"),
    ],
)
def test_bad_spaces(changes: dict[str, Any], message: str) -> None:
    with pytest.raises((ParameterError, UnknownNameError), match=message):
        space_of(**changes)


def test_densities_are_those_of_cut_normals_and_shares() -> None:
    proposal = Proposal((0.2, 0.0, 0.9), (0.3, 1.0, math.inf), ((), (0.25, 0.75), ()))
    points = np.array([[0.1, 1.0, 0.3], [0.9, 0.0, 1.0]])
    cut = truncnorm(-0.2 / 0.3, 0.8 / 0.3, loc=0.2, scale=0.3)
    expected = cut.logpdf(points[:, 0]) + np.log([0.75, 0.25])
    np.testing.assert_allclose(proposal.log_density(points), expected, rtol=1e-12)
    even = Proposal((0.5, 0.0, 0.5), (math.inf, 1.0, math.inf), ((), (0.5, 0.5), ()))
    both = Mixture((proposal, even), (0.3, 0.7)).log_density(points)
    np.testing.assert_allclose(np.exp(both), 0.3 * np.exp(expected) + 0.7 * 0.5, rtol=1e-12)


def test_a_far_tail_keeps_its_mass() -> None:
    tail = Proposal((-3.0,), (0.25,), ((),))  # [0, 1] lies 12 standard deviations out
    expected = norm.logpdf(0.01, -3.0, 0.25) - norm.logsf(12.0)
    assert tail.log_density(np.array([[0.01]]))[0] == pytest.approx(expected, rel=1e-9)
    drawn = tail.sample(100, np.random.default_rng(1))
    assert ((drawn >= 0.0) & (drawn <= 1.0)).all()


def test_samples_follow_their_density() -> None:
    proposal = Proposal((0.9, 0.0), (0.2, 1.0), ((), (0.1, 0.6, 0.3)))
    drawn = proposal.sample(20_000, np.random.default_rng(2))
    cut = truncnorm(-0.9 / 0.2, 0.1 / 0.2, loc=0.9, scale=0.2)
    assert drawn[:, 0].mean() == pytest.approx(cut.mean(), abs=0.005)
    assert drawn[:, 0].std() == pytest.approx(cut.std(), abs=0.005)
    np.testing.assert_allclose(np.bincount(drawn[:, 1].astype(int)) / 20_000, [0.1, 0.6, 0.3], atol=0.015)


def test_the_search_comes_nearer_than_random_sampling() -> None:
    space = space_of(nominal={"ego_speed_mps": 24.0})
    # Nearest point of the failing side: the line speed = 32 + 2 (gap - 0.2); in standard deviations the speed alone
    # weighs 14 / 6 m/s each, the gap 0.7 / 6 s each.
    slope, scale = 2.0, np.array([14.0 / 6.0, 0.7 / 6.0])
    expected = (32.0 + slope * 0.35 - 24.0) / math.hypot(scale[0], slope * scale[1])
    for seed in range(3):
        nearest = search(space, Budget(300), np.random.default_rng(seed), judge)
        random = search(space, Budget(300, method="random"), np.random.default_rng(seed), judge)
        best, other = (found.distances[found.failures()[0]] for found in (nearest, random))
        assert expected <= best < expected * 1.08
        assert best < other


def test_what_is_unavoidable_is_no_find_and_does_not_lead_the_search() -> None:
    space = space_of()
    found = search(space, Budget(200), np.random.default_rng(0), lambda cases: judge(cases, 32.5, 33.0))
    assert found.count("unavoidable") > 0
    assert all(found.trials[place].outcome == "fail" for place in found.failures())
    hopeless = search(space, Budget(60), np.random.default_rng(0), lambda cases: judge(cases, 40.0, 20.0))
    assert hopeless.failures() == []
    assert hopeless.first() is None
    assert proposal_of(space, hopeless) is None


def test_the_same_seed_gives_the_same_search_and_no_more_than_its_budget() -> None:
    asked: list[int] = []

    def drive(cases: Sequence[Case]) -> list[Trial]:
        asked.append(len(cases))
        return judge(cases)

    first = search(space_of(), Budget(70, 30), np.random.default_rng(5), drive)
    again = search(space_of(), Budget(70, 30), np.random.default_rng(5), judge)
    assert asked == [30, 30, 10]
    np.testing.assert_array_equal(first.points, again.points)
    assert first.first() == 1 + next(k for k, trial in enumerate(first.trials) if trial.outcome == "fail")


def test_importance_sampling_finds_a_rare_rate_without_bias() -> None:
    space = space_of(nominal={"ego_speed_mps": 24.0})
    # Failing needs speed - 2 gap > 31.6: a normal sum, cut at three standard deviations or more on the near side.
    speed = truncnorm(-4.0 * 6 / 14, 10.0 * 6 / 14, loc=24.0, scale=14.0 / 6.0)
    gap = truncnorm(-3.0, 3.0, loc=0.55, scale=0.7 / 6.0)
    gaps = np.linspace(0.2, 0.9, 4001)
    truth = float(np.trapezoid(gap.pdf(gaps) * speed.sf(31.6 + 2.0 * gaps), gaps))
    assert truth < 4e-4
    estimates, inside, effective = [], 0, []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        found = search(space, Budget(150), rng, judge)
        proposal = proposal_of(space, found)
        assert proposal is not None
        points = proposal.sample(150, rng)
        rate = weighted_rate(space, proposal, points, judge([space.case(point) for point in points]))
        estimates.append(rate.rate.estimate)
        effective.append(rate.effective)
        inside += rate.rate.low <= truth <= rate.rate.high
    assert np.mean(estimates) == pytest.approx(truth, rel=0.15)
    assert inside >= 19  # of 24 at 95 %
    assert min(effective) > 5.0


def test_rates_count_scored_cases_only() -> None:
    space = space_of()
    cases = [space.case(point) for point in space.everything().sample(4, np.random.default_rng(0))]
    outcomes = ("fail", "pass", "unavoidable", "unscored")
    trials = [Trial(case, o, o != "unavoidable", 0.0, True) for case, o in zip(cases, outcomes, strict=True)]  # type: ignore[arg-type]
    plain = plain_rate(trials)
    assert (plain.failures, plain.scored, plain.rate.estimate) == (1, 2, 0.5)
    points = space.everything().sample(4, np.random.default_rng(0))
    even = weighted_rate(space_of(exposure="uniform"), Mixture((space.everything(),), (1.0,)), points, trials)
    assert (even.failures, even.scored, even.rate.estimate, even.effective) == (1, 2, 0.5, 1.0)
    none = weighted_rate(space, Mixture((space.everything(),), (1.0,)), points[1:], trials[1:])
    assert none.rate.estimate == 0.0
    assert "no failure" in none.rate.reason


def test_the_map_goes_through_the_nearest_failure() -> None:
    space = space_of()
    point = np.array([1.0, 0.0, 0.5, 0.0, 0.0])
    names = choose_axes(space, None, point)
    assert names == ("ego_speed_mps", "time_gap_s")
    chart = draw_boundary(space, names, point, 7, judge)
    assert chart.axes[0] == tuple(21.0 + 2.0 * k for k in range(7))
    assert chart.outcome[0] == ("pass",) * 6 + ("fail",)  # gap 0.25: from 32.1 m/s on
    assert dict(chart.held) == {"reveal_s": 2.01, "lead": "car", "side": "left"}
    with pytest.raises(UnknownNameError, match="range for the map"):
        choose_axes(space, ["lead", "ego_speed_mps"], None)
    with pytest.raises(ParameterError, match="two different"):
        choose_axes(space, ["ego_speed_mps", "ego_speed_mps"], None)


def test_found_cases_come_back_from_their_suite_as_they_were(tmp_path: Path) -> None:
    found = search(space_of(), Budget(90), np.random.default_rng(1), judge)
    study = FailureStudy(space_of(), "idm", "zero", Budget(90), found, None, None, None, 0, 0.95)
    count = write_suite(study, tmp_path / "found.yaml", "found")
    again = suite_cases(load_suite(str(tmp_path / "found.yaml")))
    assert again == tuple(found.trials[place].case for place in found.failures())
    assert count == len(again) > 3


@pytest.mark.parametrize("wrong", [{"simulations": 0}, {"population": 2.5}, {"elite": 1.0}, {"method": "luck"}])
def test_bad_budgets(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        Budget(**wrong)
