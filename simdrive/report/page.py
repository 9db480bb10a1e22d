"""``report.html``: one file that opens from disk without a network, made from run folders alone.

The same folders give the same bytes. Every text from a run (agents, labels, messages, configurations) is escaped by the
template; the page's content policy forbids any script but its own, and any request.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

import simdrive
from simdrive.errors import ParameterError
from simdrive.eval.anytime import anytime
from simdrive.eval.differences import paired_difference
from simdrive.eval.files import write_text
from simdrive.eval.gate import Gate
from simdrive.eval.stats import Interval, wilson
from simdrive.eval.stopping import StopRule
from simdrive.eval.summary import RATES, IntervalOf, counted
from simdrive.eval.verdict import Verdict
from simdrive.report.evidence import Evidence, Group, gather, groups_of, narrowed, series_of
from simdrive.report.gallery import Card, cards
from simdrive.report.judging import MEANS, Judged, judged_groups, verdict_of
from simdrive.report.player import player_of
from simdrive.report.svg import Mark, colour, curve, span
from simdrive.report.table import p_text

TITLES = {
    "failure": "failures of avoidable cases, %",
    "at_fault_contact": "at-fault collisions, %",
    "contact": "contacts, %",
    "off_road": "left the road, %",
    "low_progress": "progress below 0.8 of the expert's, %",
}
CSV_COLUMNS = (
    "key",
    "scenario",
    "seed",
    "case_key",
    "agent",
    "latency",
    "end",
    "valid",
    "avoidable",
    *RATES,
    "min_ttc_s",
)
MOST_CELLS = 400_000  # rows of the table for download
NONE = "–"


@dataclass(frozen=True)
class PageOptions:
    """What a report shows.

    Attributes:
        videos: ``worst:N``, ``failures`` or ``none``.
        baseline: agent or run folder that differences are taken against; None = the first group.
        gate: rules that decide between PASS and FAIL.
        budget_bytes: clips are embedded up to this size of the page, the rest is linked.
        avoidable_for: agent; failures count only in cases that it comes through (simdrive.eval.survived).
    """

    videos: str = "worst:12"
    baseline: str | None = None
    gate: Gate = field(default_factory=Gate)
    budget_bytes: int = 13_000_000
    avoidable_for: str | None = None


def write_report(paths: Sequence[Path], out: Path, options: PageOptions | None = None) -> Verdict:
    """Write the report of some run folders and return its verdict.

    Raises:
        RunFolderError: if a folder is no run folder, or has another schema version.
        ParameterError: if an option does not fit.
        UnknownNameError: if the baseline or a metric of a rule is unknown.
    """
    if not paths:
        raise ParameterError("a report needs at least one run folder")
    options = options or PageOptions()
    evidence = gather(paths)
    if options.avoidable_for is not None:
        evidence = narrowed(evidence, options.avoidable_for)
    groups = judged_groups(groups_of(evidence), options.baseline)
    verdict = verdict_of(evidence, groups, options.gate)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, render(evidence, groups, verdict, options, out.parent))
    return verdict


def render(evidence: Evidence, groups: Sequence[Judged], verdict: Verdict, options: PageOptions, folder: Path) -> str:
    """Return the page as text; ``folder`` is where it will lie, for links to clips that are not embedded."""
    script = _part("page.js") + _part("player.js")
    interval_of = _interval_of(evidence)
    page = {
        "verdict": verdict,
        "narrowed": evidence.narrowed,
        "version": simdrive.__version__,
        "planned": len(evidence.plan),
        "done": len(evidence.episodes),
        "errored": sum(len(facts.errors) for facts in evidence.runs),
        "runs": [_provenance(facts) for facts in evidence.runs],
        "agents": _legend(groups),
        "settings": list(dict.fromkeys((each.group.setting_index, each.group.setting, each.group.full) for each in groups)),
        "charts": _charts(evidence, groups),
        "intervals": "Wilson 95 %" if interval_of is wilson else "anytime-valid (a rule ended a run)",
        "groups": [_row(each, interval_of) for each in groups],
        "baseline": options.baseline or f"the first row ({groups[0].base_name})",
        "scenarios": _heat(evidence, groups),
        "cards": _cards(evidence, groups, options, folder),
        "choice": options.videos,
        "player": player_of(evidence, [each.group for each in groups]),
        "missing": [(each.group, each.group.planned - len(each.group.episodes)) for each in groups
                    if each.group.planned > len(each.group.episodes)],
        "errors": [error for facts in evidence.runs for error in facts.errors],
        "metric_errors": _metric_errors(evidence.episodes),
        "repeated": evidence.repeated,
        "csv": _csv(evidence.episodes),
        "style": Markup(_part("page.css") + _part("player.css")),  # noqa: S704 - our own file
        "script": Markup(script),  # noqa: S704 - our own file
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }  # fmt: skip
    loader = jinja2.Environment(loader=jinja2.FunctionLoader(_part), autoescape=True, undefined=jinja2.StrictUndefined,
                                trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    return loader.get_template("page.html").render(page)


def _interval_of(evidence: Evidence) -> IntervalOf:
    """Return the interval of rates: Wilson's, or one that allows for the looks of a rule that ended a run."""
    rules = [rule for facts in evidence.runs if (rule := StopRule.of(facts.store.config)) is not None]
    return functools.partial(anytime, confidence=max(rule.confidence for rule in rules)) if rules else wilson


def _part(name: str) -> str:
    return files("simdrive.report").joinpath("page_parts", name).read_text(encoding="utf-8")


def _provenance(facts: Any) -> dict[str, str]:
    run = json.dumps(facts.run, indent=2, sort_keys=True, ensure_ascii=False)
    config = facts.store.config
    suite = f"{config.get('suite', NONE)} v{config.get('suite_version', NONE)}"
    return {"name": facts.name, "run": run, "config": facts.config_text, "suite": suite,
            "commit": str(facts.run.get("commit") or NONE)[:12]}  # fmt: skip


def _legend(groups: Sequence[Judged]) -> list[dict[str, Any]]:
    names = dict.fromkeys((each.group.agent_index, each.group.agent) for each in groups)
    return [{"index": index, "name": name, "colour": colour(index)} for index, name in names]


def _charts(evidence: Evidence, groups: Sequence[Judged]) -> list[dict[str, Any]]:
    there = [name for name in RATES if name in evidence.episodes.columns]
    interval_of = _interval_of(evidence)
    return [
        {"name": name, "svg": curve([_mark(each.group, name, interval_of) for each in groups], TITLES[name])}
        for name in there
    ]


def _rate(episodes: pd.DataFrame, metric: str) -> tuple[int, int]:
    if metric not in episodes.columns:
        return 0, 0
    values = counted(episodes)[metric].dropna()
    return int((values > 0.0).sum()), len(values)


def _mark(group: Group, metric: str, interval_of: IntervalOf) -> Mark:
    count, total = _rate(group.episodes, metric)
    interval = interval_of(count, total)
    p50, p95 = group.quantile_ms(0.5), group.quantile_ms(0.95)
    note = f"{group.agent}, {group.setting}: {count}/{total}, median {_text(p50, 0)} ms, p95 {_text(p95, 0)} ms"
    return Mark(p50, p95, interval.estimate, interval.low, interval.high, group.agent_index, group.setting_index,
                series_of(group.full), note)  # fmt: skip


def _text(value: float, decimals: int) -> str:
    return NONE if not math.isfinite(value) else f"{value:.{decimals}f}"


def _rate_text(episodes: pd.DataFrame, metric: str, interval_of: IntervalOf) -> str:
    count, total = _rate(episodes, metric)
    if not total:
        return NONE
    each = interval_of(count, total)
    return f"{count}/{total} = {100 * each.estimate:.1f} % [{100 * each.low:.1f}, {100 * each.high:.1f}]"


def _row(each: Judged, interval_of: IntervalOf) -> dict[str, Any]:
    group, found = each.group, each.failure
    quantiles = [group.quantile_ms(share) for share in (0.05, 0.25, 0.5, 0.75, 0.95)]
    highest = float(group.latency_ms[-1]) if len(group.latency_ms) else 0.0
    return {
        "group": group,
        "failure": _rate_text(group.episodes, "failure", interval_of),
        "counts": [_rate(group.episodes, name) for name in RATES[1:]],
        "change": NONE if found is None or not found.pairs else _points(found.change),
        "pairs": 0 if found is None else found.pairs,
        "only_base": 0 if found is None else found.only_base,
        "only_here": 0 if found is None else found.only_candidate,
        "p": NONE if found is None else p_text(found.p_value),
        "p_holm": NONE if found is None else p_text(each.p_holm),
        "reference": each.base is None,
        "means": [_mean(each, name) for name in MEANS],
        "span": span(quantiles, highest, group.agent_index),
        "quantiles": [_text(group.quantile_ms(share), 1) for share in (0.05, 0.5, 0.95, 0.99, 1.0)],
        "missed": f"{group.missed}/{group.with_deadline}" if group.with_deadline else NONE,
        "failed": ", ".join(f"{count} {name}" for name, count in group.failed.items()) or "none",
    }


def _points(value: Any) -> str:
    return f"{100 * value.estimate:+.1f} [{100 * value.low:+.1f}, {100 * value.high:+.1f}]"


def _mean(each: Judged, metric: str) -> dict[str, str]:
    frame = each.group.episodes
    if metric not in frame.columns:
        return {"mean": NONE, "change": NONE}
    base = frame if each.base is None else each.base
    found = paired_difference(base, frame, metric, is_rate=False)
    value, change = found.candidate, found.change
    if not found.pairs:
        return {"mean": NONE, "change": NONE}
    return {
        "mean": _with_limits(value, ".3f"),
        "change": NONE if each.base is None else _with_limits(change, "+.3f"),
    }


def _with_limits(value: Interval, form: str) -> str:
    if math.isnan(value.low):
        return f"{value.estimate:{form}} ({value.reason})"
    return f"{value.estimate:{form}} [{value.low:{form}}, {value.high:{form}}]"


def _heat(evidence: Evidence, groups: Sequence[Judged]) -> list[dict[str, Any]]:
    rows = []
    for scenario in dict.fromkeys(evidence.plan["scenario"]):
        cells: list[dict[str, Any]] = []
        for each in groups:
            frame = each.group.episodes
            driven = frame[frame["scenario"] == scenario]
            count, total = _rate(driven, "failure")
            share = count / total if total else math.nan
            text = f"{count}/{total}" if total else "not scored" if len(driven) else "not run"
            cells.append({"text": text, "level": _level(share), "share": share,
                          "a": each.group.agent_index, "s": each.group.setting_index})  # fmt: skip
        shares = [cell["share"] for cell in cells if not math.isnan(cell["share"])]
        rows.append({"name": scenario, "cells": cells, "worst": max(shares, default=-1.0),
                     "spread": max(shares, default=0.0) - min(shares, default=0.0)})  # fmt: skip
    return rows


def _level(share: float) -> str:
    """Return the class of a cell: none = not run or not scored, else 0 (no failure) to 5."""
    return "none" if math.isnan(share) else str(0 if share == 0.0 else min(1 + int(share * 5), 5))


def _cards(evidence: Evidence, groups: Sequence[Judged], options: PageOptions, folder: Path) -> list[Card]:
    shown = [each.group for each in groups if len(each.group.episodes)]
    places = {str(key): (each.agent_index, each.setting_index) for each in shown for key in each.episodes["key"]}
    return cards(evidence, places, options.videos, folder, options.budget_bytes)


def _metric_errors(episodes: pd.DataFrame) -> list[tuple[str, int]]:
    if not len(episodes):
        return []
    bad = episodes["metric_errors"][episodes["metric_errors"] != ""]
    return [(str(text), int(count)) for text, count in bad.value_counts(sort=False).items()]


def _csv(episodes: pd.DataFrame) -> str:
    table = episodes[[name for name in CSV_COLUMNS if name in episodes.columns]][:MOST_CELLS]
    text = table.to_csv(index=False, lineterminator="\n", float_format="%.6g")
    return "data:text/csv;base64," + base64.b64encode(text.encode()).decode()
