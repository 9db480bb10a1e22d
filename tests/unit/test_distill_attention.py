"""Attention losses, mixing and weights, by hand."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simdrive.compress.distill.attention import (
    layer_groups,
    masked_cosine,
    masked_difference,
    text_to_vision,
)
from simdrive.compress.distill.terms import Tokens, attention_loss, layer_pairs, layers_of, state_loss, widening
from simdrive.compress.distill.weights import OnlineWeights, mixing_of, mixing_row
from simdrive.errors import UnknownNameError

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


TOKENS = Tokens(IMAGE, THERE)


Maps = dict[int, torch.Tensor]


def loss(capability: str, student: Maps, teacher: Maps, signal: str = "attention") -> torch.Tensor:
    return attention_loss(capability, signal, student, teacher, TOKENS, (len(student), len(teacher)))


def test_losses_by_hand() -> None:
    student, teacher = maps(0.5, 0.2, 0.9), maps(0.2, 0.4, 0.6, 0.1, 0.9)
    assert float(loss("perception", student, teacher)) == pytest.approx((0.5 - 0.2) ** 2)
    assert float(loss("planning", student, teacher)) == pytest.approx((0.2 - 0.1) ** 2)
    # Two layers of the student against four of the teacher: windows of three.
    wanted = ((0.5 - 0.4) ** 2 + (0.2 - (0.4 + 0.6 + 0.1) / 3) ** 2) / 2
    assert float(loss("reasoning", student, teacher)) == pytest.approx(wanted, rel=1e-4)
    assert float(masked_difference(student[0][:, 0], teacher[0][:, 0], torch.zeros(1, 4, 4, dtype=torch.bool))) == 0.0


def test_whole_maps_count_pictures_too_and_cosines_forget_length() -> None:
    student, teacher = maps(0.5, 0.2, 0.9), maps(0.5, 0.2, 0.9)
    student[0] = student[0].clone()
    student[0][..., 0, 1] += 0.3  # a picture token looking at text: no text-to-vision pair
    assert float(loss("perception", student, teacher)) == 0.0
    assert float(loss("perception", student, teacher, "whole_attention")) == pytest.approx(0.3**2 / 9)
    assert float(loss("planning", maps(0.1, 0.2, 0.3), maps(0.3, 0.6, 0.9), "attention_cosine")) == pytest.approx(
        0, abs=1e-6
    )
    one, other = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[1.0, 1.0]]])
    assert float(masked_cosine(one, other, torch.ones(1, 1, 2))) == pytest.approx(1 - 0.5**0.5)


def test_layers_of_capabilities() -> None:
    assert layer_pairs("perception", 4, 8) == [(0, [0])]
    assert layer_pairs("planning", 4, 8) == [(2, [6])]
    assert layer_pairs("reasoning", 4, 8) == [(k, list(range(k, k + 5))) for k in range(3)]
    assert layer_pairs("planning", 1, 2) == [(0, [0])]
    assert layers_of(["perception", "planning"], 4, 8) == ([0, 2], [0, 6])


def test_states_are_measured_against_the_size_of_the_teachers() -> None:
    widen = widening([0], 2, 3)
    with torch.no_grad():
        widen.get_parameter("0.weight").copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
    own, theirs = {0: torch.ones(1, 4, 2)}, {0: torch.tensor([1.0, 1.0, 2.0]).expand(1, 4, 3).clone()}
    theirs[0][:, 3] = 1e6  # padding
    given = ("perception", "hidden", own, theirs, TOKENS, (1, 1), widen)
    assert float(state_loss(*given).detach()) == pytest.approx((4 / 3) / 2)
    cosine = float(state_loss("perception", "hidden_cosine", *given[2:]).detach())
    assert cosine == pytest.approx(1 - 2 / (2**0.5 * 6**0.5))


@pytest.mark.parametrize("signal", ["attention", "attention_cosine", "whole_attention"])
def test_the_teacher_is_not_taught(signal: str) -> None:
    student, teacher = maps(0.5, 0.1, 0.4), maps(0.2, 0.3, 0.3)
    student[0][..., 0, 0] += 0.2
    for value in (*student.values(), *teacher.values()):
        value.requires_grad_()
    (loss("perception", student, teacher, signal) + loss("reasoning", student, teacher, signal)).backward()
    assert all(value.grad is None for value in teacher.values())
    assert student[0].grad is not None


def test_a_row_of_the_mixing_matrix_sums_to_one() -> None:
    assert mixing_row("reasoning") == pytest.approx({"perception": 0.1, "reasoning": 0.8, "planning": 0.1})
    assert mixing_row("x", {"x": (1, 1, 2)})["planning"] == 0.5
    both = mixing_of(("planning", "perception"))
    assert both == pytest.approx({"perception": 0.45, "reasoning": 0.1, "planning": 0.45})
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
    other = OnlineWeights(terms, rate=0.05)
    other.load(json.loads(json.dumps(found.state())))
    for _ in range(3):  # the momentum came back too
        assert other.weights() == found.weights()
        for one in (found, other):
            one.step({"supervised": 1.0, "planning": 3.0})
