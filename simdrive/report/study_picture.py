"""Pictures of studies: the latency-failure curve with a model family under it, and verdicts per variant.

Colours can be told apart by colour-blind readers (Okabe and Ito), and every verdict has a marker of its own.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from simdrive.eval.studies.budget import AgentBudget, BudgetStudy, Placed
from simdrive.eval.studies.deploy import DeployRow, DeployStudy

LINES = ("#0072B2", "#CC79A7", "#56B4E9", "#000000", "#F0E442")
VERDICTS = {"safe": ("#009E73", "o"), "undecided": ("#E69F00", "s"), "unsafe": ("#D55E00", "X")}
_LINEAR_MS = 100.0  # the axis is linear up to here and logarithmic beyond
_BEYOND_MS = 1e9  # right of every picture
_TICKS_MS = (0, 50, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600)


def budget_picture(study: BudgetStudy, path: Path) -> None:
    """Draw failure rate against latency with intervals and the budget of every agent; the family, if any, below."""
    figure = _figure(8.0, 4.2 + (0.7 + 0.24 * len(_shown(study)) if study.family else 0.0))
    rows = _shown(study)
    if rows:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3.6, 0.4 + 0.24 * len(rows)])
        _draw_family(lower, rows, study.agents[0])
    else:
        upper = figure.subplots()
    for colour, result in zip(_cycle(len(study.agents)), study.agents, strict=True):
        _draw_curve(upper, result, colour)
    _time_axis(lower if rows else upper, study)
    upper.set_ylabel("failures of avoidable cases, %")
    upper.set_ylim(bottom=0.0)
    _explain_verdicts(upper)
    figure.legend(frameon=False, loc="outside lower center", fontsize=8, ncols=len(study.agents) + 1)
    upper.set_title(f"{study.suite}, {study.cases} cases: failures against request latency", fontsize=10)
    _save(figure, path)


def _explain_verdicts(axes: Any) -> None:
    """Add the markers of verdicts to the legend."""
    for verdict, (colour, marker) in VERDICTS.items():
        axes.plot([], [], linestyle="none", marker=marker, markersize=5, color=colour, label=verdict)


def _shown(study: BudgetStudy) -> list[Placed]:
    """Return the family that could be priced, as the first agent places it, slowest last."""
    first = [each for each in study.family if each.agent == study.agents[0].agent and each.verdict is not None]
    return sorted(first, key=lambda each: each.priced.median_ms)


def _draw_curve(axes: Any, result: AgentBudget, colour: str) -> None:
    delays = [point.delay_ms for point in result.points]
    rates = [100.0 * point.rate.estimate for point in result.points]
    low, high = ([100.0 * getattr(point.rate, side) for point in result.points] for side in ("low", "high"))
    found = result.budget
    end = f"unsafe from {found.unsafe_ms:g}" if found.unsafe_ms is not None else f"not unsafe up to {delays[-1]:g}"
    label = f"{result.agent}: safe up to {found.safe_ms:g} ms, {end} ms"
    axes.fill_between(delays, low, high, color=colour, alpha=0.15, linewidth=0.0)
    axes.plot(delays, rates, color=colour, linewidth=1.2, label=label)
    for verdict, (_, marker) in VERDICTS.items():
        chosen = [place for place, point in enumerate(result.points) if point.decision.verdict == verdict]
        axes.plot([delays[i] for i in chosen], [rates[i] for i in chosen], linestyle="none", marker=marker,
                  markersize=5, color=VERDICTS[verdict][0])  # fmt: skip


def _draw_family(axes: Any, rows: list[Placed], result: AgentBudget) -> None:
    found = result.budget
    unsafe_ms = _BEYOND_MS if found.unsafe_ms is None else found.unsafe_ms
    edges = (0.0, found.safe_ms, unsafe_ms, _BEYOND_MS)
    for verdict, low, high in zip(("safe", "undecided", "unsafe"), edges, edges[1:], strict=False):
        axes.axvspan(low, high, color=VERDICTS[verdict][0], alpha=0.12, linewidth=0.0)
    for place, each in enumerate(rows):
        priced, (colour, marker) = each.priced, VERDICTS[str(each.verdict)]
        error = [[priced.median_ms - priced.low_ms], [priced.high_ms - priced.median_ms]]
        axes.errorbar([priced.median_ms], [place], xerr=error, color=colour, marker=marker, markersize=5, capsize=2)
    chips = {each.priced.variant.chip for each in rows}
    names = [each.priced.variant.label + (f" ({each.priced.variant.chip})" if len(chips) > 1 else "") for each in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=7)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    where = f" on {chips.pop()}" if len(chips) == 1 else ""
    axes.set_title(f"priced{where}, 80 % intervals; zones of {result.agent}", fontsize=8, loc="left")


def _time_axis(axes: Any, study: BudgetStudy) -> None:
    longest = max(point.delay_ms for result in study.agents for point in result.points)
    longest = max([longest, *(each.priced.high_ms for each in _shown(study))])
    axes.set_xscale("symlog", linthresh=_LINEAR_MS, linscale=1.0)
    ticks = [tick for tick in _TICKS_MS if tick <= longest * 1.1]
    axes.set_xticks(ticks, [str(tick) for tick in ticks], fontsize=8)
    axes.set_xticks([], minor=True)
    axes.set_xlim(-3.0, longest * 1.1)
    axes.set_xlabel("request latency, ms (logarithmic above 100)")


def deploy_picture(study: DeployStudy, path: Path) -> None:
    """Draw, per agent and charge, the failure rate lost against zero latency with its interval and the margin."""
    rows = [row for row in study.rows if row.decision is not None and not math.isnan(row.decision.difference.estimate)]
    figure = _figure(8.0, 1.8 + 0.3 * max(len(rows), 1))
    axes = figure.subplots()
    margin = 100.0 * study.criterion.margin
    axes.axvline(0.0, color="0.6", linewidth=0.8)
    axes.axvline(margin, color="0.2", linewidth=1.0, linestyle="--", label=f"margin {margin:g} points")
    seen: set[str] = set()
    for place, row in enumerate(rows):
        _draw_verdict(axes, place, row, seen)
    axes.set_yticks(range(len(rows)), [_row_label(row) for row in rows], fontsize=7)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("failures of avoidable cases, points above the same agent at zero latency")
    axes.set_title(f"{study.suite}, {study.cases} cases: {study.chip} under {study.runtime}", fontsize=10)
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=4)
    _save(figure, path)


def _draw_verdict(axes: Any, place: int, row: DeployRow, seen: set[str]) -> None:
    decision = row.decision
    if decision is None:
        return
    colour, marker = VERDICTS[decision.verdict]
    low, middle, high = (100.0 * getattr(decision.difference, name) for name in ("low", "estimate", "high"))
    label = None if decision.verdict in seen else decision.verdict
    seen.add(decision.verdict)
    axes.errorbar([middle], [place], xerr=[[middle - low], [high - middle]], color=colour, marker=marker, markersize=6,
                  capsize=3, label=label, linestyle="none")  # fmt: skip


def _row_label(row: DeployRow) -> str:
    tokens = f", {row.assumed.variant.tokens.output} tokens" if row.assumed is not None else ""
    took = f" ({row.measured.median_ms:.0f} ms)" if row.measured is not None else ""
    return f"{row.agent} as {row.charged}{tokens}{took}"


def _cycle(count: int) -> list[str]:
    return [LINES[place % len(LINES)] for place in range(count)]


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, path: Path) -> None:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)
    figure.savefig(path, dpi=130, metadata={"Software": None})
