"""Arms of an ablation as text and rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from simdrive.eval.studies.arms import TOPICS, Arm
from simdrive.report.aligned import aligned
from simdrive.report.table import p_text

NONE = "-"
NOTE = (
    "exact: perception / reasoning / planning. failures: mean and standard deviation over training seeds. against: mean paired\n"
    "difference of failure rates over training seeds, 95 % interval by Student's t. detectable: the smallest true difference\n"
    "that so many seeds of such spread would show with a power of 80 %."
)


def arms_text(arms: Sequence[Arm]) -> str:
    """Return the table of an ablation; its first arm is what the others are held against."""
    head = ("arm", "seeds", "exact %", "speeds off by, m/s", "failures %", "against, points", "p", "detectable")
    return "\n\n".join((aligned(head, [_row(arm) for arm in arms], left=("arm",)), f"against: {arms[0].name}. {NOTE}"))


def arm_records(arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Return a row per arm and training seed."""
    return [
        {
            "arm": arm.name, "folder": one.place, "weight_hash": one.weight_hash, "failure_rate": one.failure_rate,
            **{f"exact_{topic}": value for topic, value in zip(TOPICS, one.exact, strict=True)},
            **{f"speed_error_{k}": value for k, value in enumerate(one.speed_error_mps)},
        }
        for arm in arms
        for one in arm.trained
    ]  # fmt: skip


def _row(arm: Arm) -> list[str]:
    exact = np.mean([one.exact for one in arm.trained], axis=0)
    speeds = np.mean([one.speed_error_mps for one in arm.trained], axis=0)
    rates, found = 100.0 * np.array(arm.rates), arm.against
    spread = f" ± {rates.std(ddof=1):.1f}" if len(rates) > 1 else ""
    row = [
        arm.name, str(len(rates)), " / ".join(f"{100 * value:.1f}" for value in exact),
        " / ".join(f"{value:.2f}" for value in speeds), NONE if np.isnan(rates).any() else f"{rates.mean():.1f}{spread}",
    ]  # fmt: skip
    if found is None:
        return [*row, NONE, NONE, NONE]
    return [
        *row, f"{100 * found.mean:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]",
        NONE if math.isnan(found.p_value) else p_text(found.p_value),
        NONE if math.isnan(found.detectable) else f"{100 * found.detectable:.1f}",
    ]  # fmt: skip
