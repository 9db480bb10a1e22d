"""Studies as text and as CSV tables; every figure with its interval, every assumption beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from simdrive.eval.stats import Interval
from simdrive.eval.studies.budget import AgentBudget, BudgetStudy
from simdrive.eval.studies.curve import Budget
from simdrive.eval.studies.deploy import DeployRow, DeployStudy
from simdrive.eval.studies.family import PricedVariant
from simdrive.eval.studies.margin import ScenarioMargin
from simdrive.eval.studies.paired import Criterion, Decision
from simdrive.report.aligned import aligned
from simdrive.report.table import p_text

NONE = "-"
P_HEADINGS = ("p", "p Holm")
_MANY = 100_000
STAND_IN = (
    "The agent stands for the charged models: it drives with its own skill at their speed. The verdict is about speed,\n"
    "not about how well the charged models drive."
)
MARGINS = (
    "margin: latest start of full braking (8 m/s2 within 0.3 s) after the hazard is in sight that still avoids the\n"
    "contact met when lane and speed are held: T - v/(2b) - R/2 + bR^2/(24v). In streaming mode a request time r reacts\n"
    "after r to 2r + 0.1 s. oncoming: braking settles nothing, not scored. Steering may leave more than this."
)


def percent(value: float, sign: str = "") -> str:
    """Return a share in percent with one decimal."""
    return NONE if math.isnan(value) else f"{100.0 * value:{sign}.1f}"


def interval_text(interval: Interval, sign: str = "") -> str:
    """Return ``estimate [low, high]`` in percent."""
    if math.isnan(interval.estimate):
        return NONE
    return f"{percent(interval.estimate, sign)} [{percent(interval.low, sign)}, {percent(interval.high, sign)}]"


def criterion_text(criterion: Criterion) -> str:
    """Return what the verdicts rest on."""
    return (
        f"safe: the failure rate on the same cases is not worse than at zero latency by more than "
        f"{100.0 * criterion.margin:g} points\n(upper limit of Tango's paired {100.0 * criterion.confidence:g} % "
        f"interval below the margin; unsafe: lower limit above; else undecided). p: exact McNemar against zero\nlatency; "
        f"p Holm: adjusted over all rows that are judged together."
    )


def needed_text(decision: Decision) -> str:
    """Return how many more avoidable cases a verdict would take."""
    if decision.verdict != "undecided":
        return NONE
    if decision.cases_needed is None or decision.cases_needed > _MANY:
        return f">{_MANY}"
    return str(decision.cases_needed)


def _p_texts(decision: Decision) -> list[str]:
    return [p_text(decision.p_value), p_text(decision.p_holm)]


def budget_line(agent: str, found: Budget, longest_ms: float) -> str:
    """Return the budget of one agent in one sentence."""
    unsafe = (
        f"unsafe from {found.unsafe_ms:g} ms" if found.unsafe_ms is not None else f"not unsafe up to {longest_ms:g} ms"
    )
    crossing, limits = found.crossing_ms, f"[{found.crossing_ms.low:.0f}, {found.crossing_ms.high:.0f}]"
    where = (
        f"crosses the margin at {crossing.estimate:.0f} {limits} ms" if found.crosses else "never crosses the margin"
    )
    falls = "".join(f"; FALLS from {f.shorter_ms:g} to {f.longer_ms:g} ms (p {f.p_value:.3f})" for f in found.falls)
    return f"{agent}: safe up to {found.safe_ms:g} ms, {unsafe}; the curve {where}{falls}"


def _curve_rows(result: AgentBudget) -> Iterator[list[str]]:
    for point in result.points:
        yield [
            result.agent, f"{point.delay_ms:g}", f"{point.failures}/{point.total}", interval_text(point.rate),
            interval_text(point.decision.difference, "+"), point.decision.verdict, needed_text(point.decision),
            *_p_texts(point.decision),
        ]  # fmt: skip


def margin_text(value: float) -> str:
    """Return a margin in seconds as whole milliseconds."""
    return NONE if math.isnan(value) else f"{1e3 * value:.0f}"


def _margin_rows(margins: tuple[ScenarioMargin, ...], results: tuple[AgentBudget, ...]) -> Iterator[list[str]]:
    for margin in margins:
        counts = [str(value) for value in (margin.cases, margin.untouched, margin.oncoming)]
        yield [margin.scenario, *counts, *map(margin_text, margin.quantiles_s),
               *(_scenario_cell(result, margin.scenario) for result in results)]  # fmt: skip


def _scenario_cell(result: AgentBudget, scenario: str) -> str:
    """Return the failures of one agent in a scenario at the delays of its curve."""
    rates = [rate for rate in result.by_scenario if rate.scenario == scenario]
    return " ".join(f"{rate.failures}" for rate in rates) + (f" /{rates[0].total}" if rates else NONE)


def price_text(priced: PricedVariant) -> str:
    """Return the median and the 80 % interval of a price in ms."""
    return NONE if priced.refused else f"{priced.median_ms:.0f} [{priced.low_ms:.0f}, {priced.high_ms:.0f}]"


def budget_text(study: BudgetStudy) -> str:
    """Return a budget study as plain text."""
    parts = [f"{study.suite}, {study.cases} cases, constant delay, {study.setting}"]
    rows = [row for result in study.agents for row in _curve_rows(result)]
    headings = ("agent", "delay ms", "failures", "%", "points against zero", "verdict", "cases needed", *P_HEADINGS)
    parts.append(aligned(headings, rows, left=("agent", "verdict")))
    parts.append(criterion_text(study.criterion))
    parts += [budget_line(r.agent, r.budget, r.points[-1].delay_ms) for r in study.agents]
    failures = [f"{r.agent} failures" for r in study.agents]
    columns = ("scenario", "avoidable", "untouched", "oncoming", "margin ms 5 %", "25 %", "50 %", *failures)
    parts.append(aligned(columns, list(_margin_rows(study.margins, study.agents)), left=("scenario",)))
    grids = (f"{r.agent} at {', '.join(f'{p.delay_ms:g}' for p in r.points)} ms" for r in study.agents)
    parts.append(f"{MARGINS}\nfailures: {'; '.join(grids)}.")
    parts += [_margin_part(result) for result in study.agents]
    if study.family:
        parts += _family_parts(study)
    return "\n\n".join(parts)


def _margin_part(result: AgentBudget) -> str:
    """Return how often an agent fails at each delay among cases of similar margin."""
    rows = []
    for low, high in dict.fromkeys((rate.low_s, rate.high_s) for rate in result.by_margin):
        rates = [rate for rate in result.by_margin if (rate.low_s, rate.high_s) == (low, high)]
        shares = [percent(rate.failures / rate.total) if rate.total else NONE for rate in rates]
        rows.append([f"{margin_text(low)} to {margin_text(high)}", str(rates[0].total), *shares])
    delays = [f"{point.delay_ms:g} ms" for point in result.points]
    return aligned([f"{result.agent}: margin ms", "cases", *(f"% at {delay}" for delay in delays)], rows)


def _family_parts(study: BudgetStudy) -> list[str]:
    agents = [result.agent for result in study.agents]
    rows = []
    for place, placed in enumerate(study.family[: len(study.family) // len(agents)]):
        variant, stride = placed.priced.variant, len(study.family) // len(agents)
        verdicts = [study.family[place + number * stride].verdict or "refused" for number in range(len(agents))]
        rows.append([variant.chip, variant.architecture, variant.precision, str(variant.tokens.output),
                     price_text(placed.priced), *verdicts])  # fmt: skip
    headings = ("chip", "architecture", "precision", "output tokens", "ms [80 %]", *agents)
    left = ("chip", "architecture", "precision", *agents)
    first = study.family[0].priced.variant
    note = (
        f"priced under {first.runtime}{f', power mode {first.power_mode}' if first.power_mode else ''}, assumed tokens "
        f"per request: {first.tokens.prompt} text, {first.tokens.image} image. safe and unsafe: with the whole price "
        f"interval.\n{STAND_IN}"
    )
    refused = {
        (each.priced.variant.chip, each.priced.variant.architecture, each.priced.variant.precision): each.priced.refused
        for each in study.family
        if each.priced.refused
    }
    return [
        aligned(headings, rows, left=left),
        "\n".join([note, *(f"refused: {reason}" for reason in refused.values())]),
    ]


def deploy_text(study: DeployStudy) -> str:
    """Return a deployment study as plain text."""
    mode = f", power mode {study.power_mode}" if study.power_mode else ""
    parts = [f"{study.suite}, {study.cases} cases; {study.chip} under {study.runtime}{mode}"]
    headings = ("driven by", "charged as", "text", "image", "output tokens", "request ms", "failures", "%",
                "points against zero", "verdict", "cases needed", *P_HEADINGS)  # fmt: skip
    rows = [
        [b.agent, "zero latency", "", "", "", "0", f"{b.failures}/{b.total}", interval_text(b.rate), *[""] * 5]
        for b in study.baselines
    ]
    rows += [_deploy_row(row) for row in study.rows]
    parts.append(aligned(headings, rows, left=("driven by", "charged as", "verdict")))
    parts.append(criterion_text(study.criterion))
    refused = {row.charged: row.refused for row in study.rows if row.refused}
    notes = [f"refused: {reason}" for reason in refused.values()]
    if any(row.assumed is not None for row in study.rows):
        notes += ["Token counts are assumed, the same for every request.", STAND_IN]
    if any(row.decision and row.decision.verdict == "undecided" for row in study.rows):
        notes.append(f"cases needed: further avoidable cases for a verdict with power {study.criterion.power:g} if the "
                     "rates are as observed.")  # fmt: skip
    return "\n\n".join([*parts, "\n".join(notes)] if notes else parts)


def _deploy_row(row: DeployRow) -> list[str]:
    tokens = [NONE] * 3
    if row.assumed is not None:
        counts = row.assumed.variant.tokens
        tokens = [str(value) for value in (counts.prompt, counts.image, counts.output)]
    elif row.measured is not None:
        measured = row.measured
        tokens = [f"{value:g}" for value in (measured.prompt_tokens, measured.image_tokens, measured.output_tokens)]
    if row.decision is None or row.measured is None:
        return [row.agent, row.charged, *tokens, NONE, NONE, NONE, NONE, "refused", NONE, NONE, NONE]
    return [
        row.agent, row.charged, *tokens, f"{row.measured.median_ms:.0f}", f"{row.failures}/{row.total}",
        interval_text(row.rate), interval_text(row.decision.difference, "+"), row.decision.verdict,
        needed_text(row.decision), *_p_texts(row.decision),
    ]  # fmt: skip


# --- tables for other programs ----------------------------------------------------------------------------------


def _limits(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _judged(decision: Decision | None) -> dict[str, Any]:
    if decision is None:
        return {}
    pairs = decision.pairs
    return {
        "pairs": pairs.total, "only_zero_fails": pairs.only_first, "only_delayed_fails": pairs.only_second,
        **_limits("difference", decision.difference), "verdict": decision.verdict, "cases_needed": decision.cases_needed,
        "p_value": decision.p_value, "p_holm": decision.p_holm,
    }  # fmt: skip


def curve_records(study: BudgetStudy) -> list[dict[str, Any]]:
    """Return one record per agent and delay."""
    return [
        {"agent": result.agent, "delay_ms": point.delay_ms, "failures": point.failures, "total": point.total,
         **_limits("rate", point.rate), **_judged(point.decision)}
        for result in study.agents
        for point in result.points
    ]  # fmt: skip


def scenario_records(study: BudgetStudy) -> list[dict[str, Any]]:
    """Return one record per agent, delay and scenario, the scenario's latency margins beside it."""
    margins = {margin.scenario: margin.quantiles_s for margin in study.margins}
    return [
        {"agent": result.agent, "scenario": rate.scenario, "delay_ms": rate.delay_ms, "failures": rate.failures,
         "total": rate.total, **_limits("rate", rate.rate),
         **dict(zip(("margin_p05_s", "margin_p25_s", "margin_p50_s"), margins.get(rate.scenario, ()), strict=False))}
        for result in study.agents
        for rate in result.by_scenario
    ]  # fmt: skip


def _priced(priced: PricedVariant) -> dict[str, Any]:
    variant = priced.variant
    return {
        "chip": variant.chip, "runtime": variant.runtime, "power_mode": variant.power_mode,
        "architecture": variant.architecture, "precision": variant.precision, "prompt_tokens": variant.tokens.prompt,
        "image_tokens": variant.tokens.image, "output_tokens": variant.tokens.output, "price_ms": priced.median_ms,
        "price_low_ms": priced.low_ms, "price_high_ms": priced.high_ms, "refused": priced.refused,
    }  # fmt: skip


def margin_records(study: BudgetStudy) -> list[dict[str, Any]]:
    """Return one record per agent, delay and range of margins."""
    return [{"agent": result.agent, **asdict(rate)} for result in study.agents for rate in result.by_margin]


def family_records(study: BudgetStudy) -> list[dict[str, Any]]:
    """Return one record per agent and priced variant."""
    return [{"agent": each.agent, **_priced(each.priced), "verdict": each.verdict} for each in study.family]


def deploy_records(study: DeployStudy) -> list[dict[str, Any]]:
    """Return one record per agent and charge."""
    records = []
    for row in study.rows:
        assumed = {} if row.assumed is None else _priced(row.assumed)
        took = {} if row.measured is None else {
            "request_ms": row.measured.median_ms, "request_p95_ms": row.measured.p95_ms,
            "reported_output_tokens": row.measured.output_tokens,
        }  # fmt: skip
        records.append({"agent": row.agent, "charged": row.charged, **assumed, **took, "failures": row.failures,
                        "total": row.total, **_limits("rate", row.rate), **_judged(row.decision)})  # fmt: skip
    return records
