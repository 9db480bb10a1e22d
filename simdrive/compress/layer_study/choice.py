"""Which layers a study would take for a capability, and how that compares with Drive-KD's choice.

Two rules. ``consistency`` reads the study as Drive-KD does: layers whose states agree most among samples of a
capability. ``reliability`` is simdrive's own check of the signal that is distilled: layers whose attention to the
pictures follows what is seen rather than how the question is put. Each takes all layers whose measure is within a
tolerance of the best, so that a flat curve takes them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from simdrive.compress.distill.terms import layer_pairs
from simdrive.compress.layer_study.result import CONSISTENCY, RELIABILITY, Choice
from simdrive.types import Float

TOLERANCE = {CONSISTENCY: 0.02, RELIABILITY: 0.05}
Measure = Callable[[Float], Float]  # from how often each sample is there [N] to a value per layer [L]


def drive_kd_layers(capability: str, depth: int) -> tuple[int, ...]:
    """Return the layers that Drive-KD distils for a capability in a model of ``depth`` layers; driving is planning."""
    named = "planning" if capability == "driving" else capability
    return tuple(layer for layer, _ in layer_pairs(named, depth, depth))


def best_layers(values: Float, tolerance: float) -> tuple[int, ...]:
    """Return the layers whose value is within ``tolerance`` of the best; none where no value is defined."""
    if not np.isfinite(values).any():
        return ()
    return tuple(np.flatnonzero(values >= np.nanmax(values) - tolerance).tolist())


def verdict_of(chosen: Sequence[int], published: Sequence[int]) -> tuple[str, float]:
    """Return how a choice compares with the published one, and their overlap (in both among in either).

    ``agrees``: overlap above a half. ``contains``: it takes the published layers and many others, so nothing singles
    them out. ``partly``: some in common. ``differs``: none. ``undefined``: there was nothing to choose by.
    """
    mine, theirs = set(chosen), set(published)
    if not mine:
        return "undefined", float("nan")
    overlap = len(mine & theirs) / len(mine | theirs)
    if overlap > 0.5:
        return "agrees", overlap
    if theirs <= mine:
        return "contains", overlap
    return ("partly" if mine & theirs else "differs"), overlap


def choose(
    capability: str, rule: str, measure: Measure, samples: int, depth: int, redraws: int, rng: np.random.Generator
) -> Choice:
    """Return the choice of one rule, and on how many redrawn sample sets its verdict is the same."""
    published = drive_kd_layers(capability, depth)
    values = measure(np.ones(samples))
    chosen = best_layers(values, TOLERANCE[rule])
    verdict, overlap = verdict_of(chosen, published)
    again = 0
    for _ in range(redraws):
        counts = np.bincount(rng.integers(0, samples, samples), minlength=samples).astype(np.float64)
        again += verdict_of(best_layers(measure(counts), TOLERANCE[rule]), published)[0] == verdict
    known = bool(np.isfinite(values).any())
    return Choice(
        capability, rule, chosen, published, overlap, verdict,
        float(np.nanmax(values)) if known else float("nan"),
        float(values[list(published)].mean()), float(np.nanmedian(values)) if known else float("nan"),
        again / redraws if redraws else float("nan"),
    )  # fmt: skip
