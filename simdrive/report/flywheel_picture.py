"""The history of a flywheel as one picture: what each round changed, per arm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simdrive.compress.flywheel.rounds import Round
from simdrive.report.figures import figure_of, save_figure

COLOURS = {"flywheel": "#0072b2", "failures": "#d55e00", "random": "#666666"}


def flywheel_picture(rounds: Sequence[Round], path: Path) -> None:
    """Draw the standing student's held-out failures, less those of the first, after each round; hollow = rolled back."""
    figure = figure_of(7.0, 3.6)
    axes = figure.subplots()
    axes.axhline(0.0, color="0.6", linewidth=0.8)
    for arm in dict.fromkeys(each.arm for each in rounds):
        _draw(axes, [each for each in rounds if each.arm == arm], COLOURS.get(arm, "black"))
    axes.set_xticks(range(1 + max((each.number for each in rounds), default=1)))
    axes.set_xlabel("round")
    axes.set_ylabel("failures of held-out cases,\npoints against the first student")
    axes.legend(frameon=False, fontsize=8)
    save_figure(figure, path, grid="y")


def _draw(axes: object, rounds: Sequence[Round], colour: str) -> None:
    level, x, y = 0.0, [0], [0.0]
    for each in rounds:
        change = 100.0 * each.judgement.overall.difference.estimate
        filled = each.judgement.accepted
        axes.plot([each.number], [level + change], marker="o", color=colour,  # type: ignore[attr-defined]
                  markerfacecolor=colour if filled else "white", linestyle="none")  # fmt: skip
        level += change if filled else 0.0
        x.append(each.number)
        y.append(level)
    axes.plot(x, y, color=colour, label=rounds[0].arm)  # type: ignore[attr-defined]
