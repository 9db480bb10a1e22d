"""The frontier: how long a request takes on a chip, against how often its driver fails at that speed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from simdrive.eval.studies.headline import Headline
from simdrive.report.figures import figure_of, save_figure
from simdrive.report.study_picture import LINES

MARKERS = ("o", "s", "^", "D", "v", "P")


def headline_picture(study: Headline, path: Path) -> None:
    """Draw every variant of the first world at its own speed per chip (filled), and at zero latency (line and hollow)."""
    from matplotlib.ticker import LogLocator, NullLocator

    figure = figure_of(7.5, 4.2)
    axes = figure.subplots()
    world = next(iter(study.worlds))
    chips = [chip.name for chip in study.plan.chips]
    for number, variant in enumerate(study.plan.variants):
        _draw(axes, study, world, variant.name, chips, LINES[number % len(LINES)])
    for number, chip in enumerate(chips):
        axes.plot([], [], linestyle="none", marker=MARKERS[number % len(MARKERS)], color="0.4", label=chip)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("median request on the chip, ms")
    axes.set_ylabel(f"failures of avoidable cases, %\n({world}; dotted: the same driver at zero latency)")
    axes.set_ylim(bottom=0.0)
    axes.legend(frameon=False, fontsize=8, ncols=2)
    save_figure(figure, path, grid="y")


def _draw(axes: Any, study: Headline, world: str, variant: str, chips: list[str], colour: str) -> None:
    took = {
        c.chip: c.took.median_ms for c in study.costs if c.variant == variant and c.took is not None and not c.refused
    }
    drives = [d for d in study.drives if (d.variant, d.world) == (variant, world)]
    points = [(took[d.chip], d) for d in drives if d.whose == "own" and not math.isnan(took.get(d.chip, math.nan))]
    for ms, drive in points:
        rate = [100.0 * getattr(drive.rate, side) for side in ("low", "estimate", "high")]
        axes.errorbar([ms], [rate[1]], yerr=[[rate[1] - rate[0]], [rate[2] - rate[1]]], color=colour, capsize=3,
                      marker=MARKERS[chips.index(drive.chip) % len(MARKERS)], linestyle="none")  # fmt: skip
    zero = next((d for d in drives if d.whose == "zero"), None)
    if zero is not None and points:
        ends = [min(ms for ms, _ in points) / 1.15, max(ms for ms, _ in points) * 1.15]
        axes.plot(ends, [100.0 * zero.rate.estimate] * 2, color=colour, linestyle=":", linewidth=1.2)
    axes.plot([], [], color=colour, label=variant)
