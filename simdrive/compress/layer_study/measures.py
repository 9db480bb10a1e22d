"""Measures over layers: how alike samples of one capability are, and what re-phrasing a question moves.

The quantities are those of Drive-KD's preliminary study (arXiv 2601.21288, figure; its exact definitions are not
published), the definitions are simdrive's own. Vectors are ``[N, P, L, D]``: samples, phrasings of one question, layers,
values. Cosines leave scale out of account.
"""

from __future__ import annotations

import numpy as np

from simdrive.types import Float

_SMALL = 1e-12


def unit(vectors: Float) -> Float:
    """Return vectors ``[..., D]`` of length one; a vector of nothing stays nothing."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    found: Float = vectors / np.maximum(length, _SMALL)
    return found


def likeness(vectors: Float) -> Float:
    """Return cosines ``[L, N, N]`` of samples asked in the same words, mean over the phrasings of ``[N, P, L, D]``."""
    found: Float = np.einsum("apld,bpld->lab", unit(vectors), unit(vectors), optimize=True) / vectors.shape[1]
    return found


def pair_mean(likenesses: Float, counts: Float) -> Float:
    """Return the mean ``[L]`` over pairs of different samples; sample ``n`` is there ``counts[n]`` times.

    A redrawn sample is never paired with itself, which would pass for agreement. NaN where no pair is left.
    """
    weight = np.outer(counts, counts)
    np.fill_diagonal(weight, 0.0)
    total = weight.sum()
    if total == 0.0:
        return np.full(len(likenesses), np.nan)
    found: Float = (likenesses * weight).sum(axis=(1, 2)) / total
    return found


def rephrased(vectors: Float) -> Float:
    """Return ``[N, L]`` one minus the mean cosine between the phrasings of a question, of ``[N, P, L, D]``.

    NaN with a single phrasing.
    """
    asked = vectors.shape[1]
    if asked < 2:
        return np.full((len(vectors), vectors.shape[2]), np.nan)
    whole = unit(vectors).sum(axis=1)  # the sum over all pairs, each with itself included, is the square of the sum
    own = (unit(vectors) ** 2).sum(axis=-1).sum(axis=1)
    found: Float = 1.0 - ((whole**2).sum(axis=-1) - own) / (asked * (asked - 1))
    return found


def reliability(likenesses: Float, moved: Float, counts: Float) -> Float:
    """Return ``[L]`` one minus the dispersion over re-phrasings against that over samples.

    1 = a layer follows what is seen and not how it is asked; 0 = other words move it as much as another scene does. NaN
    where all samples look the same. It is an intraclass correlation with cosines in the place of variances.

    Args:
        likenesses: of ``likeness``. moved: ``[N, L]`` of ``rephrased``. counts: ``[N]`` how often each sample is there.
    """
    between = 1.0 - pair_mean(likenesses, counts)
    within = (moved * counts[:, None]).sum(axis=0) / counts.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Float = np.where(between > 1e-9, 1.0 - within / between, np.nan)
    return found


def binned(values: Float, places: Float, bins: int = 10) -> tuple[float, ...]:
    """Return the mean of values by place, ``places`` in [0, 1) cut into equal bins; NaN where a bin is empty."""
    which = np.minimum((places * bins).astype(np.int64), bins - 1)
    means = [float(values[which == k].mean()) if (which == k).any() else float("nan") for k in range(bins)]
    return tuple(means)
