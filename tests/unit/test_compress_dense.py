"""The dense task: what stands in each column of the pictures."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from test_compress_samples import PICTURED
from test_compress_trainer import TINY

from simdrive.agents.language.sights import KINDS, PLACES
from simdrive.compress.columns import VALUES, columns
from simdrive.compress.dense import OUT, DenseHead, dense_loss
from simdrive.errors import ParameterError
from simdrive.models.processor import Processor
from simdrive.models.shape import VlmShape
from simdrive.sim.state import Shape
from simdrive.types import CameraSpec

WIDE = CameraSpec("wide", 256, 64, 90.0, x_m=0.0, y_m=0.0)  # focal length 128 px


def world(*actors: dict[str, Any]) -> Any:
    """The ego at the origin and some actors."""
    base = {"shape": Shape.CAR, "x": 0.0, "y": 0.0, "heading": 0.0, "speed": 0.0, "lateral_speed": 0.0, "length": 4.0,
            "width": 2.0, "height": 1.5, "present": True, "visible": True}  # fmt: skip
    rows = [base, *({**base, **actor} for actor in actors)]
    return SimpleNamespace(**{name: np.array([[row[name] for row in rows]]) for name in base})


def told(view: Any, place: int = 2, motion: int = 7, offset_m: float = 0.5) -> Any:
    """What is said about each actor: the same of all."""
    there = np.ones(view.x.shape)
    return SimpleNamespace(seen=there > 0, place=there * place, motion=there * motion, offset_m=there * offset_m)


def seen_by(view: Any, own: np.ndarray, cameras: list[CameraSpec]) -> np.ndarray:
    return columns(view, own, cameras, told(view))[0]


def ego(speed: float = 10.0, heading: float = 0.0) -> np.ndarray:
    return np.array([[0.0, 0.0, heading, speed, 0.0, 0.0, 0.0]])


def test_a_car_ahead_fills_the_columns_it_covers() -> None:
    (found,) = seen_by(world({"x": 22.0, "speed": 7.0}), ego(), [WIDE])
    # Its rear is 20 m away and 2 m wide: 128 +- 6.4 px, so it covers 6.4 px of each of the two middle columns.
    assert np.flatnonzero(found[:, 0]).tolist() == [7, 8]
    assert found[7].tolist() == [1 + list(KINDS).index(Shape.CAR), 20.0, -3.0, 0.0, 3.0, 8.0, 0.5]


def test_the_nearer_one_hides_the_farther_one_and_the_unseen_are_not_there() -> None:
    far, near = {"x": 62.0, "shape": Shape.TRUCK, "width": 30.0}, {"x": 22.0}
    (found,) = seen_by(world(far, near, {"x": 8.0, "visible": False}, {"x": 9.0, "present": False}), ego(), [WIDE])
    assert found[7, 1] == 20.0
    assert found[6, 1] == 60.0
    assert list(KINDS.values())[int(found[6, 0]) - 1] == "truck"
    (nothing,) = seen_by(world({"x": 12.0, "shape": Shape.BUILDING}, {"x": -12.0}), ego(), [WIDE])
    assert not nothing.any()


def test_motion_is_that_which_the_ego_sees() -> None:
    # Seen from an ego that heads along +y, a pedestrian at (0, 10) that walks along +x moves to the left.
    walker = {"y": 10.0, "x": 0.0, "shape": Shape.PEDESTRIAN, "length": 0.6, "width": 0.6, "speed": 1.5}
    (found,) = seen_by(world(walker), ego(speed=4.0, heading=np.pi / 2), [WIDE])
    (seen,) = found[found[:, 0] > 0][:1]
    assert seen[1] == pytest.approx(9.7)
    assert seen[2] == pytest.approx(-4.0)
    assert seen[3] == pytest.approx(-1.5)


def test_a_turned_camera_sees_to_the_side() -> None:
    right = CameraSpec("right", 256, 64, 90.0, yaw_deg=90.0, x_m=0.0)
    front, side = seen_by(world({"y": 21.0}), ego(), [WIDE, right])
    assert not front.any()
    assert side[7, 1] == pytest.approx(20.0)


def test_what_is_not_beside_the_route_has_no_place() -> None:
    view = world({"x": 22.0})
    unseen = told(view)
    unseen.seen[:] = False
    found = columns(view, ego(), [WIDE], unseen)[0, 0]
    assert found[7, :4].all() == (found[7, 3] != 0.0)
    assert found[7, 4:].tolist() == [0.0, 0.0, 0.0]


def test_the_loss_is_least_for_the_truth() -> None:
    truth = np.zeros((1, 1, 2, len(VALUES)))
    truth[0, 0, 0] = (3, 30.0, -5.0, 1.5, 2, 9, -3.0)
    right = torch.full((1, 1, 2, OUT), -20.0)
    right[0, 0, 0, :5] = torch.tensor([20.0, float(np.log(31.0)), -1.0, 0.5, -1.0])
    kind, place, word = 5, 5 + len(KINDS), 5 + len(KINDS) + len(PLACES)
    for first, number in ((kind, 3), (place, 2), (word, 9)):
        right[0, 0, 0, first + number - 1] = 20.0
    assert float(dense_loss(right, truth)) == pytest.approx(0.0, abs=1e-4)
    for value, change in (
        (0, -40.0),
        (1, 0.5),
        (2, 0.5),
        (3, -0.5),
        (4, 1.0),
        (kind, 41.0),
        (place, 41.0),
        (word, 41.0),
    ):
        wrong = right.clone()
        wrong[0, 0, 0, value] += change
        assert float(dense_loss(wrong, truth)) > 0.1
    truth[0, 0, 0, 4:] = 0.0  # nobody knows where along the route
    for value in (4, place, word):
        wrong = right.clone()
        wrong[0, 0, 0, value] += 30.0
        assert float(dense_loss(wrong, truth)) == pytest.approx(0.0, abs=1e-4)


def test_each_token_answers_for_its_own_columns() -> None:
    cameras = (CameraSpec("a", 128, 64), CameraSpec("b", 128, 64))
    head = DenseHead(Processor.of(VlmShape(tile_px=64, patch_px=16, merge=4), cameras), width=8)
    tokens = torch.randn(3 * 4, 8)  # three requests, two tiles of 64 pixels per camera
    found = head(tokens)
    assert found.shape == (3, 2, 8, OUT)
    tokens[5] += torch.arange(8)  # second request, first camera, second tile
    changed = (head(tokens) != found).any(dim=-1)
    assert changed.nonzero().tolist() == [[1, 0, column] for column in (4, 5, 6, 7)]
    with pytest.raises(ParameterError, match="multiple of 16"):
        DenseHead(Processor.of(VlmShape(**{**vars(TINY), "tile_px": 8, "patch_px": 4}), PICTURED.cameras), 8)
