"""Speculative decoding: a draft proposes tokens, one pass of the model checks them all.

    tokens per second = kappa * accept_length / (time of a plain step)

``accept_length`` is the mean number of tokens that a pass yields; ``kappa``, at most 1, is what is lost to drafting
and to a pass over several tokens. It is fitted per runtime and format; accept lengths belong to the draft, the model
and the text, and are for the user to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from simdrive.errors import ParameterError


@dataclass(frozen=True)
class Speculation:
    """How far speculation carries.

    Args:
        accept_length: tokens per pass, at least 1.
        kappa: share of the ideal speed-up that is left, above 0 and at most 1.
    """

    accept_length: float = 1.0
    kappa: float = 1.0

    def __post_init__(self) -> None:
        if not 1.0 <= self.accept_length <= 64.0:
            raise ParameterError(f"accept_length must be from 1 to 64 tokens per pass, got {self.accept_length!r}")
        if not 0.0 < self.kappa <= 1.0:
            raise ParameterError(f"kappa must be above 0 and at most 1, got {self.kappa!r}")

    @property
    def speedup(self) -> float:
        """How many times faster decode is than plain decoding."""
        return self.kappa * self.accept_length


def fitted_kappas(measured: Iterable[tuple[str, float]]) -> Mapping[str, float]:
    """Return the median kappa per format, capped at 1.

    Args:
        measured: (format, plain step in seconds * tokens per second / accept length) of each row.
    """
    of: dict[str, list[float]] = {}
    for form, kappa in measured:
        of.setdefault(form, []).append(kappa)
    return {form: min(1.0, float(np.median(values))) for form, values in sorted(of.items())}
