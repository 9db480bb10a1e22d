"""From the episodes of a run to the figures that are shown: rates with intervals, means, paired tests.

What is counted, stated in every ``summary.json``: episodes whose case is valid and that no crash among
others blocked. The failure rate counts avoidable cases only. Each mean counts the episodes in which its
metric is scored. Tests compare each agent and latency setting with the first agent under the first setting,
on the cases in which both have a scored failure, and are adjusted for their number after Holm.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from simdrive.errors import IncompleteRunError
from simdrive.eval.anytime import anytime
from simdrive.eval.files import write_json
from simdrive.eval.schema import FACT_COLUMNS
from simdrive.eval.stats import Interval, PairedRates, holm, interquartile_mean, paired_rates, wilson
from simdrive.eval.stopping import Stopped, StopRule, stopped
from simdrive.eval.store import RunStore

GROUP = ("agent", "latency", "camera", "corruption")
RATES = ("failure", "at_fault_contact", "contact", "off_road", "low_progress")
FILTER = "cases that are valid and episodes that no crash among others blocked; failure: avoidable cases only"
AGGREGATION = (
    "rates are k/n with Wilson 95 % intervals; means and interquartile means are over the episodes in which "
    "the metric is scored; p is the exact McNemar test against the reference on the same cases, "
    "Holm-adjusted over all groups; difference is the rate minus the reference's, with Newcombe's paired "
    "95 % interval"
)

ANYTIME = (
    "a stopping rule ended this run: in place of Wilson intervals those of rates are anytime-valid (beta-binomial "
    "mixture confidence sequence), which hold at the time that the data chose"
)
IntervalOf = Callable[[int, int], Interval]


@dataclass(frozen=True)
class Rate:
    """A count of episodes with its interval (Wilson; anytime-valid where a rule ended the run).

    ``total`` counts only episodes in which it is scored.
    """

    count: int
    total: int
    interval: Interval


@dataclass(frozen=True)
class Score:
    """The mean of one metric over ``count`` episodes."""

    mean: float
    interquartile_mean: float
    minimum: float
    maximum: float
    count: int


@dataclass(frozen=True)
class Comparison:
    """A group against the reference: failures on the same cases."""

    paired: PairedRates
    p_holm: float
    unpaired: int  # scored failures of this group without a counterpart in the reference


@dataclass(frozen=True)
class GroupSummary:
    """All figures of one agent under one latency setting, over all scenarios or in one."""

    agent: str
    latency: str
    camera: str
    corruption: str
    scenario: str | None  # None = all
    episodes: int
    counted: int  # after the filter
    avoidable: int
    metric_errors: int  # episodes in which some metric failed
    rates: dict[str, Rate]
    scores: dict[str, Score]  # every metric
    against_reference: Comparison | None


@dataclass(frozen=True)
class RunSummary:
    """The figures of a run: per agent and latency setting, and the same per scenario."""

    planned: int
    done: int
    reference: tuple[str, ...]  # agent, latency, camera, corruption of the reference group
    groups: tuple[GroupSummary, ...]
    by_scenario: tuple[GroupSummary, ...]
    stop: Stopped | None = None  # how a run with a stopping rule ended

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, NaN as None."""
        summary = {
            "planned": self.planned,
            "done": self.done,
            "complete": self.planned == self.done,
            "filter": FILTER,
            "aggregation": AGGREGATION if self.stop is None else f"{AGGREGATION}; {ANYTIME}",
            "reference": dict(zip(GROUP, self.reference, strict=True)),
            **({} if self.stop is None else {"stop": {**dataclasses.asdict(self.stop), "text": self.stop.text}}),
            "groups": [dataclasses.asdict(group) for group in self.groups],
            "by_scenario": [dataclasses.asdict(group) for group in self.by_scenario],
        }
        plain: dict[str, Any] = plain_values(summary)
        return plain


def plain_values(value: Any) -> Any:
    """Return nested mappings and lists with NaN and infinity as None, which JSON can hold."""
    if isinstance(value, dict):
        return {key: plain_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def summarise(store: RunStore) -> RunSummary:
    """Return the figures of the episodes that are done.

    Raises:
        IncompleteRunError: if none is.
    """
    rule = StopRule.of(store.config)
    found = summarise_episodes(store.episodes(), len(store.plan), rule)
    return found if rule is None else dataclasses.replace(found, stop=_stopped(rule, found, store.config))


def _stopped(rule: StopRule, summary: RunSummary, config: dict[str, Any]) -> Stopped:
    rates = [(group, group.rates["failure"]) for group in summary.groups]
    counts = [(group.agent, _setting(group), rate.count, rate.total) for group, rate in rates]
    return stopped(rule, counts, summary.done // len(counts), int(config["cases"]["count"]))


def _setting(group: GroupSummary) -> str:
    return f"{group.latency}, {group.corruption}" if group.corruption else group.latency


def write_summary(store: RunStore, summary: RunSummary) -> None:
    """Write ``summary.json``."""
    write_json(store.path / "summary.json", summary.to_dict())


def summarise_episodes(episodes: pd.DataFrame, planned: int | None = None, rule: StopRule | None = None) -> RunSummary:
    """Return the figures of a table of episodes (columns of ``schema.episodes_schema``), in plan order.

    A rule that may have ended the run makes the intervals of rates anytime-valid.

    Raises:
        IncompleteRunError: if the table is empty.
    """
    if not len(episodes):
        raise IncompleteRunError("there is no episode to summarise")
    episodes = episodes.sort_values("row")
    groups = list(_groups(episodes))
    reference, first = groups[0]
    interval_of = wilson if rule is None else functools.partial(anytime, confidence=rule.confidence)
    comparisons = _compare(first, [frame for _, frame in groups[1:]])
    return RunSummary(
        planned=len(episodes) if planned is None else planned,
        done=len(episodes),
        reference=reference,
        groups=tuple(
            _summary(name, frame, None, comparison, interval_of)
            for (name, frame), comparison in zip(groups, [None, *comparisons], strict=True)
        ),
        by_scenario=tuple(
            _summary(name, part, str(scenario), None, interval_of)
            for name, frame in groups
            for scenario, part in frame.groupby("scenario", sort=False)
        ),
    )


def _groups(episodes: pd.DataFrame) -> Iterator[tuple[tuple[str, ...], pd.DataFrame]]:
    for name, frame in episodes.groupby(list(GROUP), sort=False):
        yield tuple(str(part) for part in name), frame


def metric_columns(episodes: pd.DataFrame) -> list[str]:
    """Return the columns of an episodes table that hold metric values."""
    return [name for name in episodes.columns if name not in FACT_COLUMNS and name != "metric_errors"]


def counted(episodes: pd.DataFrame) -> pd.DataFrame:
    """Return the episodes that figures count (the filter stated in ``FILTER``)."""
    return episodes[episodes["valid"] & (episodes["end"] != "blocked")]


def _rate(values: pd.Series[float], interval_of: IntervalOf) -> Rate:
    scored = values.dropna()
    count, total = int((scored > 0.0).sum()), len(scored)
    return Rate(count, total, interval_of(count, total))


def _score(values: pd.Series[float]) -> Score:
    given = values.to_numpy(np.float64)
    scored = given[~np.isnan(given)].astype(np.float64)
    if not scored.size:
        return Score(math.nan, math.nan, math.nan, math.nan, 0)
    return Score(
        float(scored.mean()),
        interquartile_mean(scored),
        float(scored.min()),
        float(scored.max()),
        len(scored),
    )


def _summary(
    name: tuple[str, ...],
    frame: pd.DataFrame,
    scenario: str | None,
    comparison: Comparison | None,
    interval_of: IntervalOf,
) -> GroupSummary:
    agent, latency, camera, corruption = name
    kept = counted(frame)
    return GroupSummary(
        agent=agent,
        latency=latency,
        camera=camera,
        corruption=corruption,
        scenario=scenario,
        episodes=len(frame),
        counted=len(kept),
        avoidable=int(kept["avoidable"].sum()),
        metric_errors=int((frame["metric_errors"] != "").sum()),
        rates={metric: _rate(kept[metric], interval_of) for metric in RATES if metric in kept},
        scores={metric: _score(kept[metric]) for metric in metric_columns(kept)},
        against_reference=comparison,
    )


def outcomes(frame: pd.DataFrame) -> pd.Series[float]:
    """Return the scored failures of one agent under one latency setting by case (above 0 = failed)."""
    kept = counted(frame)
    return kept.set_index("case_key")["failure"].dropna() if "failure" in kept else pd.Series(dtype=float)


def _compare(reference: pd.DataFrame, others: list[pd.DataFrame]) -> list[Comparison]:
    first = outcomes(reference)
    tables = []
    for frame in others:
        second = outcomes(frame)
        shared = first.index.intersection(second.index, sort=False)
        tables.append(
            (
                paired_rates(first[shared].to_numpy() > 0.0, second[shared].to_numpy() > 0.0),
                len(second) - len(shared),
            )
        )
    adjusted = holm([paired.p_value if paired.pairs else math.nan for paired, _ in tables])
    return [Comparison(paired, p, unpaired) for (paired, unpaired), p in zip(tables, adjusted, strict=True)]
