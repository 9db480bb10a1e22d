"""Picture of a decomposed safety difference: every term with its interval, for both yardsticks."""

from __future__ import annotations

import math
from pathlib import Path

from simdrive.eval.studies.decompose import DecomposeStudy
from simdrive.report.figures import figure_of, save_figure

WORSE, BETTER, SUM = "#D55E00", "#009E73", "#0072B2"  # Okabe and Ito: apart for colour-blind readers


def decompose_picture(study: DecomposeStudy, path: Path) -> None:
    """Draw the deployed difference and what it is made of, in points of the failure rate."""
    first, second = study.splits
    rows = [
        ("deployed difference", first.deployed, SUM),
        ("= capability (no latency)", first.capability, None),
        ("+ relief of the teacher", first.relief, None),
        ("+ interaction", first.interaction, None),
        ("or, = capability (no latency)", second.capability, None),
        ("+ relief of the student", second.relief, None),
        ("+ interaction", second.interaction, None),
    ]
    figure = figure_of(8.4, 3.4)
    axes = figure.subplots()
    axes.axvline(0.0, color="0.6", linewidth=0.8)
    for place, (_, term, fixed) in enumerate(rows):
        middle, low, high = (100.0 * value for value in (term.share.estimate, term.share.low, term.share.high))
        axes.barh([place], [middle], height=0.55, color=fixed or (WORSE if middle > 0.0 else BETTER))
        if not math.isnan(low):
            axes.hlines([place], low, high, color="0.15", linewidth=1.4)
        side = 1.0 if middle >= 0.0 else -1.0
        ends = [middle] if math.isnan(low) else [middle, low, high]
        axes.annotate(f"{middle:+.1f}", (max(ends) if side > 0.0 else min(ends), place), xytext=(4.0 * side, 0),
                      textcoords="offset points", va="center", ha="left" if side > 0.0 else "right", fontsize=8)  # fmt: skip
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.margins(x=0.1)
    axes.set_xlabel("points of the failure rate, student minus teacher (negative: the student fails less often)")
    axes.set_title(
        f"{study.suite}, {study.arms[0].total} cases: {study.student} at {study.latencies['student'].ms:g} ms against "
        f"{study.teacher} at {study.latencies['teacher'].ms:g} ms", fontsize=9,
    )  # fmt: skip
    save_figure(figure, path)
