"""Where answers looked: through the loop and the store, and over the pictures of a video."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from logs import make_log, make_requests, straight_plan, with_fields
from loop_kit import ZERO, Fake, inputs, straight_plans
from run_fixtures import CONFIG, plan, planned

from simdrive.eval.episode_codec import EpisodeResult, encode
from simdrive.eval.rollout import rollout
from simdrive.eval.store import RunStore
from simdrive.metrics.evaluate import evaluate, load_metrics
from simdrive.report.looked import draw_looked, sectors
from simdrive.types import CameraSpec, EpisodeLog, Looked, ObservationBatch, PlanBatch, RequestStatus, TokenUsage, Wants

FRONT, LEFT = CameraSpec(width=64, height=32), CameraSpec("left", 64, 32, yaw_deg=-70.0)
GREY = np.full((40, 80, 3), 100, np.uint8)


def seen(share: Any, heading: float = 0.0) -> EpisodeLog:
    """A log whose second request looked as told, and whose plan is in use from row 5 on."""
    looked = np.full((2, *np.shape(share)), np.nan, np.float32)
    looked[1] = share
    plans = np.stack([straight_plan(0.0, 0.0, 0.0, 10.0)] * 2)
    requests = make_requests([0, 500_000], 0, plans, looked=Looked((FRONT, LEFT), looked))
    log = make_log(12, requests=requests, heading=heading)
    return with_fields(log, plan_request=np.repeat([0, 1], [5, 7]).astype(np.int32))


def one(camera: int, row: int, column: int) -> np.ndarray:
    share = np.zeros((2, 2, 4))
    share[camera, row, column] = 0.2
    return share


def test_the_cell_that_was_looked_at_is_warm_and_no_other() -> None:
    shown = CameraSpec(width=80, height=40)
    warm = (draw_looked(GREY, shown, seen(one(0, 1, 2)), 6) != GREY).any(axis=2)
    assert warm[20:, 40:60].all()
    assert warm.sum() == 20 * 20
    assert not (
        draw_looked(GREY, shown, seen(one(1, 0, 0)), 6) != GREY
    ).any()  # 105 to 88 degrees to the left: out of view
    assert not (draw_looked(GREY, shown, seen(one(0, 1, 2)), 2) != GREY).any()  # of this request nothing was recorded
    assert not (draw_looked(GREY, shown, seen(np.zeros((2, 2, 4))), 6) != GREY).any()


def test_a_turned_camera_sees_the_cells_of_its_twin_elsewhere() -> None:
    shown = CameraSpec(width=80, height=40, yaw_deg=-70.0)
    warm = (draw_looked(GREY, shown, seen(one(1, 0, 3)), 6) != GREY).any(axis=2)
    assert warm[:20, 60:].all()
    assert warm.sum() == 20 * 20
    low = CameraSpec(width=80, height=40, pitch_deg=30.0)
    assert not (draw_looked(GREY, low, seen(one(0, 0, 2)), 6) != GREY).any()  # the upper half is above its view


def test_sectors_point_to_where_cameras_look() -> None:
    found = sectors(seen(one(1, 0, 1) + 0.5 * one(0, 0, 3), heading=0.3), 6)
    strength = np.array([value for _, value in found])
    assert strength.tolist() == [0.0, 0.0, 0.0, 0.5, 0.0, 1.0, 0.0, 0.0]
    corners, _ = found[5]  # of the left camera the second column: 0 to 19.3 degrees left of its axis
    log = seen(one(1, 0, 1))
    rim = corners[1:] - np.array([log.x[6, 0], log.y[6, 0]])
    bearing = np.degrees(np.arctan2(rim[:, 1], rim[:, 0]) - 0.3)
    half = np.degrees(np.arctan(0.5 * np.tan(np.radians(35.0))))
    assert bearing[[0, -1]] == pytest.approx([-70.0 - half, -70.0], abs=1e-9)
    assert sectors(seen(one(0, 0, 0)), 2) == []


def test_it_goes_through_the_loop_into_the_log() -> None:
    def answer(batch: ObservationBatch) -> PlanBatch:
        looked = np.zeros((len(batch), 2, 2, 4))
        looked[:, 0, 1, 3] = batch.t_obs_us / 1e7
        usage = TokenUsage(*np.full((3, len(batch)), 7))
        return PlanBatch(straight_plans(batch), usage, looked=looked)

    (log,) = rollout(inputs(), Fake(answer, Wants(cameras=(FRONT, LEFT))), ZERO)
    looked = log.requests.looked
    assert looked is not None
    assert looked.cameras == (FRONT, LEFT)
    asked = log.requests.status == RequestStatus.OK
    expected = (log.requests.t_obs_us / 1e7).astype(np.float32)
    np.testing.assert_array_equal(looked.share[asked, 0, 1, 3], expected[asked])
    assert np.isnan(looked.share[log.requests.status >= RequestStatus.DROPPED]).all()

    (quiet,) = rollout(
        inputs(), Fake(lambda b: dataclasses.replace(answer(b), looked=None), Wants(cameras=(FRONT,))), ZERO
    )
    assert quiet.requests.looked is None


@pytest.mark.parametrize(
    ("looked", "word"),
    [
        (lambda n: np.zeros((n, 3)), "looked has shape"),
        (lambda n: np.zeros((n, 2, 2, 4)), "looked has shape"),  # two cameras; the agent has one
        (lambda n: np.zeros((n, 1, 0, 4)), "looked has shape"),
        (lambda n: np.full((n, 1, 2, 4), np.nan), "below zero, infinite or NaN"),
        (lambda n: np.full((n, 1, 2, 4), -0.1), "below zero, infinite or NaN"),
        (lambda n: np.full((n, 1, 2, 4), "far"), "could not convert"),
    ],
)
def test_what_cannot_be_stored_costs_the_answer_and_not_the_run(looked: Any, word: str) -> None:
    def answer(batch: ObservationBatch) -> PlanBatch:
        usage = TokenUsage(*np.full((3, len(batch)), 7))
        return PlanBatch(straight_plans(batch), usage, looked=looked(len(batch)))

    (log,) = rollout(inputs(), Fake(answer, Wants(cameras=(FRONT,))), ZERO)
    assert RequestStatus.EXCEPTION in log.requests.status
    assert RequestStatus.OK not in log.requests.status
    assert word in log.requests.text[0]
    assert log.requests.looked is None


def test_an_answer_with_another_grid_counts_as_silent() -> None:
    def answer(batch: ObservationBatch) -> PlanBatch:
        usage = TokenUsage(*np.full((3, len(batch)), 7))
        rows = 2 if batch.t_obs_us.max() < 1_000_000 else 3
        return PlanBatch(straight_plans(batch), usage, looked=np.full((len(batch), 1, rows, 4), 0.1))

    (log,) = rollout(inputs(), Fake(answer, Wants(cameras=(FRONT,))), ZERO)
    looked, asked = log.requests.looked, log.requests.status == RequestStatus.OK
    assert looked is not None
    assert looked.share.shape[1:] == (1, 2, 4)
    early = log.requests.t_obs_us < 1_000_000
    assert np.isfinite(looked.share[asked & early]).all()
    assert np.isnan(looked.share[asked & ~early]).all()
    assert (asked & ~early).any()


def test_it_comes_back_from_the_store(tmp_path: Path) -> None:
    store = RunStore.create_or_open(tmp_path / "run", CONFIG, plan())
    metrics = load_metrics(["contact"])
    first, second = planned()[:2]
    recorded, plain = seen(one(1, 0, 2)), make_log(12)
    for entry, log in ((first, recorded), (second, plain)):
        kept = with_fields(log, case=entry.case)
        store.write_part(encode([EpisodeResult(entry, kept, evaluate(kept, metrics))]))
    looked, expected = store.load_log(first.key).requests.looked, recorded.requests.looked
    assert looked is not None
    assert expected is not None
    assert looked.cameras == expected.cameras
    np.testing.assert_array_equal(looked.share, expected.share)
    assert looked.share.dtype == np.float32
    assert store.load_log(second.key).requests.looked is None
