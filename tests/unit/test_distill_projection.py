"""Joining gradients, against a naive reference on hand-made vectors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simdrive.compress.distill.names import METHODS
from simdrive.compress.distill.projection import (
    agp,
    agp_first,
    away,
    equal_supervision,
    method_named,
    pcgrad,
    plain_sum,
)
from simdrive.errors import UnknownNameError


def vector(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def naive_away(f: np.ndarray, a: np.ndarray) -> np.ndarray:
    dot = float((f * a).sum())
    return f if dot >= 0 else f - dot / max(float((a * a).sum()), 1e-20) * a


def naive_agp(sup: np.ndarray, caps: dict[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    merged = {c: sup + naive_away(g, sup) for c, g in caps.items()}
    names = list(merged)
    order = [names[k] for k in rng.permutation(len(names))]
    out = dict(merged)
    for i in order:
        for j in order:
            if i != j:
                out[i] = naive_away(out[i], merged[j])
    return sum(out.values())


def test_away_by_hand() -> None:
    assert away(vector(1, 1), vector(2, 0)).tolist() == [1, 1]
    assert away(vector(-1, 1), vector(2, 0)).tolist() == [0, 1]
    assert away(vector(-3, 4), vector(0, 0)).tolist() == [-3, 4]


floats = st.floats(-10, 10, allow_nan=False)


@settings(deadline=None)
@given(st.lists(st.lists(floats, min_size=4, max_size=4), min_size=1, max_size=4), st.integers(0, 99))
def test_the_projection_equals_the_naive_one(rows: list[list[float]], seed: int) -> None:
    sup, *caps = (np.array(row, np.float32).astype(np.float64) for row in rows)
    named = dict(zip("pqr", caps, strict=False))
    found = agp(torch.tensor(sup), {k: torch.tensor(v) for k, v in named.items()}, np.random.default_rng(seed))
    wanted = naive_agp(sup, named, np.random.default_rng(seed)) if named else sup
    assert found.numpy() == pytest.approx(wanted, rel=1e-4, abs=1e-3)


@settings(deadline=None)
@given(st.lists(floats, min_size=3, max_size=3), st.lists(floats, min_size=3, max_size=3))
def test_the_first_stage_never_works_against_supervision(sup: list[float], cap: list[float]) -> None:
    anchor = vector(*sup)
    step = agp_first(anchor, {"p": vector(*cap)}, np.random.default_rng(0))
    assert float(torch.dot(step, anchor)) >= float(anchor.square().sum()) * (1 - 1e-5) - 1e-4
    assert anchor.tolist() == sup


def test_what_the_others_do() -> None:
    sup, caps = vector(1, 0), {"p": vector(-1, 1), "r": vector(0, -2)}
    rng = np.random.default_rng(0)
    assert plain_sum(sup, caps, rng).tolist() == [0, -1]
    assert equal_supervision(sup, caps, rng).tolist() == [1, -1]
    assert agp_first(sup, caps, rng).tolist() == [2, -1]
    for name in METHODS:
        assert method_named(name)(sup, {}, rng).tolist() == [1, 0], name
    both = pcgrad(vector(1, 0), {"p": vector(-1, 0.0)}, rng)
    assert both.tolist() == [0, 0]
    with pytest.raises(UnknownNameError, match="apg"):
        method_named("apg")
