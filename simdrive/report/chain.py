"""A chain of compression as text and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from simdrive.compress.chain import FEWEST_RANKED, Link, Ranked
from simdrive.compress.distill.names import CAPABILITIES
from simdrive.report.aligned import aligned
from simdrive.report.table import p_text

NONE = "-"
NOTE = (
    "exact: share of exact answers to perception / reasoning / planning. drift: mean squared difference of Drive-KD's attention\n"
    "signals from the first model's, in millionths. on actor: share of the answers' attention to pictures that falls on who\n"
    "decides, and how many times its share of the picture that is."
)


def chain_text(links: Sequence[Link], failures: Mapping[str, float], found: Ranked, frames: int) -> str:
    """Return a chain as aligned text."""
    head = (
        "model",
        "M parameters",
        "MB",
        "bits",
        "exact %",
        "speeds off by, m/s",
        "drift p / r / p",
        "on actor",
        "failures %",
    )
    rows = [
        [
            link.model, f"{link.parameters / 1e6:.2f}", f"{link.weight_bytes / 1e6:.2f}", f"{link.bits:.1f}",
            " / ".join(f"{100 * value:.1f}" for value in link.exact.values()),
            " / ".join(f"{value:.2f}" for value in link.speed_error_mps),
            " / ".join(_number(1e6 * link.drift[name], 1) for name in CAPABILITIES),
            NONE if math.isnan(link.on_actor) else f"{100 * link.on_actor:.1f} % (x{link.on_actor / link.by_chance:.2f})",
            f"{100 * failures[link.weight_hash]:.1f}" if link.weight_hash in failures else NONE,
        ]
        for link in links
    ]  # fmt: skip
    return "\n\n".join((aligned(head, rows, left=("model",)), f"{frames} frames\n{NOTE}", ranked_text(found)))


def ranked_text(found: Ranked) -> str:
    """Return in words whether answers foretell driving."""
    if math.isnan(found.rho):
        return f"answers against driving: {found.models} models with both, {FEWEST_RANKED} different ones are needed to rank"
    return (
        f"answers against driving: Spearman's rho of exact answers and failures {found.rho:+.2f} over {found.models} models "
        f"(p {p_text(found.p_value)}, permutations)"
    )


def chain_records(links: Sequence[Link], failures: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return a row per model."""
    return [
        {
            "model": link.model, "parents": " ".join(link.parents), "parameters": link.parameters,
            "weight_bytes": link.weight_bytes, "bits": link.bits, "sparsity": link.sparsity,
            **{f"exact_{name}": value for name, value in link.exact.items()},
            **{f"speed_error_{k}": value for k, value in enumerate(link.speed_error_mps)},
            **{f"drift_{name}": value for name, value in link.drift.items()},
            "attention_on_actor": link.on_actor, "actor_share_of_tokens": link.by_chance,
            "frames_with_actor": link.frames_with_actor,
            "failure_rate": failures.get(link.weight_hash, math.nan), "weight_hash": link.weight_hash,
        }
        for link in links
    ]  # fmt: skip


def _number(value: float, digits: int) -> str:
    return NONE if math.isnan(value) else f"{value:.{digits}f}"
