"""How far predictions lie from measurements: rows clustered first, then per stage, runtime, chip and format.

Rows of one (chip, model, format) are not independent, so each cluster counts once, with the median of its rows.
The error of a rate and of a time is ``|predicted / measured - 1|`` of that figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrive.latency.calibration import fit_stage, predicted_seconds, with_spread
from simdrive.latency.comparison import Skipped, Target
from simdrive.latency.parameters import MODEL_STAGES, Calibration, parameters_of, prior
from simdrive.latency.roofline import Z80, StageParameters


@dataclass(frozen=True)
class Comparison:
    """One target with its prediction; ``sigma`` is the spread that the prediction claims."""

    target: Target
    seconds: float
    sigma: float

    @property
    def error(self) -> float:
        """Relative error: of the rate for decode, of the time otherwise."""
        ratio = self.seconds / self.target.seconds
        return abs((1.0 / ratio if self.target.stage == "decode" else ratio) - 1.0)

    @property
    def covered(self) -> bool:
        """Whether the measurement lies in the 80 % interval."""
        return abs(math.log(self.seconds / self.target.seconds)) <= Z80 * self.sigma


def compare(targets: Iterable[Target], calibration: Calibration | None = None) -> list[Comparison]:
    """Predict targets with a calibration (default: the shipped one); passes of speculative decoding only fit kappa."""
    found = []
    for target in targets:
        if target.stage not in MODEL_STAGES:
            continue
        parameters = parameters_of(target.runtime, calibration)
        stage = parameters.stage(target.stage)
        seconds = predicted_seconds(target, stage, parameters.prefill)
        found.append(Comparison(target, seconds, stage.sigma(target.chip)))
    return found


def left_out(targets: Sequence[Target], by: str) -> list[Comparison]:
    """Predict every target from fits that have not seen its group, spread included.

    Args:
        targets: of any runtimes and stages; hybrid ones take no part, as in the fit.
        by: ``chip`` or ``model``. Targets that nothing in the rest speaks about (their kind of kernel, or any row
            of their runtime and stage) are not predicted.
    """
    found = []
    mine = [target for target in targets if not target.hybrid]
    for runtime in sorted({target.runtime for target in mine}):
        of_runtime = [target for target in mine if target.runtime == runtime]
        for group in sorted({getattr(target, by) for target in of_runtime}):
            train = [target for target in of_runtime if getattr(target, by) != group]
            test = [target for target in of_runtime if getattr(target, by) == group]
            found += _held_out(train, test)
    return found


def _held_out(train: Sequence[Target], test: Sequence[Target]) -> list[Comparison]:
    found: list[Comparison] = []
    before: StageParameters = prior("prefill")
    for name in MODEL_STAGES:
        seen = [target for target in train if target.stage == name]
        fitted = with_spread(fit_stage(seen, name, before), seen, name, before)
        if name == "prefill":
            before = fitted
        for target in test:
            if target.stage == name and seen and (name == "decode" or target.machine.kernel in fitted.kernels):
                found.append(Comparison(target, predicted_seconds(target, fitted, before), fitted.sigma(target.chip)))
    return found


def errors_of(items: Sequence[Comparison]) -> dict[str, Any]:
    """Return number of clusters and rows, median and 90th percentile of the cluster errors, coverage of rows."""
    clusters: dict[tuple[str, ...], list[float]] = {}
    for item in items:
        clusters.setdefault((item.target.runtime, item.target.stage, *item.target.cluster), []).append(item.error)
    if not clusters:
        return {"n": 0, "rows": 0, "median_error": None, "p90_error": None, "coverage_80": None}
    errors = [float(np.median(values)) for values in clusters.values()]
    return {
        "n": len(errors),
        "rows": len(items),
        "median_error": float(np.median(errors)),
        "p90_error": float(np.quantile(errors, 0.9)),
        "coverage_80": float(np.mean([item.covered for item in items])),
    }


def _stages(items: Sequence[Comparison]) -> dict[str, Any]:
    return {name: errors_of([item for item in items if item.target.stage == name])
            for name in ("decode", "prefill", "vision")}  # fmt: skip


def _grouped(items: Sequence[Comparison], key: Callable[[Target], str]) -> dict[str, Any]:
    names = sorted({key(item.target) for item in items})
    return {name: _stages([item for item in items if key(item.target) == name]) for name in names}


def report(items: Sequence[Comparison]) -> dict[str, Any]:
    """Return errors per stage, and the same by runtime, chip, format and kind of layers."""
    return {
        **_stages(items),
        "by_runtime": _grouped(items, lambda target: target.runtime),
        "by_chip": _grouped(items, lambda target: target.chip),
        "by_format": _grouped(items, lambda target: target.precision),
        "by_layers": _grouped(items, lambda target: "hybrid" if target.hybrid else "attention"),
    }


def worst_rows(items: Sequence[Comparison], count: int = 10) -> list[dict[str, Any]]:
    """Return the rows with the largest errors, largest first."""
    chosen = sorted(items, key=lambda item: -item.error)[:count]
    return [
        {"row": item.target.row, "stage": item.target.stage, "chip": item.target.chip, "runtime": item.target.runtime,
         "precision": item.target.precision, "measured_ms": item.target.seconds * 1e3,
         "predicted_ms": item.seconds * 1e3, "error": item.error}
        for item in chosen
    ]  # fmt: skip


def skipped_rows(skipped: Sequence[Skipped]) -> list[dict[str, Any]]:
    """Return what was not compared, and why."""
    return [{"row": item.row, "stage": item.stage, "reason": item.reason} for item in skipped]
