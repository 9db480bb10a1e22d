"""The summary of a run as a table: drawn by rich on a terminal, plain aligned text everywhere else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from simdrive.eval.stats import Interval
from simdrive.eval.summary import GroupSummary, Rate, RunSummary

# Columns of counts and of means: metric, heading, decimals.
COUNTS = (
    ("at_fault_contact", "at fault"),
    ("contact", "contact"),
    ("off_road", "off road"),
    ("low_progress", "slow"),
)
MEANS = (
    ("min_ttc_s", "TTC s", 2),
    ("longitudinal_jerk_rms_mps3", "jerk", 2),
    ("plan_age_p95_ms", "age ms", 0),
    ("nuplan_score", "nuPlan", 3),
)
TEXT_COLUMNS = ("agent", "latency", "camera", "corruption", "scenario")
LEGEND = (
    "failures: of avoidable cases, % with Wilson 95 % interval. n: valid, unblocked episodes; counts and\n"
    "means are over these. slow: progress below 0.8 of the expert's. TTC: mean of the smallest time to\n"
    "collision. jerk: RMS along, m/s3. age: p95 at actuation. points: failure rate minus the reference's\n"
    "(first row) on the same cases, paired 95 % interval. p: exact McNemar; p Holm: over all rows."
)
ANYTIME_LABEL = "anytime-valid ({0.confidence:g})"
NONE = "-"


def _percent(value: float) -> str:
    return f"{100.0 * value:.1f}"


def rate_text(rate: Rate | None) -> str:
    """Return ``k/n  percent [low, high]``."""
    if rate is None or not rate.total:
        return NONE
    interval = rate.interval
    return (
        f"{rate.count}/{rate.total}  {_percent(interval.estimate)} "
        f"[{_percent(interval.low)}, {_percent(interval.high)}]"
    )


def _count_text(rate: Rate | None) -> str:
    return str(rate.count) if rate and rate.total else NONE


def _mean_text(group: GroupSummary, metric: str, decimals: int) -> str:
    score = group.scores.get(metric)
    return f"{score.mean:.{decimals}f}" if score and score.count else NONE


def p_text(p_value: float) -> str:
    """Return a p-value with three decimals."""
    if math.isnan(p_value):
        return NONE
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"


def _difference_text(difference: Interval) -> str:
    if math.isnan(difference.estimate):
        return NONE
    low, high = 100.0 * difference.low, 100.0 * difference.high
    return f"{100.0 * difference.estimate:+.1f} [{low:+.1f}, {high:+.1f}]"


def _comparison_cells(group: GroupSummary) -> list[str]:
    against = group.against_reference
    if against is None:
        return ["reference", "", ""]
    return [_difference_text(against.paired.difference), p_text(against.paired.p_value), p_text(against.p_holm)]


def _cells(groups: tuple[GroupSummary, ...]) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells; camera and corruption only where the run varies them."""
    varied = [name for name in ("camera", "corruption") if len({getattr(group, name) for group in groups}) > 1]
    split = any(group.scenario is not None for group in groups)
    first = ["agent", "latency", *varied, *(["scenario"] if split else [])]
    means = [entry for entry in MEANS if any(entry[0] in group.scores for group in groups)]
    headings = [*first, "n", "failures %"]
    headings += [heading for _, heading in COUNTS] + [heading for _, heading, _ in means]
    headings += [] if split else ["points", "p", "p Holm"]
    cells = []
    for group in groups:
        row = [str(getattr(group, name)) or ("none" if name == "corruption" else NONE) for name in first]
        row += [str(group.counted)]
        row += [rate_text(group.rates.get("failure"))]
        row += [_count_text(group.rates.get(metric)) for metric, _ in COUNTS]
        row += [_mean_text(group, metric, decimals) for metric, _, decimals in means]
        cells.append(row + ([] if split else _comparison_cells(group)))
    return headings, cells


def _sightless(summary: RunSummary) -> list[str]:
    """Say which agents no corruption can touch: a grid drives these once, without any."""
    corrupted = {group.agent for group in summary.groups if group.corruption}
    others = dict.fromkeys(group.agent for group in summary.groups if group.agent not in corrupted)
    if not corrupted or not others:
        return []
    return [f"shown no pictures, so not affected by corruption and driven once: {', '.join(others)}"]


def _notes(summary: RunSummary) -> str:
    lines = [LEGEND if summary.stop is None else LEGEND.replace("Wilson 95 %", ANYTIME_LABEL.format(summary.stop.rule))]
    lines += [] if summary.stop is None else [summary.stop.text]
    lines += _sightless(summary)
    failed = sum(group.metric_errors for group in summary.groups)
    if failed:
        lines.append(f"METRIC ERRORS in {failed} episodes: see the column metric_errors")
    if summary.done < summary.planned:
        lines.append(f"INCOMPLETE: {summary.done} of {summary.planned} planned episodes")
    return "\n".join(lines)


@dataclass(frozen=True)
class SummaryTable:
    """A summary, or its split by scenario, that rich can print."""

    summary: RunSummary
    by_scenario: bool = False

    def _content(self) -> tuple[list[str], list[list[str]]]:
        return _cells(self.summary.by_scenario if self.by_scenario else self.summary.groups)

    def plain(self) -> str:
        """Return aligned text, never cut and never coloured, for files and pipes."""
        headings, cells = self._content()
        table = [headings, *cells]
        widths = [max(len(row[column]) for row in table) for column in range(len(headings))]

        def line(row: list[str]) -> str:
            padded = [
                cell.ljust(width) if heading in TEXT_COLUMNS else cell.rjust(width)
                for cell, width, heading in zip(row, widths, headings, strict=True)
            ]
            return "  ".join(padded).rstrip()

        return "\n".join([line(headings), "  ".join("-" * width for width in widths), *map(line, cells)])

    def drawn(self) -> Table:
        """Return the table for a terminal."""
        headings, cells = self._content()
        table = Table(box=SIMPLE_HEAD, header_style="bold", padding=(0, 1, 0, 0))
        for heading in headings:
            text = heading in TEXT_COLUMNS
            table.add_column(heading, justify="left" if text else "right", no_wrap=not text)
        for row in cells:
            table.add_row(*row)
        return table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Draw on a terminal, else print plain text."""
        if console.is_terminal:
            yield self.drawn()
        else:
            yield Text(self.plain(), no_wrap=True, overflow="ignore")
        yield Text(_notes(self.summary), style="dim" if console.is_terminal else "")


def summary_table(summary: RunSummary, by_scenario: bool = False) -> SummaryTable:
    """Return the summary of a run as something that rich prints: drawn on a terminal, plain elsewhere."""
    return SummaryTable(summary, by_scenario)
