"""Model families on a curve: prices, refusals and where they fall."""

from __future__ import annotations

import pytest

from simdrive.build import build
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.eval.stats import Interval
from simdrive.eval.studies.curve import Budget
from simdrive.eval.studies.family import PricedVariant, Tokens, Variant, place, price, variants
from simdrive.latency.source import RequestBatch
from simdrive.types import Charge, TokenUsage

SMALL = Variant("agx_orin_64gb", "internvl3_1b", "w4a16", Tokens(output=30))


def test_cross_of_axes() -> None:
    found = variants(["agx_orin_64gb"], ["internvl3_1b", "internvl3_8b"], ["w4a16"], [3, 100], Tokens(prompt=200))
    assert [variant.label for variant in found] == [
        "internvl3_1b w4a16, 3 tokens", "internvl3_1b w4a16, 100 tokens",
        "internvl3_8b w4a16, 3 tokens", "internvl3_8b w4a16, 100 tokens",
    ]  # fmt: skip
    assert {variant.tokens.prompt for variant in found} == {200}


def test_price_is_that_of_the_chip_source() -> None:
    import numpy as np

    source = build("latency", "chip", chip="agx_orin_64gb", architecture="internvl3_1b", precision="w4a16",
                   prompt_tokens=300, image_tokens=1792, output_tokens=30)  # fmt: skip
    one = np.zeros(1, np.int64)
    stages = source.price(RequestBatch(("case",), one, TokenUsage.zeros(1), one, one, Charge()))
    found = price(SMALL)
    assert found.median_ms == pytest.approx(stages.sum() / 1e3, abs=0.01)
    assert found.low_ms < found.median_ms < found.high_ms


def test_what_does_not_fit_says_why() -> None:
    found = price(Variant("agx_orin_64gb", "internvl3_78b", "w16a16", Tokens()))
    assert "does not fit" in found.refused
    with pytest.raises(UnknownNameError, match="internvl3_1b"):
        price(Variant("agx_orin_64gb", "internvl3_1", "w16a16", Tokens()))
    with pytest.raises(UnknownNameError, match="w4a16"):
        price(Variant("agx_orin_64gb", "internvl3_1b", "w4a17", Tokens()))


@pytest.mark.parametrize(
    ("low", "high", "unsafe_ms", "verdict"),
    [(50, 100, 300.0, "safe"), (50, 101, 300.0, "undecided"), (300, 400, 300.0, "unsafe"),
     (299, 400, 300.0, "undecided"), (900, 999, None, "undecided")],
)  # fmt: skip
def test_place(low: float, high: float, unsafe_ms: float | None, verdict: str) -> None:
    budget = Budget(100.0, unsafe_ms, Interval(150.0, 120.0, 250.0), True, ())
    assert place(PricedVariant(SMALL, 0.5 * (low + high), low, high), budget) == verdict


@pytest.mark.parametrize("fields", [{"output": -1}, {"prompt": 2.5}, {"image": True}, {"prompt": 0, "image": 0}])
def test_tokens_are_checked(fields: dict[str, object]) -> None:
    with pytest.raises(ParameterError, match="token"):
        Tokens(**fields)
