"""Attention losses, mixing and weights, by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simdrive.compress.distill.attention import (
    layer_groups,
    masked_difference,
    perception_loss,
    planning_loss,
    pool_tokens,
    reasoning_loss,
    text_to_vision,
)
from simdrive.compress.distill.weights import OnlineWeights, mixing_row
from simdrive.errors import ParameterError, UnknownNameError

IMAGE = torch.tensor([[True, False, False, False]])
THERE = torch.tensor([[True, True, True, False]])  # the last token is padding


def test_groups_slide_over_the_deeper_teacher() -> None:
    assert layer_groups(3, 5) == [range(0, 3), range(1, 4), range(2, 5)]
    assert layer_groups(5, 3) == [range(0, 1), range(1, 2), range(2, 3), range(2, 3), range(2, 3)]
    assert layer_groups(23, 27)[0] == range(0, 5)
    assert layer_groups(23, 27)[-1] == range(22, 27)


def test_text_looks_at_pictures_and_padding_at_nothing() -> None:
    assert text_to_vision(IMAGE, THERE)[0].int().tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def maps(*values: float) -> dict[int, torch.Tensor]:
    """One map ``[1, 2 heads, 4, 4]`` per layer, the heads around a value."""
    return {
        k: torch.stack([torch.full((4, 4), v - 0.1), torch.full((4, 4), v + 0.1)])[None] for k, v in enumerate(values)
    }


def test_losses_by_hand() -> None:
    student, teacher = maps(0.5, 0.2, 0.9), maps(0.2, 0.4, 0.6, 0.1, 0.9)
    assert float(perception_loss(student, teacher, IMAGE, THERE)) == pytest.approx((0.5 - 0.2) ** 2)
    assert float(planning_loss(student, teacher, IMAGE, THERE)) == pytest.approx((0.2 - 0.1) ** 2)
    # Two layers of the student against four of the teacher: windows of three.
    wanted = ((0.5 - 0.4) ** 2 + (0.2 - (0.4 + 0.6 + 0.1) / 3) ** 2) / 2
    assert float(reasoning_loss(student, teacher, IMAGE, THERE)) == pytest.approx(wanted, rel=1e-4)
    assert float(masked_difference(student[0][:, 0], teacher[0][:, 0], torch.zeros(1, 4, 4, dtype=torch.bool))) == 0.0


def test_the_teacher_is_not_taught() -> None:
    student, teacher = maps(0.5, 0.1, 0.4), maps(0.2, 0.3, 0.3)
    for value in (*student.values(), *teacher.values()):
        value.requires_grad_()
    (perception_loss(student, teacher, IMAGE, THERE) + reasoning_loss(student, teacher, IMAGE, THERE)).backward()
    assert all(value.grad is None for value in teacher.values())
    assert student[0].grad is not None


def test_pooled_rows_still_sum_to_one() -> None:
    fine = torch.rand(2, 3, 5, 5).softmax(-1)
    pooled = pool_tokens(fine, [[0], [1, 2], [3, 4]])
    assert pooled.shape == (2, 3, 3, 3)
    assert pooled.sum(-1).flatten().tolist() == pytest.approx([1.0] * 18)
    assert float(pooled[0, 0, 0, 1]) == pytest.approx(float(fine[0, 0, 0, 1:3].sum()))
    with pytest.raises(ParameterError, match="each of the 5 tokens once"):
        pool_tokens(fine, [[0], [1, 2], [2, 3, 4]])


def test_a_row_of_the_mixing_matrix_sums_to_one() -> None:
    assert mixing_row("reasoning") == pytest.approx({"perception": 0.1, "reasoning": 0.8, "planning": 0.1})
    assert mixing_row("x", {"x": (1, 1, 2)})["planning"] == 0.5
    with pytest.raises(UnknownNameError, match="seeing"):
        mixing_row("seeing")


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(0.01, 100.0), min_size=3, max_size=3))
def test_weights_pull_equally_in_the_end(norms: list[float]) -> None:
    terms = ("perception", "reasoning", "planning")
    found = OnlineWeights(terms, rate=0.05)
    given_norms = dict(zip(terms, norms, strict=True))

    def spread() -> float:
        pulls = [found.weights()[term] * given_norms[term] for term in terms]
        return (max(pulls) - min(pulls)) / max(sum(pulls), 1e-9)

    before = spread()
    for _ in range(150):
        found.step(given_norms)
    assert sum(found.weights().values()) == pytest.approx(3.0, rel=1e-3)
    assert spread() <= max(before, 0.08) + 1e-6


def test_supervision_keeps_its_floor_and_a_state_comes_back() -> None:
    terms = ("supervised", "planning")
    found = OnlineWeights(terms, rate=0.05)
    for _ in range(300):
        found.step({"supervised": 100.0, "planning": 0.01})
    assert found.weights()["supervised"] >= 0.6 - 1e-6
    other = OnlineWeights(terms)
    other.load(found.state())
    assert other.weights() == found.weights()
