"""What the dense task asks for."""

import json

import numpy as np
import pytest
import torch

from simdrive.agents.language.sights import KINDS, MOTIONS
from simdrive.compress.dense import DenseHead, dense_loss, nearest_of

CAR = {"kind": "car", "place": "lane", "motion": "brakes", "ahead_m": 30.0, "offset_m": 0.2}


def test_the_nearest_of_each_place_is_asked_for() -> None:
    rows = [
        [],
        [CAR, {**CAR, "kind": "van", "ahead_m": 12.0}],
        [{**CAR, "ahead_m": 151.0}, {**CAR, "place": "far-right", "ahead_m": -2.0}],
    ]
    found = nearest_of([json.dumps(row) for row in rows])
    assert found.present.tolist() == [[0] * 5, [0, 0, 1, 0, 0], [0, 0, 0, 0, 1]]
    assert found.distance[1, 2] == pytest.approx(np.log(13.0))
    assert found.distance[2, 4] == 0.0
    assert list(KINDS.values())[found.kind[1, 2]] == "van"
    assert MOTIONS[found.motion[1, 2]] == "brakes"
    assert found.rows(np.array([1])).offset_m[0, 2] == 0.2


def test_the_loss_is_least_for_the_truth() -> None:
    truth = nearest_of([json.dumps([CAR]), "[]"])
    right = torch.full((2, 5, 3 + len(MOTIONS) + len(KINDS)), -20.0)
    right[0, 2, 0] = 20.0
    right[0, 2, 1], right[0, 2, 2] = float(np.log(31.0)), 0.05
    right[0, 2, 3 + MOTIONS.index("brakes")] = right[0, 2, 3 + len(MOTIONS)] = 20.0
    assert float(dense_loss(right, truth)) == pytest.approx(0.0, abs=1e-4)
    for value in range(right.shape[-1]):
        wrong = right.clone()
        wrong[0, 2, value] += 41.0 if value >= 3 else -3.0 if value else -40.0
        if value not in (3 + MOTIONS.index("brakes"), 3 + len(MOTIONS)):
            assert float(dense_loss(wrong, truth)) > 0.1
    empty = nearest_of(["[]"])
    assert float(dense_loss(right[1:], empty)) == pytest.approx(0.0, abs=1e-4)


def test_a_head_reads_all_tokens_of_a_request() -> None:
    head = DenseHead(slots=4, width=8)
    tokens = torch.randn(12, 8)  # three requests
    found = head(tokens)
    assert found.shape == (3, 5, 3 + len(MOTIONS) + len(KINDS))
    tokens[7] += 1.0
    assert [bool((a != b).any()) for a, b in zip(found, head(tokens), strict=True)] == [False, True, False]
