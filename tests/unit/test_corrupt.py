"""Corruptions of camera pictures: same draw whatever the batch, worse with severity, there only in their window."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from simdrive.build import build, config_names
from simdrive.corrupt.corruption import Corruption, faded
from simdrive.corrupt.transmission import QP
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.eval.blocks import blocks_of, reference_block
from simdrive.eval.corruptions import (
    CLEAN,
    CorruptionConfig,
    build_corruption,
    corruption_grid,
    corruption_of,
    corruptions_config,
    sightless_agents,
)
from simdrive.eval.grid import AgentConfig, LatencyConfig, agent_configs
from simdrive.types import Bytes, CameraSpec

NAMES = config_names("corruption")
RIG = (CameraSpec("left", 48, 32), CameraSpec("front", 48, 32), CameraSpec("right", 48, 32))
# Not a matter of degree for one frame: black or not; colour taken or added; the last colour step drops hue instead of bits;
# fog takes contrast, which is tested by itself.
UNORDERED = ("camera_crash", "frame_lost", "saturate", "colour_quant", "fog")
EVERY_STEP = ("low_light", "snow", "rain", "motion_blur", "bit_error")  # drawn anew
BLACK = ("camera_crash", "frame_lost")


def picture(height: int = 32, width: int = 48) -> Bytes:
    """A road: sky with a gradient, grass, a grey wedge with white marks and a red car."""
    y, x = np.mgrid[0:height, 0:width]
    frame = np.empty((height, width, 3), np.uint8)
    frame[:] = np.stack([110 + y, 150 + y, 200 - y], axis=2)
    below = y > height // 2
    frame[below] = (80, 100, 60)
    road = below & (abs(x - width / 2) < (y - height / 2) + 3)
    frame[road] = (75, 75, 78)
    frame[road & (abs(x - width / 2) < 2) & (y % 6 < 3)] = 230
    frame[height // 2 : height // 2 + 5, width // 2 + 3 : width // 2 + 10] = (200, 50, 30)
    return frame


def rows(count: int, cameras: int = 3) -> Bytes:
    return np.broadcast_to(picture(), (count, cameras, 32, 48, 3)).copy()


def made(name: str, **fields: object) -> Corruption:
    found: Corruption = build("corruption", name, **fields)
    return found


def apply(corruption: Corruption, steps: list[int], keys: list[str] | None = None, t_s: float = 0.0) -> Bytes:
    t_us = np.full(len(steps), round(t_s * 1e6))
    return corruption.applied(rows(len(steps)), keys or ["case"] * len(steps), np.array(steps), t_us, RIG)


def test_there_are_fifteen_of_five_groups() -> None:
    assert len(NAMES) == 15
    groups = [made(name).group for name in NAMES]
    counts = {group: groups.count(group) for group in groups}
    assert counts == {"weather": 5, "external": 2, "sensor": 3, "motion": 2, "transmission": 3}


@pytest.mark.parametrize("name", NAMES)
def test_same_pixels_in_any_batch_and_the_given_frames_stay_as_they_are(name: str) -> None:
    corruption = made(name, severity=3)
    steps, keys = [4, 9, 4, 0], ["a", "a", "b", "b"]
    given = rows(4)
    whole = corruption.applied(given, keys, np.array(steps), np.zeros(4, np.int64), RIG)
    assert np.array_equal(given, rows(4))
    assert whole.shape == given.shape
    assert whole.dtype == np.uint8
    parts = [apply(corruption, steps[:1], keys[:1]), apply(corruption, steps[:0:-1], keys[:0:-1])[::-1]]
    assert np.array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(BLACK)))
def test_draws_of_a_lens_stay_and_those_of_weather_and_noise_move(name: str) -> None:
    first, second = apply(made(name, severity=3), [1, 2])
    assert np.array_equal(first, second) == (name not in EVERY_STEP)
    left, front, _ = first
    assert np.array_equal(left, front) == (name not in (*EVERY_STEP, "water_splash", "lens_obstacle", "fog"))


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(UNORDERED)))
def test_a_higher_severity_is_farther_from_the_clean_frame(name: str) -> None:
    distances = []
    for severity in (1, 3, 5):
        out = apply(made(name, severity=severity), list(range(6))).astype(float)
        distances.append(float(np.abs(out - rows(6)).mean()))
    assert 0.0 < distances[0] < distances[1] < distances[2]


@pytest.mark.parametrize("name", NAMES)
def test_odd_sizes_and_black_or_white_pictures_pass(name: str) -> None:
    for level in (0, 255):
        frames = np.full((1, 1, 37, 51, 3), level, np.uint8)
        out = made(name, severity=5).applied(frames, ["k"], np.zeros(1, np.int64), np.zeros(1, np.int64), RIG[:1])
        assert out.shape == frames.shape


# --- single recipes by hand ------------------------------------------------------------------------------------------


def one(name: str, severity: int, colour: tuple[int, int, int]) -> list[int]:
    frames = np.full((1, 1, 16, 16, 3), colour, np.uint8)
    zero = np.zeros(1, np.int64)
    out = made(name, severity=severity).applied(frames, ["k"], zero, zero, RIG[:1])
    assert (out == out[0, 0, 0, 0]).all()
    return [int(value) for value in out[0, 0, 0, 0]]


def test_brightness_adds_to_the_value_and_keeps_the_hue() -> None:
    assert one("brightness", 5, (51, 102, 0)) == [115, 230, 0]  # 0.4 + 0.5 = 0.9, others in proportion
    assert one("brightness", 1, (0, 0, 0)) == [26, 26, 26]


def test_saturation_is_scaled_about_the_value_and_grey_stays_grey() -> None:
    assert one("saturate", 3, (200, 150, 150)) == [200, 100, 100]  # S 0.25 -> 0.5
    assert one("saturate", 1, (200, 100, 100)) == [200, 170, 170]  # S 0.5 -> 0.15
    assert one("saturate", 5, (90, 90, 90)) == [90, 90, 90]


def test_colours_keep_their_leading_bits() -> None:
    assert one("colour_quant", 1, (255, 129, 15)) == [240, 128, 0]
    assert one("colour_quant", 4, (255, 129, 127)) == [128, 128, 0]
    assert one("colour_quant", 5, (255, 255, 0)) == [128, 128, 128]


def test_a_flat_picture_has_nothing_to_blur() -> None:
    for name in ("motion_blur", "zoom_blur"):
        assert one(name, 5, (10, 100, 200)) == [10, 100, 200]


def test_fog_takes_contrast() -> None:
    """With one brightest pixel in both, what is left of any difference is max / (max + strength)."""
    flat = np.full((1, 1, 32, 48, 3), 230, np.uint8)
    scene, zero = picture()[None, None], np.zeros(1, np.int64)
    before = np.abs(scene.astype(float) - flat).mean()
    for severity, strength in ((1, 1.5), (2, 2.0), (5, 3.0)):
        fog = made("fog", severity=severity)
        seen, wall = (fog.applied(frames, ["k"], zero, zero, RIG[:1]).astype(float) for frames in (scene, flat))
        share = (230 / 255) / (230 / 255 + strength)
        assert np.abs(seen - wall).mean() / before == pytest.approx(share, abs=0.02)


def test_frames_are_lost_as_often_as_said_and_a_worse_link_loses_the_same_and_more() -> None:
    lost = [(apply(made("frame_lost", severity=s), list(range(200))) == 0).all(axis=(2, 3, 4)) for s in (1, 3, 5)]
    assert [np.isclose(part.mean(), s / 6, atol=0.06) for part, s in zip(lost, (1, 3, 5), strict=True)] == [True] * 3
    assert (lost[0] <= lost[1]).all()
    assert (lost[1] <= lost[2]).all()


def test_dead_cameras_are_a_share_of_the_rig_and_stay_dead() -> None:
    for severity, dead in ((1, 1), (2, 1), (3, 2), (4, 2), (5, 3)):
        black = (apply(made("camera_crash", severity=severity), [0, 5, 9]) == 0).all(axis=(2, 3, 4))
        assert black.sum(axis=1).tolist() == [dead] * 3
        assert (black == black[0]).all()


def test_every_step_of_h265_is_coarser() -> None:
    assert list(QP) == sorted(set(QP))


# --- window and fades ------------------------------------------------------------------------------------------------


def test_weights_by_hand() -> None:
    times = np.array([0, 1_999_999, 2_000_000, 2_300_000, 2_599_999, 2_600_000])
    assert made("fog", onset_s=2.0, duration_s=0.6).weight(times).tolist() == [0, 0, 1, 1, 1, 0]
    assert made("fog", onset_s=2.0).weight(times).tolist() == [0, 0, 1, 1, 1, 1]
    fading = made("fog", onset_s=2.0, duration_s=2.0, fade_in_s=0.5, fade_out_s=1.0)
    at = np.array([2_000_000, 2_250_000, 2_500_000, 3_000_000, 3_250_000, 3_500_000, 4_000_000])
    assert fading.weight(at).tolist() == [0.0, 0.5, 1.0, 1.0, 0.75, 0.5, 0.0]


def test_a_fading_frame_lies_between() -> None:
    clean, black = np.full((3, 1, 1, 3), 200, np.uint8), np.zeros((3, 1, 1, 3), np.uint8)
    assert faded(clean, black, np.array([0.25, 0.5, 1.0]))[:, 0, 0, 0].tolist() == [150, 100, 0]


def test_a_camera_that_fails_for_a_while_is_clean_before_and_after() -> None:
    broken = made("camera_crash", severity=5, onset_s=1.0, duration_s=0.6)
    shown = [apply(broken, [0], t_s=t)[0] for t in (0.9, 1.0, 1.5, 1.6)]
    assert [bool((frame == 0).all()) for frame in shown] == [False, True, True, False]
    assert np.array_equal(shown[0], rows(1)[0])


def test_only_the_named_cameras() -> None:
    out = apply(made("brightness", cameras=["front"]), [0])[0]
    assert [bool((out[place] == picture()).all()) for place in range(3)] == [True, False, True]
    with pytest.raises(UnknownNameError, match="back"):
        apply(made("brightness", cameras=["back"]), [0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"severity": 0}, "1 to 5"),
        ({"severity": 6}, "1 to 5"),
        ({"severity": 2.5}, "1 to 5"),
        ({"severity": True}, "1 to 5"),
        ({"onset_s": -0.1}, "onset_s"),
        ({"onset_s": float("nan")}, "onset_s"),
        ({"onset_s": "late"}, "onset_s"),
        ({"duration_s": 0}, "duration_s"),
        ({"duration_s": -1.0}, "duration_s"),
        ({"fade_out_s": 1.0}, "needs an end"),
        ({"duration_s": 1.0, "fade_in_s": 0.8, "fade_out_s": 0.4}, "fit into"),
        ({"cameras": "front"}, "list of camera names"),
        ({"cameras": []}, "list of camera names"),
    ],
)
def test_wrong_fields_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises((ParameterError, UnknownNameError), match=message):
        made("rain", **fields)


def test_a_wrong_group_or_effect_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="weather"):
        Corruption("simdrive.corrupt.weather.rain", "wether", 3)
    with pytest.raises(ParameterError, match="cannot be imported"):
        Corruption("simdrive.corrupt.weather.hail", "weather", 3)


# --- the axis of a grid ----------------------------------------------------------------------------------------------


def test_names_and_lists_span_the_axis() -> None:
    grid = corruption_grid(["none", "fog", "rain"], {"severity": [1, 4], "onset_s": 2, "duration_s": 0.6})
    assert [each.label for each in grid] == [
        "", "fog 1 from 2 s for 0.6 s", "fog 4 from 2 s for 0.6 s", "rain 1 from 2 s for 0.6 s",
        "rain 4 from 2 s for 0.6 s",
    ]  # fmt: skip
    assert corruption_grid("none", {}) == corruption_grid(None, {}) == (CLEAN,)
    assert len(corruption_grid(["none", "all"], {})) == 16
    built = build_corruption(grid[2])
    assert built is not None
    assert (built.severity, built.onset_s, built.duration_s) == (4, 2, 0.6)
    assert build_corruption(CLEAN) is None
    assert json.loads(grid[1].config)["cameras"] is None


@pytest.mark.parametrize(
    ("names", "fields", "message"),
    [
        ("fgo", {}, "fog"),
        ([], {}, "names nothing"),
        (["fog", "fog"], {}, "more than once"),
        (["all", "fog"], {}, "more than once"),
        ("none", {"severity": 3}, "no corruption"),
        ("fog", {"severty": 3}, "severity"),
        ("fog", {"severity": []}, "empty list"),
        ("fog", {"severity": [1, 9]}, "1 to 5"),
    ],
)
def test_wrong_axes_are_refused(names: object, fields: dict[str, object], message: str) -> None:
    with pytest.raises((ParameterError, UnknownNameError), match=message):
        corruption_grid(names, fields)


def test_agents_without_cameras_drive_once_and_have_their_keys_as_ever() -> None:
    fog = corruption_grid(["none", "fog"], {})
    agents = (AgentConfig("eyes", "{}"), *agent_configs(["expert"]))
    latency = LatencyConfig("zero", '{"_target_":"simdrive.latency.source.Constant"}', '"zero"', "follow_plan", False)
    blocks = blocks_of(agents, [latency], 10, corruptions=fog, sightless=("expert",))
    assert [block.group for block in blocks] == [
        ("eyes", "zero", ""), ("eyes", "zero", "fog 5"), ("expert", "zero", ""),
    ]  # fmt: skip
    assert [block.first_row for block in blocks] == [0, 10, 20]
    assert reference_block(blocks) == blocks[2]
    corrupted = [dataclasses.replace(blocks[2], corruption=fog[1])]
    assert reference_block(corrupted) is None


def test_a_grid_of_agents_without_cameras_is_refused() -> None:
    agents = agent_configs(["idm", "constant_speed"])
    assert sightless_agents(agents, (CLEAN,)) == ()
    with pytest.raises(ParameterError, match="changes nothing for idm, constant_speed"):
        sightless_agents(agents, corruption_grid("fog", {}))


def test_a_run_keeps_what_its_labels_mean() -> None:
    grid = corruption_grid(["none", "snow"], {"severity": 2})
    config = corruptions_config(grid, ("idm",))
    assert corruptions_config((CLEAN,), ()) == {}
    assert corruption_of(config, "snow 2") == build_corruption(grid[1])
    assert corruption_of(config, "") is None
    assert corruption_of({}, "snow 2") is None
    assert isinstance(grid[1], CorruptionConfig)
