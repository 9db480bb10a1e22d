"""Do the statistics keep their promises? Outcomes drawn with known rates, put through the very functions that runs use.

Every figure is a share of simulated runs with its own Clopper-Pearson interval, so that a promise is called broken only if
the simulation shows it. Draws come from named streams: the same numbers of runs give the same tables.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from simdrive.eval.anytime import log_evidence
from simdrive.eval.power import Design, cases_for, power
from simdrive.eval.stats import Interval, clopper_pearson, holm, mcnemar, paired_rates
from simdrive.eval.stopping import StopRule, next_stop
from simdrive.streams import stream
from simdrive.types import Bool

ALPHA = 0.05
CONFIDENCE = 0.999  # of the intervals around simulated shares: there are dozens
HORIZON = 2000  # cases over which one looks after every case, or every round
RATES = (0.002, 0.01, 0.05, 0.2, 0.5)
SCENARIO_RATES = (0.0, 0.0, 0.01, 0.01, 0.02, 0.02, 0.05, 0.05, 0.1, 0.1, 0.3, 0.5, 0.8, 1.0)
SCORED_SHARES = (1.0, 0.5, 1.0, 0.8, 0.9, 1.0, 1.0, 0.7, 1.0, 0.9, 0.6, 1.0, 0.5, 0.9)
FIRST_LOOK = 30  # cases before the first look at a Wilson interval: below, nobody would
_RUNS_AT_ONCE = 500

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Simulated:
    """A share of simulated runs beside what was promised.

    Attributes:
        what: the promise, or the practice shown beside it.
        setting: how outcomes were drawn.
        runs: number of simulated runs.
        share: of runs, with its Clopper-Pearson interval.
        promised: most (errors) or exact value (power); NaN where nothing is promised.
        kept: whether the simulation is compatible with the promise; None where nothing is promised.
    """

    what: str
    setting: str
    runs: int
    share: Interval
    promised: float
    kept: bool | None


def _share(
    what: str, setting: str, count: int, runs: int, promised: float = math.nan, exact: bool = False
) -> Simulated:
    share = clopper_pearson(count, runs, CONFIDENCE)
    kept = None if math.isnan(promised) else share.low <= promised and (not exact or promised <= share.high)
    return Simulated(what, setting, runs, share, promised, kept)


# --- coverage at every time ------------------------------------------------------------------------------------


def coverage(runs: int = 4000) -> list[Simulated]:
    """Return how often an interval misses the true rate at least once, looking after every case or every round."""
    rows: list[Simulated] = []
    for number, rate in enumerate(RATES):
        draw = functools.partial(_independent, rate)
        rows += _missed(f"independent cases, rate {rate:g}", rate, draw, number, runs, wilson=True)
    mix = _mix_rate()
    rows += _missed(
        f"rounds of {len(SCENARIO_RATES)} scenarios, rates 0 to 1, overall {mix:.3f}", mix, _rounds, 100, runs
    )
    for number, (failures, cases) in enumerate(((5, 500), (100, 500), (40, 2000))):
        draw = functools.partial(_without_replacement, failures, cases)
        rows += _missed(
            f"a grid of {cases} cases in drawn order, {failures} failures", failures / cases, draw, 200 + number, runs
        )
    return rows


Draw = Callable[[np.random.Generator, int], tuple[Counts, Counts]]


def _missed(setting: str, rate: float, draw: Draw, number: int, runs: int, wilson: bool = False) -> list[Simulated]:
    rng = stream("simulation", "coverage", number)
    z = float(ndtri(1.0 - 0.5 * ALPHA))
    ever, by_wilson = 0, 0
    for first in range(0, runs, _RUNS_AT_ONCE):
        failures, scored = draw(rng, min(_RUNS_AT_ONCE, runs - first))
        ever += int((log_evidence(failures, scored, rate) >= -math.log(ALPHA)).any(axis=1).sum())
        off = np.abs(failures - scored * rate) > z * np.sqrt(scored * rate * (1.0 - rate))
        by_wilson += int((off & (scored >= FIRST_LOOK)).any(axis=1).sum())
    found = [_share("anytime-valid interval misses at any look", setting, ever, runs, ALPHA)]
    if wilson:
        found.append(_share(f"Wilson interval misses at any look from case {FIRST_LOOK} on", setting, by_wilson, runs))
    return found


def _independent(rate: float, rng: np.random.Generator, runs: int) -> tuple[Counts, Counts]:
    """Return failures and scored cases after every case, ``[runs, HORIZON]``."""
    failures: Counts = np.cumsum(rng.random((runs, HORIZON)) < rate, axis=1, dtype=np.int64)
    return failures, np.broadcast_to(np.arange(1, HORIZON + 1), failures.shape)


def _mix_rate() -> float:
    rates, scored = np.array(SCENARIO_RATES), np.array(SCORED_SHARES)
    return float((rates * scored).sum() / scored.sum())


def _rounds(rng: np.random.Generator, runs: int) -> tuple[Counts, Counts]:
    """Return failures and scored cases after every round with one case of each scenario, some of them unscored."""
    shape = (runs, HORIZON // len(SCENARIO_RATES), len(SCENARIO_RATES))
    scored = rng.random(shape) < np.array(SCORED_SHARES)
    failed = scored & (rng.random(shape) < np.array(SCENARIO_RATES))
    return np.cumsum(failed.sum(axis=2), axis=1), np.cumsum(scored.sum(axis=2), axis=1)


def _without_replacement(failures: int, cases: int, rng: np.random.Generator, runs: int) -> tuple[Counts, Counts]:
    """Return failures after every case of a fixed set that is driven in a drawn order, ``[runs, cases]``."""
    failed = np.broadcast_to(np.arange(cases) < failures, (runs, cases))
    counts: Counts = np.cumsum(rng.permuted(failed, axis=1), axis=1, dtype=np.int64)
    return counts, np.broadcast_to(np.arange(1, cases + 1), counts.shape)


# --- error of the paired test ------------------------------------------------------------------------------------


def paired_error(runs: int = 4000) -> list[Simulated]:
    """Return how often the exact McNemar test finds a difference between agents that do not differ."""
    rows = []
    number = 0
    for cases in (50, 200, 1000):
        for discordant in (0.02, 0.1, 0.3):
            count = sum(p < ALPHA for p in _null_p_values(cases, discordant, runs, number))
            setting = f"{cases} cases, {100 * discordant:g} % discordant"
            rows.append(_share("exact McNemar, p < 0.05", setting, count, runs, ALPHA))
            number += 1
    rows += _sweep_error(runs)
    rows += _stopped_error(max(runs // 4, 1))
    return rows


def _null_p_values(cases: int, discordant: float, runs: int, number: int) -> Iterator[float]:
    """Yield p-values of whole tables of outcomes of two agents with equal rates."""
    rng = stream("simulation", "paired", number)
    for _ in range(runs):
        first = rng.random(cases) < 0.2
        differs = rng.random(cases) < discordant
        # Which of the two fails a discordant case is a fair coin: that is what equal rates mean here.
        coin = rng.random(cases) < 0.5
        a = np.where(differs, coin, first)
        yield paired_rates(a, np.where(differs, ~coin, a)).p_value


def _sweep_error(runs: int, settings: int = 6, cases: int = 300) -> list[Simulated]:
    """Return how often at least one of several settings is called different from the first although none is."""
    rng = stream("simulation", "sweep")
    raw = adjusted = 0
    for _ in range(runs):
        hardness = rng.random(cases)  # cases hard for one setting are hard for the others
        outcomes: Bool = rng.random((settings + 1, cases)) < 0.3 * hardness
        p_values = [paired_rates(outcomes[0], other).p_value for other in outcomes[1:]]
        raw += min(p_values) < ALPHA
        adjusted += min(holm(p_values)) < ALPHA
    setting = f"{settings} settings against the same first one, {cases} cases, none differs"
    return [
        _share("smallest p after Holm < 0.05", setting, adjusted, runs, ALPHA),
        _share("smallest raw p < 0.05", setting, raw, runs),
    ]


def _stopped_error(runs: int) -> list[Simulated]:
    """Return the error of the test at the time at which ``stop=half_width:...`` ends a run, and of looking each time."""
    rule, size, rows = StopRule(0.05), 14, []
    for number, rate in enumerate((0.05, 0.2)):
        rng = stream("simulation", "stopped", number)
        at_end = ever = 0
        for _ in range(runs):
            looks = list(_looks(rule, rate, size, rng))
            at_end += looks[-1] < ALPHA
            ever += min(looks) < ALPHA
        setting = f"two agents that fail {100 * rate:g} %, stop=half_width:{rule.half_width:g}"
        rows.append(_share("exact McNemar at the end of a stopped run", setting, at_end, runs, ALPHA))
        rows.append(_share("exact McNemar at any look of it", setting, ever, runs))
    return rows


def _looks(rule: StopRule, rate: float, size: int, rng: np.random.Generator, most: int = 400) -> Iterator[float]:
    """Yield the paired p-value at every look of a run of two agents until the rule ends it."""
    hardness = rng.random((most * size, 1))
    outcomes = rng.random((most * size, 2)) < 2.0 * rate * hardness
    done, counts = 0, [(0, 0), (0, 0)]
    while True:
        done = next_stop(rule, counts, done, most, size)
        seen = outcomes[: done * size]
        counts = [(int(seen[:, agent].sum()), len(seen)) for agent in (0, 1)]
        yield mcnemar(int((seen[:, 0] & ~seen[:, 1]).sum()), int((~seen[:, 0] & seen[:, 1]).sum()))
        if rule.met(counts) or done == most:
            return


# --- power -------------------------------------------------------------------------------------------------------

POWER_ROWS = (
    (0.03, 0.08, 200), (0.03, 0.08, 300), (0.03, 0.08, 500),
    (0.02, 0.05, 500), (0.02, 0.05, 1000),
    (0.0, 0.02, 400), (0.1, 0.2, 150),
)  # fmt: skip  # shares of cases that only the first, only the second agent fails; cases


def power_table(runs: int = 4000, rows: Sequence[tuple[float, float, int]] = POWER_ROWS) -> list[Simulated]:
    """Return how often the test finds a true difference, beside what ``simdrive stats power`` says."""
    found = []
    for number, (only_first, only_second, cases) in enumerate(rows):
        design = Design(only_second - only_first, only_first + only_second)
        found.append(_power_row(only_first, only_second, cases, power(design, cases), number, runs, "power"))
    for number, (only_first, only_second) in enumerate(((0.03, 0.08), (0.02, 0.05), (0.0, 0.02))):
        design = Design(only_second - only_first, only_first + only_second)
        planned = cases_for(design, 0.8)
        assert planned is not None
        what = "power with the cases planned for 0.8"
        found.append(_power_row(only_first, only_second, planned, power(design, planned), 100 + number, runs, what))
    return found


def _power_row(
    only_first: float, only_second: float, cases: int, promised: float, number: int, runs: int, what: str
) -> Simulated:
    rng = stream("simulation", "power", number)
    count = 0
    for _ in range(runs):
        draw = rng.random(cases)
        first, second = draw < only_first, (draw >= only_first) & (draw < only_first + only_second)
        count += paired_rates(first, second).p_value < ALPHA
    setting = f"{100 * only_second:g} % against {100 * only_first:g} %, {cases} cases"
    return _share(what, setting, count, runs, promised, exact=True)
