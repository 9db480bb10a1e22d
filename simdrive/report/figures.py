"""Figures without a display, saved with the same bytes every time."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal


def figure_of(width_in: float, height_in: float) -> Any:
    """Return an empty figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Any, path: Path, grid: Literal["x", "y", "none"] = "x") -> None:
    """Write a figure as PNG, plain frames and light lines along one axis."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
        if grid != "none":
            axes.grid(axis=grid, color="0.9", linewidth=0.6)
    figure.savefig(path, dpi=130, metadata={"Software": None})
