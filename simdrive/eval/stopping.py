"""When a run has seen enough: as soon as the anytime-valid interval of every failure rate is narrow enough.

Cases are driven in rounds, each of the suite's own mix of scenarios, in an order that depends on the cases alone. All
agents and settings stop together, so that they are still compared on the same cases.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from simdrive.errors import ParameterError
from simdrive.eval.anytime import anytime, fewest_more, half_width
from simdrive.streams import digest, stream
from simdrive.types import Case

_LOOK_CASES = 32  # cases between two looks at least: a look costs a wait for the slowest worker
_FORM = "half_width:0.02 (the failure rate to 2 points on either side)"


@dataclass(frozen=True)
class StopRule:
    """Stop once half the length of every group's interval of the failure rate is at most ``half_width``."""

    half_width: float
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not 0.0 < self.half_width < 0.5:
            raise ParameterError(f"stop=half_width:... must lie between 0 and 0.5, got {self.half_width:g}")
        if not 0.5 < self.confidence < 1.0:
            raise ParameterError(f"confidence of stop must lie between 0.5 and 1, got {self.confidence:g}")

    @classmethod
    def parse(cls, given: Any) -> StopRule | None:
        """Return the rule behind ``half_width:0.02`` (or that with ``@0.99``, a confidence); None for None.

        Raises:
            ParameterError: if it has another form or is out of range.
        """
        if given is None:
            return None
        if isinstance(given, Mapping) and len(given) == 1:  # {half_width: 0.02}
            given = ":".join(map(str, *given.items()))
        kind, _, rest = str(given).partition(":")
        number, at, confidence = rest.partition("@")
        try:
            values = [float(number), float(confidence) if at else 0.95]
        except ValueError:
            values = []
        if kind.strip() != "half_width" or not values:
            raise ParameterError(f"stop={given!r}: must be {_FORM}, with another confidence half_width:0.02@0.99")
        return cls(*values)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> StopRule | None:
        """Return the rule that a run was made with; None without one."""
        found = config.get("stop")
        return cls(float(found["half_width"]), float(found["confidence"])) if found else None

    def config(self) -> dict[str, float]:
        """Return it as plain values."""
        return {"half_width": self.half_width, "confidence": self.confidence}

    def met(self, counts: Iterable[tuple[int, int]]) -> bool:
        """Return whether every group's (failures, scored cases) is known well enough."""
        return all(half_width(*each, self.confidence) <= self.half_width for each in counts)

    def fewest_more(self, counts: Iterable[tuple[int, int]]) -> int:
        """Return how many further cases every group needs at least."""
        return max(fewest_more(*each, self.half_width, self.confidence) for each in counts)


@dataclass(frozen=True)
class Reached:
    """How far one agent under one setting came: its failures, and its interval at the end of the run."""

    agent: str
    latency: str
    failures: int
    scored: int
    low: float
    high: float
    half_width: float  # infinite where nothing is scored


@dataclass(frozen=True)
class Stopped:
    """How a run with a stopping rule ended."""

    rule: StopRule
    reached: bool
    cases: int
    cases_total: int
    groups: tuple[Reached, ...]

    @property
    def text(self) -> str:
        """One sentence."""
        wanted = f"half-width {100 * self.rule.half_width:g} points at confidence {self.rule.confidence:g}"
        if self.reached:
            return f"stopped after {self.cases} cases: {wanted} reached for every rate"
        widest = max(self.groups, key=lambda group: group.half_width)
        now = f"{100 * widest.half_width:.1f} points" if widest.scored else "nothing scored"
        ended = self.cases >= self.cases_total
        return (
            f"NOT REACHED: {wanted}; after {'all ' if ended else ''}{self.cases} cases {widest.agent}, {widest.latency} "
            f"has {now}. {'Give more cases per scenario: cases=N' if ended else 'The same command continues'}"
        )


def stopped(rule: StopRule, groups: Sequence[tuple[str, str, int, int]], cases: int, cases_total: int) -> Stopped:
    """Return how a run ended after some of its cases; groups are (agent, latency, failures, scored cases)."""
    found = []
    for agent, latency, failures, scored in groups:
        interval = anytime(failures, scored, rule.confidence)
        width = half_width(failures, scored, rule.confidence)
        found.append(Reached(agent, latency, failures, scored, interval.low, interval.high, width))
    return Stopped(rule, rule.met((each.failures, each.scored) for each in found), cases, cases_total, tuple(found))


def rounds(cases: Sequence[Case]) -> tuple[tuple[Case, ...], ...]:
    """Cut cases into rounds with the mix of scenarios of them all, as many as there can be.

    Within a scenario the order is drawn, from the cases alone: a grid's own order would be no sample.

    Raises:
        ParameterError: if no round is smaller than all cases.
    """
    by_scenario: dict[str, list[Case]] = {}
    for case in cases:
        by_scenario.setdefault(case.scenario, []).append(case)
    count = math.gcd(*(len(group) for group in by_scenario.values()))
    if count < 2:
        mix = ", ".join(f"{len(group)} {name}" for name, group in by_scenario.items())
        raise ParameterError(
            f"stop=... needs rounds of cases with the suite's mix of scenarios, and {mix} has no smaller round than "
            "itself; give the same number of cases for every scenario with cases=N, N at least 2"
        )
    rng = stream(digest([case.key for case in cases]), "stopping.order")
    shuffled = [[group[k] for k in rng.permutation(len(group))] for group in by_scenario.values()]
    return tuple(
        tuple(case for group in shuffled for case in group[k * len(group) // count : (k + 1) * len(group) // count])
        for k in range(count)
    )


def next_stop(rule: StopRule, counts: Sequence[tuple[int, int]], done: int, rounds_total: int, size: int) -> int:
    """Return after how many rounds to look next.

    A function of the outcomes so far and of nothing else, so that the end is the same for any number of workers. Where
    the rule cannot be met sooner whatever the outcomes, there is no look.

    Args:
        rule: what is wanted.
        counts: (failures, scored cases) per group.
        done: rounds that these are of.
        rounds_total: rounds there are.
        size: cases of a round.
    """
    wanted = max(rule.fewest_more(counts), _LOOK_CASES)
    return min(done + -(-wanted // size), rounds_total)


def outcome_counts(episodes: pd.DataFrame, groups: Sequence[tuple[str, ...]]) -> list[tuple[int, int]]:
    """Return (failures, scored cases) per (agent, latency) or (agent, latency, corruption); columns as named, and valid,
    end, failure.
    """
    kept = episodes[episodes["valid"] & (episodes["end"] != "blocked") & episodes["failure"].notna()]
    failed = kept["failure"] > 0.0
    found = []
    for group in groups:
        mine = pd.Series(True, index=kept.index)
        for column, value in zip(("agent", "latency", "corruption"), group, strict=False):
            mine &= kept[column] == value
        found.append((int((failed & mine).sum()), int(mine.sum())))
    return found
