"""Intervals and tests against published and hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simdrive.eval import stats


def test_wilson_of_the_textbook() -> None:
    # Newcombe 1998 (single proportion): 81/263 and 15/148 and 0/20, method 3.
    for count, total, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
    ]:
        interval = stats.wilson(count, total)
        assert interval.estimate == count / total
        assert interval.low == pytest.approx(low, abs=5e-5)
        assert interval.high == pytest.approx(high, abs=5e-5)


@given(st.integers(1, 400), st.floats(0.0, 1.0))
@settings(max_examples=60, deadline=None)
def test_wilson_holds_its_estimate_and_is_symmetric(total: int, share: float) -> None:
    count = round(share * total)
    interval, mirrored = stats.wilson(count, total), stats.wilson(total - count, total)
    assert 0.0 <= interval.low <= interval.estimate <= interval.high <= 1.0
    assert interval.low == pytest.approx(1.0 - mirrored.high)


def test_clopper_pearson_of_small_counts() -> None:
    assert stats.clopper_pearson(15, 300).low == pytest.approx(0.028, abs=5e-4)
    assert stats.clopper_pearson(15, 300).high == pytest.approx(0.081, abs=5e-4)
    for total, high in [(100, 0.0362), (300, 0.0122), (1000, 0.0037), (3000, 0.0012)]:
        assert stats.clopper_pearson(0, total).high == pytest.approx(high, abs=5e-5)
        assert stats.clopper_pearson(0, total).low == 0.0
    assert stats.clopper_pearson(20, 20).high == 1.0
    assert stats.clopper_pearson(20, 20).low == pytest.approx(0.025 ** (1 / 20))


def test_rates_without_data_and_impossible_counts() -> None:
    for interval in (stats.wilson(0, 0), stats.clopper_pearson(0, 0), stats.newcombe(0, 0, 0, 0)):
        assert math.isnan(interval.estimate)
        assert math.isnan(interval.low)
    for function in (stats.wilson, stats.clopper_pearson):
        with pytest.raises(ValueError, match="5 of 4"):
            function(5, 4)


def test_rule_of_three() -> None:
    assert stats.rule_of_three(300) == 0.01
    assert stats.rule_of_three(2) == 1.0
    with pytest.raises(ValueError, match="at least one trial"):
        stats.rule_of_three(0)


def test_mcnemar_needs_six_one_way_pairs() -> None:
    assert stats.mcnemar(0, 5) == pytest.approx(2 * 0.5**5)
    assert stats.mcnemar(0, 6) == pytest.approx(2 * 0.5**6)
    assert stats.mcnemar(0, 6) < 0.05 < stats.mcnemar(0, 5)
    assert stats.mcnemar(3, 8) == pytest.approx(2 * sum(math.comb(11, k) for k in range(4)) / 2**11)
    assert stats.mcnemar(0, 0) == 1.0
    assert stats.mcnemar(4, 4) == 1.0


def test_newcombe_of_the_paper() -> None:
    # Newcombe 1998 (paired proportions), method 10: 20, 12, 2, 16 gives 0.2 [0.0562, 0.3292].
    interval = stats.newcombe(both=20, only_first=2, only_second=12, neither=16)
    assert interval.estimate == pytest.approx(0.2)
    assert interval.low == pytest.approx(0.0562, abs=5e-5)
    assert interval.high == pytest.approx(0.3292, abs=5e-5)


def test_newcombe_swaps_sign_and_stays_in_range() -> None:
    there, back = stats.newcombe(5, 7, 1, 30), stats.newcombe(5, 1, 7, 30)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert stats.newcombe(0, 0, 4, 0).high <= 1.0


def test_paired_rates_count_discordant_pairs() -> None:
    first = np.array([1, 1, 0, 0, 0, 0, 0, 0], dtype=bool)
    second = np.array([1, 0, 1, 1, 1, 0, 0, 0], dtype=bool)
    found = stats.paired_rates(first, second)
    assert (found.pairs, found.only_first, found.only_second) == (8, 1, 3)
    assert found.difference.estimate == pytest.approx(2 / 8)
    assert found.p_value == pytest.approx(0.625)
    with pytest.raises(ValueError, match="equal lengths"):
        stats.paired_rates(first, second[:3])


def test_holm_by_hand() -> None:
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    assert stats.holm([]) == []


def test_holm_leaves_out_what_was_not_tested() -> None:
    adjusted = stats.holm([math.nan, 0.02, 0.03])
    assert math.isnan(adjusted[0])
    assert adjusted[1:] == pytest.approx([0.04, 0.04])


def test_interquartile_mean() -> None:
    assert stats.interquartile_mean(np.array([100.0, 1.0, 2.0, -50.0])) == 1.5
    assert stats.interquartile_mean(np.arange(8.0)) == 3.5
    assert math.isnan(stats.interquartile_mean(np.zeros(0)))


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_bootstrap_of_a_mean_is_near_the_normal_interval() -> None:
    values = generator(4).normal(3.0, 2.0, size=400)
    interval = stats.bootstrap(values, generator())
    half = 1.96 * values.std() / 20.0
    assert interval.estimate == values.mean()
    assert interval.low == pytest.approx(values.mean() - half, abs=0.05)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.05)


def test_bootstrap_draws_from_the_given_generator_only() -> None:
    values = generator(1).normal(size=50)
    first = stats.bootstrap(values, generator(7), draws=200)
    assert first == stats.bootstrap(values, generator(7), draws=200)
    assert first != stats.bootstrap(values, generator(8), draws=200)


def test_bootstrap_keeps_strata_apart() -> None:
    # Within each stratum there is no spread: resampling strata separately must give no spread either.
    values = np.array([0.0] * 30 + [10.0] * 10)
    strata = np.array(["easy"] * 30 + ["hard"] * 10)
    interval = stats.bootstrap(values, generator(), strata=strata, draws=200)
    assert (interval.low, interval.estimate, interval.high) == (2.5, 2.5, 2.5)
    loose = stats.bootstrap(values, generator(), draws=200)
    assert loose.high - loose.low > 1.0


def test_bootstrap_of_clusters_is_wider_than_of_rows() -> None:
    rng = generator(3)
    values = np.repeat(rng.normal(size=20), 10) + 0.01 * rng.normal(size=200)
    clusters = np.repeat(np.arange(20), 10)
    wide = stats.bootstrap(values, generator(), clusters=clusters, draws=400)
    narrow = stats.bootstrap(values, generator(), draws=400)
    assert (wide.high - wide.low) > 2.0 * (narrow.high - narrow.low)


def test_bootstrap_takes_any_statistic_and_refuses_what_it_cannot_use() -> None:
    values = np.arange(20.0)
    interval = stats.bootstrap(values, generator(), stats.interquartile_mean, draws=100)
    assert interval.estimate == 9.5
    with pytest.raises(ValueError, match="2 labels for 20 values"):
        stats.bootstrap(values, generator(), strata=np.array([1, 2]))
    with pytest.raises(ValueError, match="NaN"):
        stats.bootstrap(np.array([1.0, math.nan]), generator())
    assert math.isnan(stats.bootstrap(np.zeros(0), generator()).estimate)
