"""Each group of a report beside its baseline, and the verdict over all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.eval.compare import refused
from simdrive.eval.differences import Difference, paired_difference
from simdrive.eval.gate import Gate, Rule
from simdrive.eval.sides import finished
from simdrive.eval.stats import holm
from simdrive.eval.store import RunStore
from simdrive.eval.summary import counted
from simdrive.eval.verdict import Verdict, decide
from simdrive.report.evidence import AGENT_ERRORS, Evidence, Group

MEANS = ("min_ttc_s", "longitudinal_jerk_rms_mps3", "progress_ratio", "nuplan_score")
ERROR_TOLERANCE = (
    0.05  # share of failed requests above which a group's figures say more about the set-up than the driver
)


@dataclass(frozen=True)
class Judged:
    """A group and the episodes it is compared with; ``base`` is None for a reference itself or without counterpart."""

    group: Group
    base_name: str
    base: pd.DataFrame | None
    failure: Difference | None
    p_holm: float


def judged_groups(groups: Sequence[Group], baseline: str | None) -> list[Judged]:
    """Return the groups with their paired differences.

    Args:
        groups: of the page.
        baseline: an agent (compared at the same setting), a run folder (same agent or its only one, same setting), or
            None for the first group of all.

    Raises:
        UnknownNameError: if it is neither.
    """
    bases = [_base_of(group, groups, baseline) for group in groups]
    found = [
        None if base is None else paired_difference(base, group.episodes, "failure", is_rate=True)
        for group, (_, base) in zip(groups, bases, strict=True)
    ]
    adjusted = holm([each.p_value if each is not None else math.nan for each in found])
    return [
        Judged(group, name, base, each, p)
        for group, (name, base), each, p in zip(groups, bases, found, adjusted, strict=True)
    ]


def _base_of(group: Group, groups: Sequence[Group], baseline: str | None) -> tuple[str, pd.DataFrame | None]:
    if baseline is None:
        first = groups[0]
        return f"{first.agent}, {first.setting}", None if group is first else first.episodes
    agents = list(dict.fromkeys(each.agent for each in groups))
    if baseline in agents:
        if group.agent == baseline:
            return baseline, None
        same = [each for each in groups if each.agent == baseline and each.setting_index == group.setting_index]
        return f"{baseline}, same setting", same[0].episodes if same else None
    if not Path(baseline).is_dir():
        raise UnknownNameError("baseline (an agent of the report, or a run folder)", baseline, agents)
    return baseline, _of_folder(group, Path(baseline))


def _of_folder(group: Group, path: Path) -> pd.DataFrame | None:
    episodes = finished(RunStore.open(path))
    agents = list(dict.fromkeys(episodes["agent"]))
    name = group.agent.partition(" @ ")[0]
    agent = name if name in agents else agents[0] if len(agents) == 1 else None
    parts = episodes[["latency", "camera", "corruption"]].itertuples(index=False, name=None)
    labels = pd.Series([", ".join(str(part) for part in row if part) for row in parts], index=episodes.index, dtype=str)
    found = episodes[(episodes["agent"] == agent) & (labels == group.full)]
    return found if len(found) else None


def verdict_of(evidence: Evidence, groups: Sequence[Judged], gate: Gate) -> Verdict:
    """Return the verdict of a report.

    Raises:
        ParameterError: if a rule needs a baseline that no group has.
        UnknownNameError: if a rule names a metric that no run has.
    """
    planned, done = len(evidence.plan), len(evidence.episodes)
    missing = [f"{done} of {planned} planned episodes are done"] if done < planned else []
    scored = sum(int(counted(each.group.episodes)["failure"].notna().sum()) for each in groups if _has_failure(each))
    invalid = [] if scored or missing else ["no episode has a scored failure: there is nothing to judge"]
    for each in groups:
        failed, asked = sum(each.group.failed.values()), each.group.requests
        if asked and failed / asked > ERROR_TOLERANCE:
            invalid.append(
                f"{failed} of {asked} requests of {each.group.agent} ({each.group.setting}) failed "
                f"({', '.join(AGENT_ERRORS)}); up to {ERROR_TOLERANCE:.0%} are tolerated"
            )
    results = [result for rule in gate.rules for result in _results(rule, groups, gate)]
    fired = [text for bad, text in results if bad]
    invalid += [text for bad, text in results if bad is None and not missing]
    held = (
        f"{len(results)} of {len(results)} checks held" if results else "every planned episode is done; no gate was set"
    )
    return decide(invalid, missing, fired, held)


def _has_failure(each: Judged) -> bool:
    return "failure" in each.group.episodes.columns and len(each.group.episodes) > 0


def _results(rule: Rule, groups: Sequence[Judged], gate: Gate) -> list[tuple[bool | None, str]]:
    driven = [each for each in groups if len(each.group.episodes)]
    if driven and not any(rule.column in each.group.episodes.columns for each in driven):
        names = [name for name in driven[0].group.episodes.columns if driven[0].group.episodes[name].dtype.kind == "f"]
        raise UnknownNameError(f"metric in the rule {rule.text!r}", rule.metric, names)
    judged = [each for each in driven if each.base is not None or not rule.relative]
    if driven and not judged:
        raise ParameterError(f"the rule {rule.text!r} compares with a baseline; name one with --baseline")
    found: list[tuple[bool | None, str]] = []
    for each in judged:
        frame = each.group.episodes
        base = each.base if each.base is not None and rule.relative else frame
        change = paired_difference(base, frame, rule.column, is_rate=rule.is_rate, confidence=gate.confidence)
        value = change.change if rule.relative else change.candidate
        label, refusal = f"{each.group.agent} ({each.group.setting})", refused(change, value, gate)
        if refusal:
            found.append((None, f"{rule.text} cannot be judged for {label}: {refusal}"))
            continue
        bad = rule.fires(value, gate.decide)
        state = "cannot be judged" if bad is None else "fired" if bad else "held"
        found.append(
            (bad, f"{rule.text} {state} for {label}: {value.estimate:.4f} [{value.low:.4f}, {value.high:.4f}]")
        )
    return found
