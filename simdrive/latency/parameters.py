"""Fitted parameters of the runtimes, as a file: written by ``simdrive latency calibrate``, never by hand."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

from simdrive.errors import ParameterError
from simdrive.latency.chip import Precision
from simdrive.latency.mapping import record
from simdrive.latency.roofline import DEQUANTIZE, StageParameters

SHIPPED = Path(__file__).resolve().parent / "data" / "fitted.json"
KERNELS = (*get_args(Precision), DEQUANTIZE)
MODEL_STAGES = ("vision", "prefill", "decode")
UNMEASURED_LOG_SIGMA = 0.35  # spread before any measurement: half of all guesses within a factor of 1.27
# How far the achieved share of a figure differs between chips: bandwidth little (read kernels of public benchmarks
# reach 75-95 % of it), matrix peaks more, most of all with the small products of a vision tower.
UNSEEN_CHIP_LOG_SIGMA = {"vision": 0.2, "prefill": 0.1, "decode": 0.08}


def prior(stage: str) -> StageParameters:
    """Return what is assumed of a runtime without measurements, and what few measurements are drawn towards.

    60-85 % of the bandwidth is the common rule of thumb; the other figures are general knowledge of GPU runtimes
    and are kept loose in the fit.
    """
    decode = stage == "decode"
    return StageParameters(
        bandwidth_share=0.85 if decode else 0.75,
        layer_us=40.0 if decode else 20.0,
        call_us=300.0 if decode else 1000.0,
        compute_share={kernel: 3.0 if kernel == DEQUANTIZE else 0.4 for kernel in KERNELS},
        overlap=dict.fromkeys(KERNELS, 1.5),
        log_sigma=UNMEASURED_LOG_SIGMA,
        chip_log_sigma=UNSEEN_CHIP_LOG_SIGMA[stage],
    )


@dataclass(frozen=True)
class RuntimeParameters:
    """All stages of one runtime.

    Attributes:
        kappa: what is left of the ideal speed-up of speculative decoding, per format; a format that is not there has
            never been measured.
    """

    runtime: str
    vision: StageParameters
    prefill: StageParameters
    decode: StageParameters
    kappa: Mapping[str, float] = field(default_factory=dict)

    def stage(self, name: str) -> StageParameters:
        """Return the parameters of ``vision``, ``prefill`` or ``decode``."""
        parameters: StageParameters = getattr(self, name)
        return parameters


def prior_of(runtime: str) -> RuntimeParameters:
    """Return the parameters of a runtime that nobody has measured."""
    return RuntimeParameters(runtime, prior("vision"), prior("prefill"), prior("decode"))


Calibration = Mapping[str, RuntimeParameters]


def to_plain(fitted: Calibration, source: str) -> dict[str, Any]:
    """Return plain data of a calibration."""
    return {"source": source, "runtimes": {name: asdict(value) for name, value in sorted(fitted.items())}}


def write_parameters(path: Path, fitted: Calibration, source: str) -> None:
    """Write a calibration; the file appears whole or not at all."""
    text = json.dumps(to_plain(fitted, source), indent=1, sort_keys=True, allow_nan=False) + "\n"
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def read_parameters(path: Path) -> dict[str, RuntimeParameters]:
    """Read a calibration.

    Raises:
        ParameterError: if the file is missing or malformed.
        UnknownNameError: if it has a field that does not exist.
    """
    try:
        given = json.loads(path.read_text(encoding="utf-8"))["runtimes"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParameterError(f"{path} is no calibration of 'simdrive latency calibrate': {error!r}") from error
    found = {}
    for name, stages in given.items():
        built = {stage: _stage(stages[stage], f"{name}.{stage}") for stage in MODEL_STAGES}
        found[name] = RuntimeParameters(name, **built, kappa=dict(stages.get("kappa", {})))
    return found


def _stage(given: Mapping[str, Any], where: str) -> StageParameters:
    lists = {key: tuple(given[key]) for key in ("chips", "kernels")}
    intervals = {key: (low, high) for key, (low, high) in given["intervals"].items()}
    return record(StageParameters, {**given, **lists, "intervals": intervals}, where)


@functools.cache
def shipped() -> Calibration:
    """Return the calibration that comes with simdrive."""
    return read_parameters(SHIPPED)


def parameters_of(runtime: str, calibration: Calibration | None = None) -> RuntimeParameters:
    """Return the parameters of a runtime; one without measurements gets the prior and its wide interval."""
    return (shipped() if calibration is None else calibration).get(runtime) or prior_of(runtime)
