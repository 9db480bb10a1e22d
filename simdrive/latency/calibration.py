"""Robust fit of a runtime's parameters on published measurements, with intervals.

Minimises ``rho(log(t_pred / t_obs) / 0.1)`` with rho = soft L1 over the parameters of ``roofline``, each runtime
and stage by itself. Rows of one (chip, model, format) weigh together as much as one row times the root of their
number, because they are not independent. A loose normal prior on the logarithm of every parameter (``prior``)
keeps figures that few rows say nothing about where general knowledge has them; with many rows it does not matter.

The spread of the predictions comes from models that were left out of the fit, never from the residuals of the fit.
Hybrid models (recurrent layers) take no part: their traffic follows other laws.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares

from simdrive.latency.comparison import Target
from simdrive.latency.parameters import (
    MODEL_STAGES,
    UNMEASURED_LOG_SIGMA,
    UNSEEN_CHIP_LOG_SIGMA,
    RuntimeParameters,
    prior,
)
from simdrive.latency.roofline import Z80, StageParameters, WorkStack, stage_seconds
from simdrive.latency.speculation import fitted_kappas
from simdrive.types import Float, Long

RESIDUAL_SCALE = 0.1  # errors of the logarithm that are still taken as ordinary
_PRIOR_SPREAD = {"bandwidth_share": 0.25, "layer_us": 1.0, "call_us": 1.0, "compute_share": 0.7, "overlap": 0.5,
                 "layer_factor": 0.4, "chip_factor": 0.08}  # fmt: skip
_DECODE_SPREAD = {"bandwidth_share": 0.1}
_LOW = {"bandwidth_share": 0.05, "layer_us": 0.01, "call_us": 0.1, "compute_share": 0.005, "overlap": 1.0,
        "layer_factor": 0.1, "chip_factor": 0.5}  # fmt: skip
_HIGH = {"bandwidth_share": 1.0, "layer_us": 2000.0, "call_us": 1e5, "compute_share": 50.0, "overlap": 10.0,
         "layer_factor": 10.0, "chip_factor": 2.0}  # fmt: skip
_PRIOR_CLUSTERS = 0.5  # what the prior's spread counts as, beside clusters that were left out
_FEWEST_CLUSTERS = 3  # below, the spread is the prior's alone


def predicted_seconds(target: Target, stage: StageParameters, prefill: StageParameters) -> float:
    """Return what parameters say about a target; an end-to-end rate takes prefill and all its steps."""
    one = float(stage_seconds(target.work, target.machine, stage))
    if target.prefill_work is None:
        return one
    return target.steps * one + float(stage_seconds(target.prefill_work, target.machine, prefill))


@dataclass(frozen=True)
class _Stack:
    """Targets of one stage as arrays: a fit evaluates them some hundred times."""

    single: WorkStack
    whole: WorkStack  # prefill of end-to-end rates
    which: Long  # rows with an end-to-end rate
    steps: Float
    seconds: Float

    @classmethod
    def of(cls, targets: Sequence[Target]) -> _Stack:
        whole = [index for index, target in enumerate(targets) if target.prefill_work is not None]
        return cls(
            WorkStack.of([(target.work, target.machine) for target in targets]),
            WorkStack.of([(t.prefill_work, t.machine) for t in targets if t.prefill_work is not None]),
            np.array(whole, dtype=np.int64),
            np.array([target.steps for target in targets]),
            np.array([target.seconds for target in targets]),
        )

    def errors(self, stage: StageParameters, prefill: StageParameters) -> Float:
        times = self.single.seconds(stage)
        if len(self.which):
            times[self.which] = times[self.which] * self.steps[self.which] + self.whole.seconds(prefill)
        return np.asarray(np.log(times / self.seconds), float)


def log_errors(targets: Sequence[Target], stage: StageParameters, prefill: StageParameters) -> Float:
    """Return ``log(predicted / measured)`` of targets of one stage."""
    return _Stack.of(targets).errors(stage, prefill)


def _names(kernels: Sequence[str], chips: Sequence[str], stage: str) -> list[str]:
    """Return what is free in a stage.

    Decode never comes near its compute bound at batch 1: there only the overhead of each kind of kernel is free, and
    how far each chip's share of its bandwidth lies from that of the others.
    """
    common = ["bandwidth_share", "layer_us", "call_us"]
    if stage == "decode":
        return [*common, *(f"layer_factor.{name}" for name in kernels), *(f"chip_factor.{name}" for name in chips)]
    return [*common, *(f"{kind}.{kernel}" for kernel in kernels for kind in ("compute_share", "overlap"))]


def _get(parameters: StageParameters, name: str) -> float:
    field, _, kernel = name.partition(".")
    value = getattr(parameters, field)
    return float(value.get(kernel, 1.0) if kernel else value)


def _with(base: StageParameters, names: Sequence[str], logs: Float) -> StageParameters:
    fields: dict[str, object] = {}
    kinds = {kind: dict(getattr(base, kind)) for kind in ("compute_share", "overlap", "layer_factor", "chip_factor")}
    for name, value in zip(names, np.exp(logs).tolist(), strict=True):
        field, _, kernel = name.partition(".")
        if kernel:
            kinds[field][kernel] = value
        else:
            fields[name] = min(value, _HIGH[name])
    return replace(base, **kinds, **fields)  # type: ignore[arg-type]


def _weights(targets: Sequence[Target]) -> Float:
    sizes = Counter(target.cluster for target in targets)
    return np.array([sizes[target.cluster] ** -0.25 for target in targets])


def fit_stage(targets: Sequence[Target], stage: str, prefill: StageParameters | None = None) -> StageParameters:
    """Return the parameters of one stage without their spread; without targets the prior.

    Args:
        targets: of one runtime and stage.
        stage: which one.
        prefill: for end-to-end rates among decode targets.
    """
    base = prior(stage)
    if not targets:
        return base
    before, weights = prefill or prior("prefill"), _weights(targets)
    kernels = sorted({target.machine.kernel for target in targets})
    chips = sorted({target.chip for target in targets})
    names = _names(kernels, chips, stage)
    start = np.log([_get(base, name) for name in names])
    given = _PRIOR_SPREAD | (_DECODE_SPREAD if stage == "decode" else {})
    spread = np.array([given[name.partition(".")[0]] for name in names])
    low, high = (np.log([bound[name.partition(".")[0]] for name in names]) for bound in (_LOW, _HIGH))

    stack = _Stack.of(targets)

    def residuals(logs: Float) -> Float:
        errors = stack.errors(_with(base, names, logs), before)
        return np.concatenate([errors * weights / RESIDUAL_SCALE, (logs - start) / spread])

    found = least_squares(residuals, start, bounds=(low, high + 1e-9), loss="soft_l1", x_scale=spread)
    fitted = _with(base, names, found.x)
    slopes = np.asarray(found.jac, float)
    deviations = np.sqrt(np.clip(np.diag(np.linalg.pinv(slopes.T @ slopes)), 0.0, None))
    ends = zip(names, *(np.clip(found.x + side * Z80 * deviations, low, high) for side in (-1.0, 1.0)), strict=True)
    return replace(
        fitted, rows=len(targets), chips=tuple(chips), kernels=tuple(kernels),
        intervals={name: (float(np.exp(first)), float(np.exp(last))) for name, first, last in ends},
    )  # fmt: skip


def left_out_errors(
    targets: Sequence[Target], stage: str, prefill: StageParameters | None, by: str
) -> dict[int, float]:
    """Return the log error of each target (by position) under a fit without its group (``chip`` or ``model``).

    A group is left out only if something remains; kinds of kernel that nothing else measures are not predicted.
    """
    groups = [getattr(target, by) for target in targets]
    errors: dict[int, float] = {}
    for group in sorted(set(groups)):
        train = [target for target, name in zip(targets, groups, strict=True) if name != group]
        if not train:
            continue
        fitted = fit_stage(train, stage, prefill)
        for index, (target, name) in enumerate(zip(targets, groups, strict=True)):
            if name == group and (stage == "decode" or target.machine.kernel in fitted.kernels):
                errors[index] = float(log_errors([target], fitted, prefill or prior("prefill"))[0])
    return errors


def _spread(targets: Sequence[Target], errors: dict[int, float]) -> float:
    """Return the standard deviation that puts 80 % of left-out errors inside, drawn to the prior where few."""
    clusters = len({targets[index].model for index in errors})
    if clusters < _FEWEST_CLUSTERS:
        return UNMEASURED_LOG_SIGMA
    seen = float(np.quantile(np.abs(list(errors.values())), 0.8)) / Z80
    weighed = clusters * seen**2 + _PRIOR_CLUSTERS * UNMEASURED_LOG_SIGMA**2
    return float(np.sqrt(weighed / (clusters + _PRIOR_CLUSTERS)))


def _chip_spread(targets: Sequence[Target], stage: str, prefill: StageParameters | None) -> float:
    """Return how far the median error of a left-out chip lies from zero, drawn to the prior where few chips."""
    errors = left_out_errors(targets, stage, prefill, "chip")
    chips = sorted({targets[index].chip for index in errors})
    medians = [np.median([errors[index] for index in errors if targets[index].chip == chip]) for chip in chips]
    total = float(np.sum(np.square(medians))) + 2.0 * UNSEEN_CHIP_LOG_SIGMA[stage] ** 2
    return float(np.sqrt(total / (len(chips) + 2)))


def with_spread(
    fitted: StageParameters, targets: Sequence[Target], stage: str, prefill: StageParameters | None
) -> StageParameters:
    """Return the parameters with the spread of their predictions on models and chips that they have not seen."""
    if not targets:
        return fitted
    models = _spread(targets, left_out_errors(targets, stage, prefill, "model"))
    return replace(fitted, log_sigma=models, chip_log_sigma=_chip_spread(targets, stage, prefill))


def fit_runtime(runtime: str, targets: Sequence[Target]) -> RuntimeParameters:
    """Return all stages of a runtime; hybrid models and other runtimes among the targets are left out."""
    mine = [target for target in targets if target.runtime == runtime and not target.hybrid]
    of = {name: [target for target in mine if target.stage == name] for name in MODEL_STAGES}
    stages: dict[str, StageParameters] = {}
    for name in MODEL_STAGES:  # prefill before decode: end-to-end rates need it
        before = stages.get("prefill")
        stages[name] = with_spread(fit_stage(of[name], name, before), of[name], name, before)
    drafted = [t for t in targets if t.runtime == runtime and t.stage == "speculation" and not t.hybrid]
    kappas = [(t.precision, predicted_seconds(t, stages["decode"], stages["prefill"]) / t.seconds) for t in drafted]
    return RuntimeParameters(runtime, **stages, kappa=fitted_kappas(kappas))


def fit_runtimes(targets: Sequence[Target]) -> dict[str, RuntimeParameters]:
    """Return the parameters of every runtime with measurements."""
    names = sorted({target.runtime for target in targets if not target.hybrid})
    return {name: fit_runtime(name, targets) for name in names}
