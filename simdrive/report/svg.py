"""Charts as SVG text: drawn here and not in the browser, so that they print, need no library, and never change.

Marks carry ``data-a`` (agent) and ``data-s`` (setting), by which the page filters. All text is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

# Okabe and Ito 2008, "Color universal design": told apart with every form of colour blindness; black is kept for text.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a6f00", "#6a3d9a")
DASHES = ("", "7 4", "2 3", "9 3 2 3")
WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 14, 48


@dataclass(frozen=True)
class Mark:
    """One point of a chart: ``x`` with a span to the right, ``y`` with its interval."""

    x: float
    x_to: float
    y: float
    low: float
    high: float
    agent: int
    setting: int
    series: str
    note: str


def colour(agent: int) -> str:
    """Return the colour of an agent."""
    return COLOURS[agent % len(COLOURS)]


def ticks(highest: float, most: int = 6) -> list[float]:
    """Return round numbers from 0 to at least ``highest``, in at most ``most`` steps."""
    if not highest > 0.0:
        return [0.0, 1.0]
    raw = highest / most
    base = 10.0 ** math.floor(math.log10(raw))
    step = next(base * factor for factor in (1, 2, 2.5, 5, 10) if base * factor >= raw * (1 - 1e-9))
    return [step * k for k in range(math.ceil(highest / step - 1e-9) + 1)]


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _frame(xs: Sequence[float], ys: Sequence[float], x_title: str, y_title: str, height: int) -> list[str]:
    right, bottom = WIDTH - RIGHT, height - BOTTOM
    out = []
    for value in ys:
        y = bottom - (bottom - TOP) * value / ys[-1]
        out.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{_n(y)}" y2="{_n(y)}"/>')
        out.append(f'<text x="{LEFT - 8}" y="{_n(y + 4)}" text-anchor="end">{100 * value:g}</text>')
    for value in xs:
        x = LEFT + (right - LEFT) * value / xs[-1]
        out.append(f'<line class="grid" x1="{_n(x)}" x2="{_n(x)}" y1="{bottom}" y2="{bottom + 5}"/>')
        out.append(f'<text x="{_n(x)}" y="{bottom + 19}" text-anchor="middle">{value:g}</text>')
    out.append(f'<text x="{(LEFT + right) / 2:g}" y="{height - 8}" text-anchor="middle">{escape(x_title)}</text>')
    middle = (TOP + bottom) / 2
    out.append(
        f'<text x="14" y="{middle:g}" text-anchor="middle" transform="rotate(-90 14 {middle:g})">{escape(y_title)}</text>'
    )
    return out


def _shape(agent: int, x: float, y: float) -> str:
    size = 5.5
    if agent % 4 == 0:
        return f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{size}"/>'
    if agent % 4 == 1:
        return f'<rect x="{_n(x - size)}" y="{_n(y - size)}" width="{2 * size}" height="{2 * size}"/>'
    turns = {2: ((0, -1.3), (1.2, 0.9), (-1.2, 0.9)), 3: ((0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0))}
    corners = " ".join(f"{_n(x + size * dx)},{_n(y + size * dy)}" for dx, dy in turns[agent % 4])
    return f'<polygon points="{corners}"/>'


def curve(marks: Sequence[Mark], y_title: str) -> Markup:
    """Return the chart of rates (shares, 0..1) over milliseconds: one line per agent and series, intervals upright."""
    shown = [mark for mark in marks if not (math.isnan(mark.y) or math.isnan(mark.x))]
    if not shown:
        return Markup('<p class="empty">No episode has both a score and a finished request.</p>')
    xs = ticks(1.04 * max(1.0, *(mark.x_to for mark in shown)))
    ys = [value for value in ticks(max(mark.high for mark in shown)) if value <= 1.0 + 1e-9] or [0.0, 1.0]
    if ys[-1] < max(mark.high for mark in shown):
        ys.append(1.0)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    agents = sorted({mark.agent for mark in shown})

    def at(agent: int, x: float, y: float) -> tuple[float, float]:
        # Agents at one latency stand side by side, or their intervals would hide each other.
        aside = min(7.0, 40.0 / len(agents)) * (agents.index(agent) - 0.5 * (len(agents) - 1))
        return LEFT + (right - LEFT) * x / xs[-1] + aside, bottom - (bottom - TOP) * y / ys[-1]

    out = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(y_title)} over request latency">']
    out += _frame(xs, ys, "median request latency, ms (thin line: to the 95th percentile)", y_title, HEIGHT)
    lines: dict[tuple[int, str], list[Mark]] = {}
    for mark in shown:
        lines.setdefault((mark.agent, mark.series), []).append(mark)
    for (agent, _), line in lines.items():
        points = " ".join(
            ",".join(map(_n, at(agent, mark.x, mark.y))) for mark in sorted(line, key=lambda mark: mark.x)
        )
        dash = DASHES[agent % len(DASHES)]
        out.append(
            f'<polyline data-a="{agent}" points="{points}" fill="none" stroke="{colour(agent)}" stroke-dasharray="{dash}"/>'
        )
    for mark in shown:
        (x, y), (x_to, low), (_, high) = (
            at(mark.agent, mark.x, mark.y),
            at(mark.agent, mark.x_to, mark.low),
            at(mark.agent, mark.x, mark.high),
        )
        out.append(
            f'<g class="mark" tabindex="0" role="button" data-pick data-a="{mark.agent}" data-s="{mark.setting}" '
            f'fill="{colour(mark.agent)}" stroke="{colour(mark.agent)}"><title>{escape(mark.note)}</title>'
            f'<line x1="{_n(x)}" x2="{_n(x)}" y1="{_n(low)}" y2="{_n(high)}"/>'
            f'<line class="thin" x1="{_n(x)}" x2="{_n(x_to)}" y1="{_n(y)}" y2="{_n(y)}"/>{_shape(mark.agent, x, y)}</g>'
        )
    return Markup("".join([*out, "</svg>"]))  # noqa: S704 - every piece of text above is escaped


def span(values: Sequence[float], highest: float, agent: int) -> Markup:
    """Return one distribution as a strip: p5 to p95 thin, quartiles thick, median upright.

    Args:
        values: the 5, 25, 50, 75 and 95 % quantiles.
        highest: where the scale ends.
        agent: whose colour it takes.
    """
    if any(math.isnan(value) for value in values):
        return Markup("")
    p5, p25, p50, p75, p95 = (4 + 232 * min(value / highest, 1.0) if highest > 0.0 else 4.0 for value in values)
    tint = colour(agent)
    return Markup(  # noqa: S704 - numbers only
        f'<svg class="span" viewBox="0 0 240 18" role="img" aria-label="distribution">'
        f'<line x1="{_n(p5)}" x2="{_n(p95)}" y1="9" y2="9" stroke="{tint}" stroke-width="2"/>'
        f'<rect x="{_n(p25)}" y="4" width="{_n(max(p75 - p25, 1))}" height="10" fill="{tint}" fill-opacity=".45"/>'
        f'<line x1="{_n(p50)}" x2="{_n(p50)}" y1="1" y2="17" stroke="{tint}" stroke-width="3"/></svg>'
    )
