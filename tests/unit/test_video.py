"""Videos: sizes and counts read back, the same log gives the same frames, and what the strip says."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import cv2
import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
from logs import make_log, make_requests, straight_plan, with_fields
from run_fixtures import CONFIG, plan, tables_of
from straight_worlds import straight_world

from simdrive.errors import ParameterError
from simdrive.eval.store import RunStore
from simdrive.report.clips import INDEX_COLUMNS, chosen_keys, record_clips
from simdrive.report.encode import write_gif, write_video
from simdrive.report.hud import Caption, ended, fitting, outcome, packed, readout, subtitle, text_width
from simdrive.report.overlay import draw_on_camera, evenly, plan_ahead, seen_from_above
from simdrive.report.pinhole import project_ground
from simdrive.report.replay import frame_times, resample, rows_before, ttc_rows
from simdrive.report.video import CARD_S, SMALL, Layout, episode_frames, record_episode
from simdrive.sim.birdseye import BirdseyeSpec, render_birdseye
from simdrive.sim.camera import state_from_log
from simdrive.sim.scene_cache import scene_of
from simdrive.sim.state import Shape
from simdrive.types import CameraSpec, EndReason, EpisodeLog, RequestLog, RequestStatus

CAPTION = Caption("idm", "constant delay_ms=300.0")
TINY = Layout(camera=(128, 72), bird_width=54, strip_height=44, supersample=1, compact=True)


def driving(rows: int = 6, **overrides: Any) -> EpisodeLog:
    """Ego at 10 m/s on lane 1 (y = 4) of the straight road, 20 m behind a standing hazard, plans 300 ms old."""
    plans = np.stack([straight_plan(100.0 + 2.0 * k, 4.0, 0.0, 10.0) for k in range(3)])
    requests = make_requests([0, 200_000, 400_000], 300_000, plans)
    fields: dict[str, Any] = {
        "plan_request": np.array([-1, -1, -1, 0, 0, 1][:rows] + [1] * (rows - 6), np.int32),
        "plan_age_us": np.array([-1, -1, -1, 300_000, 400_000, 300_000][:rows] + [400_000] * (rows - 6), np.int64),
        "lane": np.ones((rows, 2), np.int32),
    }
    hazard = {"x": 125.0, "y": 4.0, "is_hazard": True, "shape": int(Shape.PEDESTRIAN), "length": 0.6, "width": 0.6}
    return make_log(rows, x0=100.0, y=4.0, others=[hazard], requests=requests, **(fields | overrides))


def colours(count: int, size: tuple[int, int] = (32, 48)) -> list[np.ndarray]:
    return [np.full((*size, 3), 40 * k, np.uint8) for k in range(count)]


def read_back(path: Path) -> tuple[np.ndarray, float]:
    """Return all frames of a video and its rate."""
    video = cv2.VideoCapture(str(path))
    frames = []
    while (found := video.read())[0]:
        frames.append(found[1])
    fps = float(video.get(cv2.CAP_PROP_FPS))
    video.release()
    return np.stack(frames), fps


def test_mp4_has_the_frames_that_were_given(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "clip.mp4"
    assert write_video(path, colours(5), fps=20) == 5
    back, fps = read_back(path)
    assert back.shape == (5, 32, 48, 3)
    assert [round(float(frame.mean()) / 40) for frame in back] == [0, 1, 2, 3, 4]
    assert fps == 20.0
    assert path.read_bytes().index(b"moov") < path.read_bytes().index(b"mdat")
    assert [entry.name for entry in path.parent.iterdir()] == ["clip.mp4"]


def test_same_frames_same_file(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, colours(3), fps=10)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_gif_has_the_frames_that_were_given(tmp_path: Path) -> None:
    assert write_gif(tmp_path / "clip.gif", colours(4), fps=10) == 4
    back = iio.imread(tmp_path / "clip.gif")
    assert back.shape == (4, 32, 48, 3)
    assert iio.immeta(tmp_path / "clip.gif")["duration"] == 100


@pytest.mark.parametrize(
    ("frames", "told"),
    [
        ([], "at least one frame"),
        ([np.zeros((31, 48, 3), np.uint8)], "even H and W"),
        ([np.zeros((32, 48, 3))], "uint8"),
        ([np.zeros((32, 48, 3), np.uint8), np.zeros((32, 50, 3), np.uint8)], "one size"),
    ],
)
def test_bad_frames_are_refused_and_leave_no_video(tmp_path: Path, frames: list[np.ndarray], told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        write_video(tmp_path / "clip.mp4", frames, fps=10)
    assert not (tmp_path / "clip.mp4").exists()


def test_frame_times_end_with_the_episode() -> None:
    log = make_log(4, phase_us=20_000, last_us=30_000)
    assert frame_times(log, 20).tolist() == [20_000, 70_000, 120_000, 170_000, 220_000, 250_000]
    assert frame_times(log, 10, 100_000, 9_000_000).tolist() == [100_000, 200_000, 250_000]
    with pytest.raises(ParameterError, match="fps"):
        frame_times(log, 0)
    with pytest.raises(ParameterError, match="no rows"):
        frame_times(make_log(0), 20)


def test_rows_are_interpolated_and_angles_take_the_short_way() -> None:
    log = make_log(3, speed=10.0, heading=np.array([3.1, -3.1, -3.1]), others=[{"x": 50.0, "speed": 0.0}])
    present = log.present.copy()
    present[2, 1] = False
    moved = log.x.copy()
    moved[:, 1] = [50.0, 60.0, 90.0]
    log = with_fields(log, present=present, x=moved)
    fine = resample(log, np.array([50_000, 150_000], np.int64))
    assert fine.heading[0, 0] == pytest.approx(3.1 + 0.5 * (2.0 * np.pi - 6.2))
    assert fine.x[0, 0] == pytest.approx(0.5 * (log.x[0, 0] + log.x[1, 0]))
    assert fine.x[:, 1].tolist() == [55.0, 60.0]  # gone in the next row: stays where it was last
    assert fine.t_us.tolist() == [50_000, 150_000]
    same = resample(log, log.t_us)
    for field in dataclasses.fields(log):
        if isinstance(getattr(log, field.name), np.ndarray):
            np.testing.assert_array_equal(getattr(same, field.name), getattr(log, field.name), field.name)


def test_a_plan_counts_from_its_own_actuation_on() -> None:
    requests = make_requests([0, 100_000], 150_000, np.stack([straight_plan(0, 0, 0, 10.0)] * 2))
    log = make_log(
        4,
        requests=requests,
        plan_request=np.array([-1, -1, 0, 1], np.int32),
        plan_age_us=np.array([-1, -1, 200_000, 200_000], np.int64),
    )
    fine = resample(log, np.array([140_000, 150_000, 240_000, 250_000], np.int64))
    assert fine.plan_request.tolist() == [-1, 0, 0, 1]
    assert fine.plan_age_us.tolist() == [-1, 150_000, 240_000, 150_000]


def test_time_to_collision_of_rows() -> None:
    log = driving(6)  # boxes meet after (25 - 2.5 - 0.3) m at 10 m/s
    assert ttc_rows(log)[0] == pytest.approx(2.22)
    assert np.isinf(ttc_rows(make_log(3))).all()
    hit = make_log(3, others=[{"x": 7.0}], contact_with=1)
    assert ttc_rows(hit)[-1] == 0.0
    assert rows_before(log, np.array([0, 99_999, 100_000, 10**9])).tolist() == [0, 0, 1, 5]


def test_readings() -> None:
    log = driving(6, aeb_active=np.array([False] * 5 + [True]), brake_light=np.ones((6, 2), np.bool_))
    first, last = readout(log, 0, 2.22), readout(log, 5, 0.4)
    assert (first.time, first.speed, first.ttc, first.plan_age) == ("0.0 s", "10.0 m/s", "2.2 s", "-")
    assert [name for name, _ in first.flags] == ["BRAKE", "NO PLAN YET"]
    assert (last.ttc, last.plan_age) == ("0.4 s", "300 ms")
    assert [name for name, _ in last.flags] == ["HAZARD IN SIGHT", "BRAKE", "AEB"]
    assert readout(log, 3, np.inf).ttc == readout(log, 3, 10.1).ttc == "-"
    assert len({readout(log, 3, ttc).ttc_colour for ttc in (1.0, 2.0, 5.0)}) == 3
    standing = with_fields(log, speed=np.zeros_like(log.speed))
    assert readout(standing, 3, 1.0).ttc == "-"
    assert subtitle(log, CAPTION) == f"case {log.case.key[:8]}  ·  idm  ·  constant delay_ms=300.0"


def test_outcomes() -> None:
    hit = make_log(3, others=[{"x": 7.0, "shape": int(Shape.PEDESTRIAN)}], contact_with=1)
    assert outcome(hit) == "CONTACT with pedestrian at 10.0 m/s"
    assert outcome(make_log(3, end=EndReason.GOAL)) == "GOAL reached after 0.2 s"
    for end in EndReason:
        assert outcome(make_log(3, end=end)).startswith(end.name.replace("_", " "))


def test_long_text_is_shortened_to_fit() -> None:
    assert fitting("short", 12, 500) == "short"
    cut = fitting("a rather long label of a latency setting", 12, 90)
    assert cut.endswith("...")
    assert text_width(cut, 12) <= 90


def requests_of(**columns: list[int]) -> RequestLog:
    log = make_requests(columns["t_obs_us"], 0)
    stamps: dict[str, Any] = {name: np.array(values, np.int64) for name, values in columns.items()}
    return dataclasses.replace(log, **stamps)


def test_spans_of_one_row_never_cover_each_other() -> None:
    log = requests_of(
        t_obs_us=[0, 100, 200, 450],
        t_start_us=[0, 100, 200, 450],
        t_finish_us=[300, 400, -1, 600],
        t_actuate_us=[300, 400, -1, 600],
    )
    places, rows = packed(log)
    assert (places.tolist(), rows) == ([0, 1, 2, 0], 3)
    for a, b in itertools.combinations(range(4), 2):
        if places[a] == places[b]:
            assert ended(log)[a] <= log.t_obs_us[b]
    dropped = dataclasses.replace(log, status=np.full(4, RequestStatus.DROPPED, np.int8))
    assert packed(dropped)[1] == 1


def test_plan_on_the_road_starts_where_time_is() -> None:
    log = driving(6)
    assert len(plan_ahead(log, 0)) == 0
    way = plan_ahead(log, 4)  # seen at 0 s from x = 100 m, now 0.4 s
    np.testing.assert_allclose(way[[0, -1]], [[104.0, 4.0], [140.0, 4.0]])
    even = evenly(way)
    np.testing.assert_allclose(np.hypot(*np.diff(even, axis=0).T), 0.5)
    assert len(evenly(way[:1])) == len(evenly(np.zeros((5, 2)))) == 0


def test_ground_point_on_the_optical_axis_and_to_the_right() -> None:
    camera = CameraSpec(width=200, height=100, horizontal_fov_deg=90.0, x_m=0.0, z_m=2.0)
    straight, aside = project_ground(camera, (5.0, 3.0, 0.5 * np.pi), np.array([[5.0, 23.0], [0.0, 23.0]]))
    np.testing.assert_allclose(straight, [100.0, 60.0, 20.0])  # focal length 100 pixels, 20 m ahead, 2 m down
    np.testing.assert_allclose(aside, [125.0, 60.0, 20.0])  # heading +y: right is -x


def test_plan_is_painted_on_ground_and_behind_actors_only() -> None:
    log, camera = driving(6), CameraSpec(width=224, height=128)
    road = np.full((128, 224, 3), 90, np.uint8)
    free = draw_on_camera(road, np.zeros((128, 224), np.int16), camera, log, 4)
    assert (free != road).any(axis=-1)[70:].any()
    assert not (free != road).any(axis=-1)[:64].any()  # nothing above the horizon
    covered = draw_on_camera(road, np.full((128, 224), 9, np.int16), camera, log, 4)
    np.testing.assert_array_equal(covered, road)


def test_above_ahead_is_up_and_right_is_right() -> None:
    view = BirdseyeSpec(width=100, height=200, metres_per_pixel=0.2, ahead_m=10.0)
    points = np.array([[0.0, 0.0], [30.0, 0.0], [0.0, 4.0]])
    np.testing.assert_allclose(seen_from_above(view, (0.0, 0.0, 0.0), points), [[50, 150], [50, 0], [70, 150]])
    turned = seen_from_above(view, (0.0, 0.0, 0.5 * np.pi), np.array([[0.0, 30.0], [-4.0, 0.0]]))
    np.testing.assert_allclose(turned, [[50, 0], [70, 150]], atol=1e-9)


def test_overlay_lies_where_the_picture_from_above_has_the_actor() -> None:
    log, scene = driving(6), scene_of(straight_world())
    view = TINY.view(10.0)
    picture = render_birdseye(scene, state_from_log(log, scene, [0]), 0, view)
    column, row = np.floor(seen_from_above(view, (100.0, 4.0, 0.0), np.array([125.0, 4.0]))).astype(int)
    red = np.argwhere(picture[..., 0] > picture[..., 1].astype(int) + 20)
    assert np.abs(red - [row, column]).max() <= 1  # the pedestrian alone is red, 0.6 m small


def test_same_log_same_frames_and_card_at_the_end() -> None:
    log = driving(6, end=EndReason.GOAL)
    first, second = (
        list(episode_frames(log, straight_world(), caption=CAPTION, fps=10, layout=TINY)) for _ in range(2)
    )
    assert len(first) == 6 + round(10 * CARD_S)
    assert {frame.shape for frame in first} == {(116, 182, 3)}
    assert [frame.tobytes() for frame in first] == [frame.tobytes() for frame in second]
    assert first[5].tobytes() != first[6].tobytes() == first[-1].tobytes()
    part = list(
        episode_frames(log, straight_world(), caption=CAPTION, fps=10, layout=TINY, window_us=(100_000, 300_000))
    )
    assert [frame.tobytes() for frame in part] == [frame.tobytes() for frame in first[1:4]]


def test_recorded_episode_has_the_advertised_size(tmp_path: Path) -> None:
    log = driving(6)
    count = record_episode(log, straight_world(), tmp_path / "x.gif", caption=CAPTION, fps=10)
    assert iio.imread(tmp_path / "x.gif").shape[1:] == (SMALL.size[1], SMALL.size[0], 3)
    assert count == 6 + round(10 * CARD_S)
    with pytest.raises(ParameterError, match=r"mp4 or \.gif"):
        record_episode(log, straight_world(), tmp_path / "x.avi", caption=CAPTION)


def table(*rows: tuple[str, float, float]) -> pd.DataFrame:
    names = ["key", "failure", "min_ttc_s"]
    return pd.DataFrame([dict(zip(names, row, strict=True)) | {"row": k} for k, row in enumerate(rows)])


def test_worst_are_failures_then_smallest_time_to_collision() -> None:
    nan = float("nan")
    episodes = table(("a", 0.0, 0.5), ("b", 1.0, 2.0), ("c", nan, 0.1), ("d", 1.0, 0.0), ("e", 0.0, nan))
    shuffled = episodes.iloc[[3, 1, 4, 0, 2]]
    assert chosen_keys(shuffled, "worst:5") == ["d", "b", "c", "a", "e"]
    assert chosen_keys(shuffled, "worst:2") == ["d", "b"]
    assert chosen_keys(shuffled, "failures") == ["b", "d"]
    assert chosen_keys(shuffled, "all") == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("choice", ["worst", "worst:0", "worst:-1", "best:3", ""])
def test_unknown_choices_are_refused(choice: str) -> None:
    with pytest.raises(ParameterError, match="worst:N"):
        chosen_keys(table(("a", 0.0, 1.0)), choice)


def test_choice_needs_its_metrics() -> None:
    with pytest.raises(ParameterError, match="lacks failure"):
        chosen_keys(table(("a", 0.0, 1.0)).drop(columns="failure"), "failures")


def test_clips_of_a_run_and_their_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RunStore.create_or_open(tmp_path / "run", CONFIG, plan(1))
    store.write_part(tables_of(0, 1, 2, 3, count=1))
    monkeypatch.setattr("simdrive.report.clips.build_case", lambda case: straight_world())
    videos = record_clips(store, "worst:2", fps=2)
    failing = store.episodes().query("failure == 1")["key"].tolist()
    assert [video.stem for video in videos] == failing[:2]
    assert all(read_back(video)[0].shape[1:] == (540, 960, 3) for video in videos)
    index = pd.read_csv(store.path / "videos" / "index.csv")
    assert tuple(index.columns) == INDEX_COLUMNS
    assert index["video"].tolist() == [video.name for video in videos]
    assert index["outcome"].str.startswith("CONTACT with car").all()
    written = [video.stat().st_mtime_ns for video in videos]
    assert [video.stat().st_mtime_ns for video in record_clips(store, "worst:2", fps=2)] == written
