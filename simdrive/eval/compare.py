"""Is a candidate worse than a baseline? Paired on (case, latency setting); what has no counterpart is listed.

Each agent of the candidate meets the agent of the same name in the baseline, or the only one there is. Each latency
setting is judged by itself: pooling settings would count one case several times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.eval.differences import Difference, paired_difference, totals_difference
from simdrive.eval.gate import RATE_NAMES, Gate, Rule
from simdrive.eval.sides import SETTING, Side
from simdrive.eval.stats import Interval, holm
from simdrive.eval.summary import RATES, counted, metric_columns
from simdrive.eval.verdict import Verdict, decide

SHOWN_MEANS = ("min_ttc_s", "longitudinal_jerk_rms_mps3", "progress_ratio", "nuplan_score")
Measure = Callable[[str, bool, str | None], Difference]


@dataclass(frozen=True)
class RuleResult:
    """One rule on one group; ``fired`` is None where there was nothing to judge."""

    rule: Rule
    group: str
    value: Interval
    fired: bool | None
    refusal: str = ""  # why it could not be judged

    @property
    def text(self) -> str:
        """Rule, group and value in plain words."""
        if self.fired is None:
            return f"{self.rule.text} cannot be judged for {self.group}: {self.refusal}"
        value = self.value
        form = "+.4f" if self.rule.relative else ".4f"
        where = f" in {self.rule.scenario}" if self.rule.scenario else ""
        found = f"{value.estimate:{form}} [{value.low:{form}}, {value.high:{form}}]"
        return f"{self.rule.text} {'fired' if self.fired else 'held'} for {self.group}{where}: {found}"


@dataclass(frozen=True)
class ComparedGroup:
    """One agent of the candidate under one latency setting, beside its baseline."""

    base_agent: str
    agent: str
    latency: str
    camera: str
    corruption: str
    paired: bool
    differences: tuple[Difference, ...]
    p_holm: float  # of the failure rate, over all groups
    results: tuple[RuleResult, ...]

    @property
    def label(self) -> str:
        """Agent and setting in one line."""
        return group_label(self.agent, self.latency, self.camera, self.corruption)


@dataclass(frozen=True)
class Unpaired:
    """An episode that takes no part in the comparison of failures, and why."""

    side: str  # "base" or "candidate": where it is
    case_key: str
    scenario: str
    seed: int
    agent: str
    latency: str
    reason: str


@dataclass(frozen=True)
class Comparison:
    """A candidate against a baseline, with the verdict that text and exit code come from."""

    base: str
    candidate: str
    groups: tuple[ComparedGroup, ...]
    unpaired: tuple[Unpaired, ...]
    unscored_in_both: int  # pairs without a scored failure on either side, e.g. unavoidable cases
    verdict: Verdict


def group_label(*parts: str) -> str:
    """Return agent, latency, camera and corruption as one line, empty parts left out."""
    return ", ".join(part for part in parts if part)


def compare(base: Side, candidate: Side, gate: Gate) -> Comparison:
    """Compare two sides and judge the candidate by the rules of a gate.

    Raises:
        ParameterError: if the agents cannot be matched, nothing can be paired, or the candidate is a summary.
        UnknownNameError: if a rule names a metric, scenario, agent or setting that is not there.
    """
    if candidate.totals:
        raise ParameterError(f"the candidate must be a run folder, {candidate.name} is a summary")
    _check_rules(gate.rules, candidate)
    pairs = _matched_agents(base, candidate)
    groups = [group for match in pairs for group in _compared(base, candidate, match, gate)]
    if not groups and len(candidate.episodes) and (len(base.episodes) or base.totals):
        raise ParameterError(
            f"nothing can be paired: {base.name} has {_settings_of(base)}, {candidate.name} has {_settings_of(candidate)}"
        )
    adjusted = holm([_failure_p(group) for group in groups])
    groups = [_with_holm(group, p) for group, p in zip(groups, adjusted, strict=True)]
    unpaired, neither = _unpaired(base, candidate, pairs)
    verdict = _verdict(base, candidate, gate, groups, unpaired)
    return Comparison(base.name, candidate.name, tuple(groups), tuple(unpaired), neither, verdict)


def _matched_agents(base: Side, candidate: Side) -> list[tuple[str, str]]:
    """Return (agent of the baseline, agent of the candidate)."""
    if len(base.agents) == 1:
        return [(base.agents[0], agent) for agent in candidate.agents]
    shared = [(agent, agent) for agent in candidate.agents if agent in base.agents]
    if not shared:
        raise ParameterError(
            f"the baseline has the agents {', '.join(base.agents)}, the candidate {', '.join(candidate.agents)}; choose "
            "with --base-agent (and --candidate-agent)"
        )
    return shared


def _settings_of(side: Side) -> str:
    groups = side.totals or side.plan.drop_duplicates(list(SETTING)).to_dict("records")
    names = dict.fromkeys(group_label(*(str(group[name]) for name in SETTING)) for group in groups)
    return "; ".join(names) or "no setting"


def _check_rules(rules: tuple[Rule, ...], candidate: Side) -> None:
    known = [*RATE_NAMES, *(metric_columns(candidate.episodes) if len(candidate.episodes) else [])]
    for rule in rules:
        if len(candidate.episodes) and rule.metric not in known:
            raise UnknownNameError(f"metric in the rule {rule.text!r}", rule.metric, known)
        for name in ("scenario", "agent", "latency"):
            wanted, there = getattr(rule, name), [str(value) for value in candidate.plan[name].unique()]
            if wanted is not None and wanted not in there:
                raise UnknownNameError(f"{name} of the rule {rule.text!r}", wanted, there)


def _by_setting(episodes: pd.DataFrame, agent: str) -> dict[tuple[str, ...], pd.DataFrame]:
    mine = episodes[episodes["agent"] == agent]
    return {tuple(map(str, name)): frame for name, frame in mine.groupby(list(SETTING), sort=False)}


def _compared(base: Side, candidate: Side, match: tuple[str, str], gate: Gate) -> Iterator[ComparedGroup]:
    firsts = _by_setting(base.episodes, match[0])
    for setting, frame in _by_setting(candidate.episodes, match[1]).items():
        totals = {
            group["scenario"]: group
            for group in base.totals
            if group["agent"] == match[0] and tuple(str(group[name]) for name in SETTING) == setting
        }
        if not totals and setting not in firsts:
            continue
        measure = _from_totals(totals, frame, gate) if totals else _from_pairs(firsts[setting], frame, gate)
        label = group_label(match[1], *setting)
        rates = [name for name in RATES if name in frame.columns]
        means = [name for name in SHOWN_MEANS if name in frame.columns]
        differences = [measure(name, True, None) for name in rates] + [measure(name, False, None) for name in means]
        results = [_judged(rule, label, measure, gate) for rule in gate.rules if _applies(rule, match[1], setting[0])]
        latency, camera, corruption = setting
        yield ComparedGroup(
            *match, latency, camera, corruption, not totals, tuple(differences), math.nan, tuple(results)
        )


def _from_pairs(first: pd.DataFrame, second: pd.DataFrame, gate: Gate) -> Measure:
    def measure(metric: str, is_rate: bool, scenario: str | None) -> Difference:
        a, b = (f if scenario is None else f[f["scenario"] == scenario] for f in (first, second))
        return paired_difference(a, b, metric, is_rate=is_rate, confidence=gate.confidence)

    return measure


def _from_totals(totals: dict[Any, Any], second: pd.DataFrame, gate: Gate) -> Measure:
    def measure(metric: str, is_rate: bool, scenario: str | None) -> Difference:
        frame = second if scenario is None else second[second["scenario"] == scenario]
        group = totals.get(scenario, {"rates": {}, "scores": {}})
        return totals_difference(group, frame, metric, is_rate=is_rate, confidence=gate.confidence)

    return measure


def _applies(rule: Rule, agent: str, latency: str) -> bool:
    return rule.agent in (None, agent) and rule.latency in (None, latency)


def _judged(rule: Rule, label: str, measure: Measure, gate: Gate) -> RuleResult:
    found = measure(rule.column, rule.is_rate, rule.scenario)
    value = found.change if rule.relative else found.candidate
    refusal = refused(found, value, gate)
    return RuleResult(rule, label, value, None if refusal else rule.fires(value, gate.decide), refusal)


def refused(found: Difference, value: Interval, gate: Gate) -> str:
    """Return why a rule cannot be judged on a figure: too few cases; empty if it can."""
    if math.isnan(value.estimate):
        return "nothing is scored there"
    if found.cases < gate.min_cases:
        return f"unscored: {found.cases} scored cases, the gate asks for {gate.min_cases}"
    return value.reason if gate.decide == "interval" else ""


def _failure_p(group: ComparedGroup) -> float:
    return next((each.p_value for each in group.differences if each.metric == "failure"), math.nan)


def _with_holm(group: ComparedGroup, p_holm: float) -> ComparedGroup:
    return replace(group, p_holm=p_holm)


def _unpaired(base: Side, candidate: Side, pairs: list[tuple[str, str]]) -> tuple[list[Unpaired], int]:
    if base.totals:
        return [], 0
    found: list[Unpaired] = []
    neither = 0
    for side, mine, other, column in (("candidate", candidate, base, 1), ("base", base, candidate, 0)):
        for agent in mine.agents:
            partners = [match[1 - column] for match in pairs if match[column] == agent]
            for setting, frame in _by_setting(mine.episodes, agent).items():
                listed, both = _lonely(side, frame, other, partners, setting)
                found += listed
                neither += both if side == "base" else 0
    return found, neither


def _lonely(
    side: str, frame: pd.DataFrame, other: Side, partners: list[str], setting: tuple[str, ...]
) -> tuple[list[Unpaired], int]:
    """Return the episodes of one group without a counterpart, and how many are unscored on both sides."""
    name = "candidate" if side == "base" else "base"
    agents = partners or [""]
    listed, neither = [], 0
    for partner in agents:
        theirs = _by_setting(other.episodes, partner).get(setting, other.episodes.iloc[:0])
        planned = other.plan
        for key, value in zip(("agent", *SETTING), (partner, *setting), strict=True):
            planned = planned[planned[key] == value]
        here, there = _scored_keys(frame), _scored_keys(theirs)
        driven, due = set(theirs["case_key"]), set(planned["case_key"])
        for row in frame.to_dict("records"):
            case = row["case_key"]
            if case in driven:
                neither += case not in here and case not in there
                if case not in here or case in there:
                    continue  # paired, or listed from the other side
                reason = f"failure is not scored in the {name}"
            else:
                reason = f"{'not driven yet' if case in due else 'not planned'} in the {name}"
            listed.append(Unpaired(side, case, row["scenario"], int(row["seed"]), row["agent"], row["latency"], reason))
    return listed, neither


def _scored_keys(frame: pd.DataFrame) -> set[str]:
    kept = counted(frame)
    return set(kept["case_key"][kept["failure"].notna()]) if "failure" in kept else set()


def _verdict(base: Side, candidate: Side, gate: Gate, groups: list[ComparedGroup], unpaired: list[Unpaired]) -> Verdict:
    results = [result for group in groups for result in group.results]
    invalid = [result.text for result in results if result.fired is None]
    invalid += [
        f"no case has a scored failure on both sides for {group.label}"
        for group in groups
        if group.paired and not any(each.pairs for each in group.differences if each.metric == "failure")
    ]
    missing = [
        f"{side.name} has {side.done} of {side.planned} planned episodes"
        for side in (base, candidate)
        if side.done < side.planned
    ]
    lost = sum(entry.side == "base" and "not planned" in entry.reason for entry in unpaired)
    if lost and not gate.allow_unpaired:
        missing.append(f"{lost} episodes of the baseline have no counterpart (--allow-unpaired accepts that)")
    fired = [result.text for result in results if result.fired]
    held = f"{len(results)} of {len(results)} checks held" if results else "no rule was set (--fail-on)"
    if not missing and not groups:
        invalid.append("no group could be compared")
    return decide(invalid, missing, fired, held)
