"""What agents see: what they want, of the frame their request is made of, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from loop_kit import ZERO, Fake, inputs, straight_plans
from straight_worlds import case, straight_world

from simdrive.build import build
from simdrive.errors import ParameterError
from simdrive.eval.asking import ask, single
from simdrive.eval.episode import EpisodeInput
from simdrive.eval.rollout import request_phase_us, rollout
from simdrive.latency.modes import LatencySetting
from simdrive.latency.source import Constant
from simdrive.sim.worlds import Worlds
from simdrive.types import (
    Bytes,
    CameraSpec,
    Float,
    ObservationBatch,
    RequestStatus,
    Wants,
)

# --- observations --------------------------------------------------------------------------------------------------


def test_agents_see_only_what_they_want() -> None:
    seen: list[ObservationBatch] = []

    def look(batch: ObservationBatch) -> Float:
        seen.append(batch)
        return straight_plans(batch)

    rollout(inputs(goal_m=12.0), Fake(look), ZERO)
    assert seen[0].world is None
    assert seen[0].frames is None
    rollout(inputs(goal_m=12.0), Fake(look, Wants(world="visible")), ZERO)
    assert seen[-1].world is not None
    assert seen[-1].world.simulator is None
    assert seen[-1].world.visible.tolist() == [[True, True]]
    rollout(inputs(goal_m=12.0), Fake(look, Wants(world="clairvoyant")), ZERO)
    assert isinstance(seen[-1].world and seen[-1].world.simulator, Worlds)


def test_a_late_start_sees_the_frame_it_is_made_of() -> None:
    seen: list[ObservationBatch] = []

    def look(batch: ObservationBatch) -> Float:
        seen.append(batch)
        return straight_plans(batch)

    log = rollout(inputs(gap_m=None, goal_m=30.0), Fake(look, Wants(world="visible")), LatencySetting(Constant(250)))[0]
    second = seen[1]
    assert second.t_obs_us[0] == log.requests.t_obs_us[1] < log.requests.t_start_us[1]
    row = int(np.flatnonzero(log.t_us == second.t_obs_us[0])[0])
    assert second.ego[0, 0] == log.x[row, 0]
    assert second.world is not None
    assert second.world.x[0, 0] == log.x[row, 0]


def test_pictures_are_those_of_the_frames_asked_for() -> None:
    seen: list[ObservationBatch] = []

    def look(batch: ObservationBatch) -> Float:
        seen.append(batch)
        return straight_plans(batch)

    camera = CameraSpec(width=40, height=24)
    now = Wants(cameras=(camera,))
    both = Wants(cameras=(camera,), frame_offsets_us=(0, -200_000))
    rollout(inputs(2, gap_m=25.0, goal_m=12.0), Fake(look, both), ZERO)
    pairs, seen = {(int(b.slot[i]), int(b.t_obs_us[i])): b.frames[i] for b in seen for i in range(len(b))}, []  # type: ignore[index]
    rollout(inputs(2, gap_m=25.0, goal_m=12.0), Fake(look, now), ZERO)
    single_frames = {(int(b.slot[i]), int(b.t_obs_us[i])): b.frames[i] for b in seen for i in range(len(b))}  # type: ignore[index]
    assert pairs.keys() == single_frames.keys()
    for (slot, t_us), frames in pairs.items():
        assert frames.shape == (1, 2, 24, 40, 3)
        assert np.array_equal(frames[0, 0], single_frames[slot, t_us][0, 0])
        first = request_phase_us(case(slot))
        earlier = single_frames[slot, max(t_us - 200_000, first)]
        assert np.array_equal(frames[0, 1], earlier[0, 0])
    with pytest.raises(ParameterError, match="frame_offsets_us"):
        rollout(inputs(), Fake(look, Wants(cameras=(camera,), frame_offsets_us=(-50_000,))), ZERO)


def test_a_corrupted_camera_is_clean_outside_the_window_and_the_same_in_any_batch() -> None:
    seen: dict[tuple[str, int], Bytes] = {}
    episodes = inputs(2, gap_m=25.0, goal_m=30.0)

    def look(batch: ObservationBatch) -> Float:
        assert batch.frames is not None
        for row, slot in enumerate(batch.slot.tolist()):
            seen[chosen[slot].case.key, int(batch.t_obs_us[row])] = batch.frames[row, 0].copy()
        return straight_plans(batch)

    agent = Fake(look, Wants(cameras=(CameraSpec(width=40, height=24),), frame_offsets_us=(0, -200_000)))
    snow = build("corruption", "snow", onset_s=0.5, duration_s=0.6)
    found = []
    for parts, corruption in (([episodes], None), ([episodes], snow), ([episodes[1:], episodes[:1]], snow)):
        for part in parts:
            chosen = part
            rollout(part, agent, ZERO, corruption=corruption)
        found.append(dict(seen))
        seen.clear()
    clean, corrupted, split = found
    assert clean.keys() == corrupted.keys() == split.keys()
    for (key, t_us), frames in corrupted.items():
        assert np.array_equal(frames, split[key, t_us])
        for place, back_us in enumerate((0, 200_000)):
            at = max(t_us - back_us, min(t for other, t in clean if other == key))  # each frame by its own time
            assert np.array_equal(frames[place], clean[key, t_us][place]) != (500_000 <= at < 1_100_000)
    assert not np.array_equal(*(corrupted[episode.case.key, t][0] for episode, t in _at(episodes, corrupted, 600_000)))


def _at(
    episodes: list[EpisodeInput], frames: dict[tuple[str, int], Bytes], t_us: int
) -> list[tuple[EpisodeInput, int]]:
    return [(each, min(t for key, t in frames if key == each.case.key and t >= t_us)) for each in episodes]


def test_single_rows_keep_everything() -> None:
    batches: list[ObservationBatch] = []

    def look(batch: ObservationBatch) -> Float:
        batches.append(batch)
        return straight_plans(batch)

    agent = Fake(look, Wants(cameras=(CameraSpec(width=8, height=6),), world="visible"))
    episodes = [EpisodeInput(case(5), straight_world(gap_m=20.0 + i, goal_m=12.0)) for i in range(2)]
    rollout(episodes, agent, ZERO)
    batch = batches[0]
    assert len(batch) == 2
    for row in range(2):
        part = single(batch, row)
        assert len(part) == 1
        assert part.world is not None
        assert batch.world is not None
        assert part.world.x.tobytes() == batch.world.x[row : row + 1].tobytes()
        assert part.frames is not None
        assert batch.frames is not None
        assert np.array_equal(part.frames[0], batch.frames[row])
        assert ask(agent, part)[0].status == RequestStatus.OK
