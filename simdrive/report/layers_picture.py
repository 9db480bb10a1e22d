"""Picture of a study of layers: six panels over the depth of a model, Drive-KD's layers marked."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simdrive.compress.layer_study.result import NORM, LayerRow, LayerStudy
from simdrive.report.layers import layer_name

# Colours that colour-blind readers can tell apart (Okabe and Ito).
COLOURS = {"perception": "#0072B2", "reasoning": "#E69F00", "planning": "#009E73", "driving": "#CC79A7"}
MARKERS = {"perception": "o", "reasoning": "s", "planning": "^", "driving": "D"}


def layers_picture(study: LayerStudy, path: Path) -> None:
    """Draw similarity, consistency, dispersion, reliability and confidence into one PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.0, 7.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3).ravel()
    _lines(axes[0], study, {"in and out of a layer": lambda r: r.adjacent, "picture and text tokens": lambda r: r.vision_text,
                            "attention on pictures": lambda r: r.looks})  # fmt: skip
    axes[0].set_title("similarity, and where text looks")
    _by_capability(axes[1], study, lambda row: row.consistency)
    axes[1].set_title("states: cosine of samples of a capability")
    _by_capability(axes[2], study, lambda row: row.attention_consistency)
    axes[2].set_title("attention to pictures: the same")
    _lines(axes[3], study, {"state before the answer": lambda r: r.dispersion_hidden,
                            "its attention to pictures": lambda r: r.dispersion_attention,
                            "attention of all text": lambda r: r.dispersion_text})  # fmt: skip
    axes[3].set_title("dispersion (1 - cosine) over re-phrasings")
    axes[3].set_ylim(bottom=0.0)
    _by_capability(axes[4], study, lambda row: row.reliability)
    axes[4].set_title("reliability of attention: the scene, not the words")
    _confidence(axes[5], study)
    figure.suptitle(
        f"{study.model}: {study.layers} language layers, {study.samples} samples; dotted: Drive-KD's perception and planning"
    )
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
        panel.title.set_fontsize(10)
        panel.grid(color="0.92", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _lines(axes: Any, study: LayerStudy, lines: dict[str, Callable[[LayerRow], float]]) -> None:
    for (label, value), colour, marker in zip(lines.items(), ("#000000", "#56B4E9", "#D55E00"), "osD", strict=True):
        _line(axes, study, value, label, colour, marker)
    _layer_axis(axes, study)


def _by_capability(axes: Any, study: LayerStudy, values: Callable[[LayerRow], dict[str, float]]) -> None:
    for each in study.confidence:
        name = each.capability
        _line(axes, study, lambda row, name=name: values(row)[name], name, COLOURS[name], MARKERS[name])  # type: ignore[misc]
    _layer_axis(axes, study)


def _line(axes: Any, study: LayerStudy, value: Callable[[LayerRow], float], label: str, colour: str, mark: str) -> None:
    found = [(place, value(row)) for place, row in enumerate(study.rows)]
    shown = [(place, number) for place, number in found if not math.isnan(number)]
    axes.plot(
        [p for p, _ in shown],
        [v for _, v in shown],
        color=colour,
        marker=mark,
        markersize=4,
        linewidth=1.2,
        label=label,
    )


def _layer_axis(axes: Any, study: LayerStudy) -> None:
    step = max(1, len(study.rows) // 12)
    ticks = [place for place, row in enumerate(study.rows) if row.layer == NORM or place % step == 0]
    if len(ticks) > 1 and ticks[-1] - ticks[-2] < step:
        ticks.pop(-2)
    axes.set_xticks(ticks, [layer_name(study.rows[place]) for place in ticks], fontsize=8)
    axes.set_xlabel("language layer")
    for capability in ("perception", "planning"):
        layer = next(each.drive_kd[0] for each in study.choices if each.capability == capability)
        axes.axvline(layer, color=COLOURS[capability], linestyle=":", linewidth=1.0)


def _confidence(axes: Any, study: LayerStudy) -> None:
    for each in study.confidence:
        shown = [(place, value) for place, value in enumerate(each.bins) if not math.isnan(value)]
        axes.plot([0.1 * p + 0.05 for p, _ in shown], [v for _, v in shown], color=COLOURS[each.capability],
                  marker=MARKERS[each.capability], markersize=4, linewidth=1.2, label=each.capability)  # fmt: skip
    axes.set_xlabel("place in the model's own answer")
    axes.set_ylim(0.0, 1.02)
    axes.set_title("confidence: largest minus second probability")
