"""The request clock: hand-computed schedules for every mode, and the invariants that hold for any."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.latency.modes import LatencySetting, Mode, build_mode
from simdrive.latency.scheduler import NEVER, Request, Scheduler
from simdrive.latency.source import Constant
from simdrive.types import RequestStatus

FRAME = 100_000
MODES = [
    Mode("fixed_delay"),
    Mode("streaming"),
    Mode("queue", depth=1),
    Mode("queue", depth=3),
    Mode("queue", depth=2, overflow="drop_newest"),
    Mode("periodic", period_ms=150),
    Mode("periodic", period_ms=300, publish_ms=250),
]


def run(
    mode: Mode, durations: list[int], frames: int, tick: int = 20_000, end: int | None = None
) -> tuple[Scheduler, list[Request], list[tuple[int, int]]]:
    """Drive one schedule, a control tick every ``tick`` us; return it, its requests, (tick, frame in use)."""
    scheduler, in_use = Scheduler(mode), []
    end = end if end is not None else frames * FRAME + 20 * FRAME
    for now in range(0, end + 1, tick):
        if now % FRAME == 0 and now // FRAME < frames:
            scheduler.offer(now // FRAME, now)
        while (request := scheduler.poll(now)) is not None:
            total = durations[request.index % len(durations)]
            scheduler.commit((0, 0, 0, total // 2, total - total // 2, 0))
        if scheduler.current is not None:
            in_use.append((now, scheduler.current.frame))
            if scheduler.current.t_actuate_us < 0:
                scheduler.current.t_actuate_us = now
    return scheduler, scheduler.close(end), in_use


def started(requests: list[Request]) -> list[Request]:
    return [request for request in requests if request.t_start_us >= 0]


def test_streaming_takes_the_newest_frame_by_hand() -> None:
    scheduler, requests, in_use = run(Mode("streaming"), [250_000], frames=8)
    # 0 finishes at 250 ms; the newest frame then is that of 200 ms, and so on.
    assert [(r.t_obs_us, r.t_start_us, r.t_finish_us) for r in requests] == [
        (0, 0, 250_000),
        (200_000, 250_000, 500_000),
        (500_000, 500_000, 750_000),  # arrives as the job before finishes: taken at once
        (700_000, 750_000, 1_000_000),
    ]
    assert scheduler.dropped_frames == 4
    assert in_use[0] == (260_000, 0)  # 250 ms is no control tick
    assert requests[0].t_first_token_us == 125_000


def test_queue_by_hand() -> None:
    scheduler, requests, _ = run(Mode("queue", depth=2), [250_000], frames=6)
    assert [r.frame for r in started(requests)] == [0, 1, 3, 4, 5]
    assert [r.t_start_us for r in started(requests)] == [0, 250_000, 500_000, 750_000, 1_000_000]
    dropped = [r for r in requests if r.status is RequestStatus.DROPPED]
    assert [r.frame for r in dropped] == [2]
    assert dropped[0].t_start_us == -1
    assert scheduler.dropped_frames == 1
    newest = run(Mode("queue", depth=2, overflow="drop_newest"), [250_000], frames=6)[1]
    assert [r.frame for r in newest if r.status is RequestStatus.DROPPED] == [4]


def test_periodic_with_logical_execution_time_by_hand() -> None:
    _, requests, in_use = run(Mode("periodic", period_ms=200, publish_ms=150), [30_000, 120_000, 149_000], frames=6)
    assert [(r.t_obs_us, r.t_start_us, r.t_publish_us) for r in requests] == [
        (0, 0, 150_000),
        (200_000, 200_000, 350_000),
        (400_000, 400_000, 550_000),
        (500_000, 600_000, 750_000),
    ]
    assert in_use[0] == (160_000, 0)
    overrun = run(Mode("periodic", period_ms=200, publish_ms=150), [160_000], frames=1)[1]
    assert overrun[0].t_publish_us == 300_000


def test_periodic_phase_shifts_the_grid() -> None:
    scheduler = Scheduler(Mode("periodic", period_ms=200), phase_us=60_000)
    scheduler.offer(0, 0)
    assert scheduler.poll(40_000) is None
    assert scheduler.next_us == 60_000
    request = scheduler.poll(60_000)
    assert request is not None
    assert request.t_start_us == 60_000


def test_fixed_delay_is_pipelined() -> None:
    scheduler, requests, in_use = run(Mode("fixed_delay"), [250_000], frames=5)
    assert [r.t_start_us for r in requests] == [0, 100_000, 200_000, 300_000, 400_000]
    assert scheduler.dropped_frames == 0
    assert dict(in_use)[360_000] == 1


def test_a_late_answer_never_overwrites_a_newer_one() -> None:
    _, requests, in_use = run(Mode("fixed_delay"), [500_000, 100_000], frames=2)
    assert [frame for _, frame in in_use] == [1] * len(in_use)
    assert requests[0].t_finish_us == 500_000
    assert requests[0].t_actuate_us == -1


def test_zero_time_acts_at_its_own_time_stamp() -> None:
    for mode in (Mode("zero"), Mode("fixed_delay"), Mode("streaming"), Mode("queue")):
        _, requests, in_use = run(mode, [0], frames=10)
        assert all(r.t_actuate_us == r.t_obs_us == r.t_finish_us for r in requests)
        assert [in_use[5 * i] for i in range(10)] == [(i * FRAME, i) for i in range(10)]


def test_failures_cost_time_but_give_no_plan() -> None:
    scheduler = Scheduler(Mode("streaming"))
    scheduler.offer(0, 0)
    assert scheduler.poll(0) is not None
    scheduler.commit((0, 0, 0, 0, 150_000, 0), RequestStatus.UNPARSABLE)
    scheduler.offer(1, 100_000)
    assert scheduler.poll(149_999) is None
    second = scheduler.poll(150_000)
    assert second is not None
    assert second.frame == 1
    assert scheduler.current is None


def test_what_the_end_cuts_off_is_unfinished() -> None:
    _, requests, _ = run(Mode("queue", depth=2), [250_000], frames=4, end=300_000)
    assert [r.status for r in requests] == [RequestStatus.OK] + [RequestStatus.UNFINISHED] * 3
    assert [r.t_start_us for r in requests] == [0, 250_000, -1, -1]
    assert [r.t_finish_us for r in requests] == [250_000, -1, -1, -1]


def test_misuse_is_refused() -> None:
    scheduler = Scheduler(Mode("streaming"))
    assert scheduler.next_us == NEVER
    with pytest.raises(RuntimeError, match="no request"):
        scheduler.commit((0,) * 6)
    scheduler.offer(0, 100_000)
    assert scheduler.poll(100_000) is not None
    with pytest.raises(RuntimeError, match="commit"):
        scheduler.poll(100_000)
    with pytest.raises(ValueError, match="at least 0"):
        scheduler.commit((0, 0, 0, 0, -1, 0))
    scheduler.commit((0,) * 6)
    with pytest.raises(ValueError, match="already stands"):
        scheduler.offer(1, 0)


DURATIONS = st.lists(st.integers(0, 900_000), min_size=1, max_size=12)


@settings(deadline=None)
@given(st.sampled_from(MODES), DURATIONS, st.integers(1, 25))
def test_time_stamps_are_ordered_and_age_is_at_least_the_compute_time(
    mode: Mode, durations: list[int], frames: int
) -> None:
    scheduler, requests, in_use = run(mode, durations, frames)
    for r in started(requests):
        assert r.t_obs_us <= r.t_start_us
        if r.t_finish_us >= 0:
            assert r.t_start_us <= r.t_first_token_us <= r.t_finish_us <= r.t_publish_us
            assert r.t_finish_us - r.t_start_us == sum(r.stages_us)
        if r.t_actuate_us >= 0:
            assert r.t_publish_us <= r.t_actuate_us < r.t_publish_us + 20_000
            assert r.t_actuate_us - r.t_obs_us >= sum(r.stages_us)
    used = [frame for _, frame in in_use]
    assert used == sorted(used)  # the plan in use never gets older
    assert [r.t_obs_us for r in requests] == sorted({r.t_obs_us for r in requests})
    left = 1 if mode.capacity == 1 and mode.name != "queue" else 0  # a last frame may still wait
    unused = frames - len(started(requests)) - scheduler.dropped_frames
    assert 0 <= unused - sum(r.t_start_us < 0 and r.status is RequestStatus.UNFINISHED for r in requests) <= left


@settings(deadline=None)
@given(st.sampled_from([m for m in MODES if not m.pipelined]), DURATIONS, st.integers(1, 25))
def test_at_most_one_job_is_in_flight(mode: Mode, durations: list[int], frames: int) -> None:
    jobs = started(run(mode, durations, frames)[1])
    for before, after in itertools.pairwise(jobs):
        assert after.t_start_us >= before.t_start_us + sum(before.stages_us)
        if mode.period_us:
            assert after.t_start_us % mode.period_us == 0


@settings(deadline=None)
@given(st.lists(st.integers(0, FRAME), min_size=1, max_size=8), st.integers(1, 25))
def test_faster_than_the_camera_drops_nothing(durations: list[int], frames: int) -> None:
    scheduler, requests, _ = run(Mode("streaming"), durations, frames)
    assert scheduler.dropped_frames == 0
    assert [r.t_start_us for r in requests] == [i * FRAME for i in range(frames)]


@settings(deadline=None)
@given(st.lists(st.integers(FRAME + 1, 900_000), min_size=1, max_size=8), st.integers(2, 25))
def test_slower_than_the_camera_is_never_idle(durations: list[int], frames: int) -> None:
    jobs = run(Mode("streaming"), durations, frames)[1]
    for before, after in itertools.pairwise(jobs):
        assert after.t_start_us == before.t_finish_us
        assert after.t_start_us - after.t_obs_us < FRAME or after.frame == frames - 1  # the newest frame there is


@settings(deadline=None)
@given(DURATIONS, st.integers(1, 25))
def test_streaming_is_a_queue_of_one_that_drops_the_oldest(durations: list[int], frames: int) -> None:
    streaming = run(Mode("streaming"), durations, frames)
    queue = run(Mode("queue", depth=1), durations, frames)
    # Where a job finishes as a frame arrives, a queue takes the waiting frame, streaming the newest.
    assume(not any(r.t_finish_us % FRAME == 0 for r in queue[1]))
    assert streaming[2] == queue[2]
    assert streaming[0].dropped_frames == queue[0].dropped_frames


@settings(deadline=None)
@given(st.lists(st.integers(0, 250_000), min_size=1, max_size=8), st.integers(1, 30))
def test_logical_execution_time_makes_age_constant(durations: list[int], frames: int) -> None:
    _, requests, _ = run(Mode("periodic", period_ms=300, publish_ms=250), durations, frames)
    in_time = [r for r in requests if r.t_obs_us % 300_000 == 0]
    assert {r.t_publish_us - r.t_obs_us for r in in_time} == {250_000}
    assert {r.t_publish_us - r.t_start_us for r in requests} == {250_000}


@settings(deadline=None)
@given(st.sampled_from(MODES), DURATIONS, st.integers(1, 25))
def test_the_schedule_does_not_depend_on_the_control_rate(mode: Mode, durations: list[int], frames: int) -> None:
    fine, coarse = run(mode, durations, frames, tick=10_000), run(mode, durations, frames, tick=50_000)
    stamps = [
        [(r.frame, r.t_start_us, r.t_finish_us, r.t_publish_us, r.status) for r in side[1]] for side in (fine, coarse)
    ]
    assert stamps[0] == stamps[1]


def test_build_mode_names_what_is_wrong() -> None:
    assert build_mode("zero") == Mode("zero")
    assert build_mode({"name": "queue", "depth": 5}) == Mode("queue", depth=5)
    assert build_mode(Mode("queue")) == Mode("queue")
    with pytest.raises(UnknownNameError, match="streaming"):
        build_mode("streeming")
    with pytest.raises(UnknownNameError, match="depth"):
        build_mode({"name": "queue", "dept": 5})
    for bad in (
        {"depth": 0},
        {"depth": 1.5},
        {"period_ms": 0},
        {"period_ms": float("nan")},
        {"publish_ms": -1},
    ):
        with pytest.raises(ParameterError, match="mode"):
            build_mode({"name": "queue", **bad})
    with pytest.raises(UnknownNameError, match="drop_oldest"):
        build_mode({"overflow": "drop_old"})


def test_setting_identity() -> None:
    zero = LatencySetting(Constant(200), Mode("zero"))
    assert zero.identity() == LatencySetting(Constant(300), Mode("zero")).identity()
    assert LatencySetting(Constant(200)).identity() != LatencySetting(Constant(300)).identity()
    with pytest.raises(UnknownNameError, match="hold_control"):
        LatencySetting(Constant(200), waiting="hold")  # type: ignore[arg-type]
