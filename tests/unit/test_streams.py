"""Random streams depend on case, name and counter alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simdrive.streams import canonical_json, digest, stream


def test_same_arguments_give_the_same_draws() -> None:
    assert np.array_equal(stream("a", "x", 3).random(8), stream("a", "x", 3).random(8))


@pytest.mark.parametrize("other", [("b", "x", 3), ("a", "y", 3), ("a", "x", 4)])
def test_each_argument_changes_the_draws(other: tuple[str, str, int]) -> None:
    assert not np.array_equal(stream("a", "x", 3).random(8), stream(*other).random(8))


def test_a_draw_does_not_depend_on_how_many_came_before() -> None:
    first = stream("a", "x", 0)
    first.random(100_000)
    assert np.array_equal(stream("a", "x", 1).random(4), stream("a", "x", 1).random(4))
    assert not np.array_equal(first.random(4), stream("a", "x", 1).random(4))


def test_negative_counter_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 0"):
        stream("a", "x", -1)


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.booleans()))
def test_order_of_keys_does_not_change_a_digest(value: dict[str, object]) -> None:
    turned = dict(reversed(list(value.items())))
    assert canonical_json(value) == canonical_json(turned)
    assert digest(value) == digest(turned)
