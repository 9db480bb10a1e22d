"""Picture of a failure search: the boundary map over two parameters, and how the search came to its nearest failure."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from simdrive.eval.failures.boundary import Boundary
from simdrive.eval.failures.study import FailureStudy
from simdrive.report.figures import figure_of, save_figure
from simdrive.scenarios.parameters import Range

# Okabe and Ito: apart for colour-blind readers.
FILLS = {"pass": "#CFE8F5", "fail": "#D55E00", "unavoidable": "#8C8C8C", "unscored": "#F0E442", "": "#FFFFFF"}
NOMINAL, NEAREST = "#0072B2", "#000000"


def failures_picture(study: FailureStudy, path: Path) -> None:
    """Draw the map, where there is one, above the trace of the search."""
    figure = figure_of(7.4, 7.2 if study.boundary is not None else 2.8)
    if study.boundary is None:
        _trace(figure.subplots(), study)
    else:
        upper, lower = figure.subplots(2, 1, height_ratios=[3.0, 1.0])
        _map(upper, study, study.boundary)
        _trace(lower, study)
    save_figure(figure, path, grid="none")


def _edges(values: tuple[float, ...]) -> Any:
    step = values[1] - values[0] if len(values) > 1 else 1.0
    return np.linspace(values[0] - 0.5 * step, values[-1] + 0.5 * step, len(values) + 1)


def _map(axes: Any, study: FailureStudy, chart: Boundary) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    codes = list(FILLS)
    cells = np.array([[codes.index(outcome) for outcome in row] for row in chart.outcome])
    axes.pcolormesh(*map(_edges, chart.axes), cells, cmap=ListedColormap(list(FILLS.values())), vmin=-0.5,
                    vmax=len(codes) - 0.5, edgecolors="white", linewidth=0.4)  # fmt: skip
    _rings(axes, study, chart)
    _marks(axes, study, chart)
    shown = [code for code in codes if code and any(code in row for row in chart.outcome)]
    labels = {"unavoidable": "unavoidable contact"}
    handles = [Patch(facecolor=FILLS[code], edgecolor="0.7", label=labels.get(code, code)) for code in shown]
    handles += axes.get_legend_handles_labels()[0]
    axes.legend(handles=handles, fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    axes.set_xlabel(_title(study, chart.names[0]))
    axes.set_ylabel(_title(study, chart.names[1]))
    held = ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in chart.held
    )
    axes.set_title(f"{study.agent} in {study.space.scenario} ({study.latency})\n{held}", fontsize=9)


def _title(study: FailureStudy, name: str) -> str:
    kind = study.space.parameters[name]
    return f"{name} ({kind.unit})" if isinstance(kind, Range) and kind.unit else name


def _scale(study: FailureStudy, name: str) -> tuple[float, float]:
    """Return the nominal value and the standard deviation of a range."""
    kind = study.space.parameters[name]
    assert isinstance(kind, Range)
    width = kind.high - kind.low
    return kind.low + study.space.nominal[name] * width, study.space.spread * width


def _rings(axes: Any, study: FailureStudy, chart: Boundary) -> None:
    """Draw whole distances from the nominal values within this plane."""
    (x0, sx), (y0, sy) = (_scale(study, name) for name in chart.names)
    turn = np.linspace(0.0, 2.0 * math.pi, 181)
    (left, right), (low, high) = ((_edges(values)[0], _edges(values)[-1]) for values in chart.axes)
    for ring in range(1, 7):
        axes.plot(x0 + ring * sx * np.cos(turn), y0 + ring * sy * np.sin(turn), color="0.45", linewidth=0.6,
                  linestyle=":", label="whole distances" if ring == 1 else None)  # fmt: skip
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)


def _marks(axes: Any, study: FailureStudy, chart: Boundary) -> None:
    (x0, _), (y0, _) = (_scale(study, name) for name in chart.names)
    axes.plot(
        [x0], [y0], marker="+", markersize=11, markeredgewidth=2.0, color=NOMINAL, linestyle="none", label="nominal"
    )
    places = study.found.failures()
    if places:
        values = study.space.values(study.found.points[places[0]])
        axes.plot([values[chart.names[0]]], [values[chart.names[1]]], marker="*", markersize=13, color=NEAREST,
                  linestyle="none", label="nearest failure")  # fmt: skip


def _trace(axes: Any, study: FailureStudy) -> None:
    """Draw the distance of every failure against the simulation that found it, and the nearest so far."""
    found = study.found
    places = [place for place, trial in enumerate(found.trials) if trial.outcome == "fail"]
    axes.plot([place + 1 for place in places], found.distances[places], linestyle="none", marker=".", markersize=4,
              color=FILLS["fail"])  # fmt: skip
    if places:
        nearest = np.minimum.accumulate(found.distances[places])
        axes.step([place + 1 for place in places] + [len(found.trials)], [*nearest, nearest[-1]], where="post",
                  color=NEAREST, linewidth=1.2)  # fmt: skip
    axes.set_xlim(0, len(found.trials) + 1)
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("simulation")
    axes.set_ylabel("distance of failures")
