"""The members of a model family on a chip: architecture x precision x output tokens, priced, or refused with a reason.

Token counts are assumptions of whoever asks: they hold for every request and stand beside every figure.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simdrive.errors import ParameterError, SimdriveError, UnknownNameError
from simdrive.eval.studies.curve import Budget
from simdrive.eval.studies.paired import Verdict
from simdrive.latency.names import load_card
from simdrive.latency.pricing import MOST_TOKENS, HostTimes, pricer


@dataclass(frozen=True)
class Tokens:
    """Assumed tokens of every request, of the charged model."""

    prompt: int = 300
    image: int = 1792  # seven tiles of 448 x 448 pixels at 256 tokens, as InternVL cuts one wide picture
    output: int = 30

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_TOKENS:
                raise ParameterError(f"{name}_tokens must be a whole number from 0 to {MOST_TOKENS}, got {value!r}")
        if self.prompt + self.image < 1:
            raise ParameterError("a request needs at least one token: give prompt_tokens or image_tokens above 0")


@dataclass(frozen=True)
class Variant:
    """One charge on one chip under one runtime."""

    chip: str
    architecture: str
    precision: str
    tokens: Tokens
    runtime: str = "trt_edge_llm"
    power_mode: str | None = None

    @property
    def label(self) -> str:
        """Short name for tables and pictures; chip and runtime stand beside it."""
        return f"{self.architecture} {self.precision}, {self.tokens.output} tokens"


@dataclass(frozen=True)
class PricedVariant:
    """Median milliseconds of one request with the 80 % interval of the price, NaN where it is refused."""

    variant: Variant
    median_ms: float
    low_ms: float
    high_ms: float
    refused: str = ""


def variants(
    chips: Sequence[str],
    architectures: Sequence[str],
    precisions: Sequence[str],
    outputs: Sequence[int],
    tokens: Tokens,
    runtime: str = "trt_edge_llm",
    power_mode: str | None = None,
) -> tuple[Variant, ...]:
    """Return the full cross of some axes, chips outermost, output tokens innermost."""
    return tuple(
        Variant(chip, architecture, precision, Tokens(tokens.prompt, tokens.image, output), runtime, power_mode)
        for chip, architecture, precision, output in itertools.product(chips, architectures, precisions, outputs)
    )


def price(variant: Variant, host: HostTimes = HostTimes()) -> PricedVariant:  # noqa: B008 - frozen
    """Price one request of a variant; what cannot be priced or does not fit the chip says why.

    Raises:
        UnknownNameError: if a name does not exist.
    """
    for group in ("chip", "runtime", "architecture"):
        load_card(group, getattr(variant, group))
    tokens = variant.tokens
    try:
        model = pricer(variant.chip, variant.runtime, variant.architecture, variant.precision, variant.power_mode)
        model.check_fit(tokens.prompt + tokens.image, tokens.output)
        text, image, output = (np.array([count], np.int64) for count in (tokens.prompt, tokens.image, tokens.output))
        none = np.zeros(1, np.int64)
        found = model.price(text, image, output, none, none, host).total_s()
    except UnknownNameError:
        raise
    except SimdriveError as error:
        return PricedVariant(variant, np.nan, np.nan, np.nan, str(error))
    median, low, high = (1e3 * float(value[0]) for value in found)
    return PricedVariant(variant, median, low, high)


def place(priced: PricedVariant, budget: Budget) -> Verdict:
    """Return where a priced variant falls on a curve: safe or unsafe only if the whole interval of its price does."""
    if priced.high_ms <= budget.safe_ms:
        return "safe"
    if budget.unsafe_ms is not None and priced.low_ms >= budget.unsafe_ms:
        return "unsafe"
    return "undecided"
