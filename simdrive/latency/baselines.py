"""What simpler formulas for decode would have said, under the same leave-one-chip-out rule as the model.

    S0   parameters * nominal bits / 8 / (share * bandwidth)
    S1   bytes really moved / (share * bandwidth)
    S2   S1 + kernels * overhead, the same overhead on every chip

``share`` (and the overhead) are fitted per runtime on the other chips. S0 counts what a model card says: no scales,
no 16-bit head, every expert, no cache. Rows that give a whole request's rate are left out: these formulas have no
prefill.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import nnls

from simdrive.latency.comparison import Target
from simdrive.latency.validation import Comparison, errors_of
from simdrive.types import Float


def _times(targets: Sequence[Target]) -> Float:
    return np.array([target.seconds for target in targets])


def _nominal(targets: Sequence[Target]) -> Float:
    return np.array([[target.nominal_bytes / target.machine.bandwidth] for target in targets])


def _moved(targets: Sequence[Target]) -> Float:
    return np.array([[float(target.work.bytes) / target.machine.bandwidth] for target in targets])


def _moved_and_kernels(targets: Sequence[Target]) -> Float:
    return np.array(
        [[*moved, target.work.layers * 1e-6] for moved, target in zip(_moved(targets), targets, strict=True)]
    )


FORMULAS: dict[str, Callable[[Sequence[Target]], Float]] = {"S0": _nominal, "S1": _moved, "S2": _moved_and_kernels}


def _weights(columns: Float, times: Float) -> Float:
    """Return non-negative weights of the columns: the median ratio for one, least relative squares for several."""
    if columns.shape[1] == 1:
        return np.asarray(np.exp(np.median(np.log(times[:, None] / columns), axis=0)), float)
    return np.asarray(nnls(columns / times[:, None], np.ones(len(times)))[0], float)


def _left_out(targets: Sequence[Target], columns_of: Callable[[Sequence[Target]], Float]) -> list[Comparison]:
    found: list[Comparison] = []
    for runtime in sorted({target.runtime for target in targets}):
        mine = [target for target in targets if target.runtime == runtime]
        for chip in sorted({target.chip for target in mine}):
            train = [target for target in mine if target.chip != chip]
            test = [target for target in mine if target.chip == chip]
            if train:
                seconds = columns_of(test) @ _weights(columns_of(train), _times(train))
                found += [Comparison(target, float(t), 0.0) for target, t in zip(test, seconds, strict=True)]
    return found


def _errors(items: Sequence[Comparison]) -> dict[str, Any]:
    errors = errors_of(items)
    return {key: errors[key] for key in ("n", "rows", "median_error", "p90_error")}


def decode_baselines(targets: Sequence[Target], model: Sequence[Comparison]) -> dict[str, Any]:
    """Return errors of S0, S1, S2 and of the model on the same rows, all of them and per runtime.

    Args:
        targets: of any stage and runtime; plain decode rows of models without recurrent layers are used.
        model: predictions of the model for left-out chips.
    """
    plain = [t for t in targets if t.stage == "decode" and not t.hybrid and t.prefill_work is None]
    found = {name: _left_out(plain, columns_of) for name, columns_of in FORMULAS.items()}
    rows = {(item.target.row, item.target.runtime) for items in found.values() for item in items}
    found["model"] = [
        replace(item, sigma=0.0)
        for item in model
        if item.target.stage == "decode" and (item.target.row, item.target.runtime) in rows
    ]
    runtimes = sorted({item.target.runtime for items in found.values() for item in items})
    return {
        "all": {name: _errors(items) for name, items in found.items()},
        "by_runtime": {
            runtime: {name: _errors([i for i in items if i.target.runtime == runtime]) for name, items in found.items()}
            for runtime in runtimes
        },
    }
