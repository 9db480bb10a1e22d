"""The later injection modes and the deadline-miss policies against hand-drawn timelines, on the request clock alone.

Frames arrive every 100 ms from 0; ``P`` marks when a plan is published, ``D`` a deadline.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.latency.deadline import Deadline, build_deadline
from simdrive.latency.device import DeviceSpec, Job
from simdrive.latency.modes import LatencySetting, Mode
from simdrive.latency.scheduler import Request, Scheduler
from simdrive.latency.source import Constant
from simdrive.types import RequestStatus

FRAME = 100_000
FAIL = -1  # a duration that stands for a failing answer of 100 ms


def run(
    mode: Mode | str, durations_ms: list[int], frames: int, *, tick: int = 10_000, end: int | None = None,
    deadline: Deadline | None = None, device: DeviceSpec | None = None,
) -> tuple[Scheduler, list[Request], list[tuple[int, str]]]:  # fmt: skip
    """Drive one schedule; return it, its requests, and (ms, what drives) at every change: a frame or an emergency."""
    scheduler = Scheduler(Mode(mode) if isinstance(mode, str) else mode, deadline=deadline, device=device)  # type: ignore[arg-type]
    drives: list[tuple[int, str]] = []
    end = end if end is not None else (frames + 20) * FRAME
    for now in range(0, end + 1, tick):
        if now % FRAME == 0 and now // FRAME < frames:
            scheduler.offer(now // FRAME, now)
        while (request := scheduler.poll(now)) is not None:
            given = durations_ms[request.index % len(durations_ms)]
            status = RequestStatus.UNPARSABLE if given == FAIL else RequestStatus.OK
            scheduler.commit((0, 0, 0, 0, (100 if given == FAIL else given) * 1000, 0), status)
        current = scheduler.current
        what = scheduler.emergency or ("start" if current is None else f"plan {current.frame}")
        if not drives or drives[-1][1] != what:
            drives.append((now // 1000, what))
    return scheduler, scheduler.close(end), drives


def stamps(requests: list[Request]) -> list[tuple[int, int, int]]:
    """Return (frame, start, publication) in ms of the started requests."""
    return [(r.frame, r.t_start_us // 1000, r.t_publish_us // 1000) for r in requests if r.t_start_us >= 0]


# --- modes ---------------------------------------------------------------------------------------------------------


def test_dynamic_waits_for_the_next_frame_where_the_tail_would_shrink() -> None:
    """r = 150 ms. At 150 (frame 1 is 50 old): 50 + 50 >= 100, so it waits for frame 2; greedy takes the old frame 1.

    ::

        frames   0    100    200    300    400    500    600
        greedy   000000000P1111111P33333333P4...           ages at publication: 150, 200, 150, 200
        dynamic  000000000P....222222222P....444444444P    ages: 150, 150, 150
    """
    greedy = run("streaming", [150], frames=6)[1]
    assert stamps(greedy)[:4] == [(0, 0, 150), (1, 150, 300), (3, 300, 450), (4, 450, 600)]
    dynamic = run(Mode("dynamic"), [150], frames=6)[1]
    assert stamps(dynamic)[:3] == [(0, 0, 150), (2, 200, 350), (4, 400, 550)]
    assert {r.t_publish_us - r.t_obs_us for r in dynamic if r.index < 3} == {150_000}


def test_dynamic_starts_at_once_where_nothing_is_gained() -> None:
    # r = 130 ms: at 130 (30 old) 30 + 30 < 100, so frame 1 is taken; at 260 (60 old) 60 + 30 < 100 too; at 390 it waits.
    assert stamps(run("dynamic", [130], frames=8)[1])[:4] == [(0, 0, 130), (1, 130, 260), (2, 260, 390), (4, 400, 530)]


def test_dynamic_expects_the_mean_so_far_or_what_it_is_told() -> None:
    scheduler = run(Mode("dynamic"), [100, 200, 330], frames=4)[0]
    assert scheduler.expected_us == (100_000 + 200_000 + 330_000) // 3
    told = run(Mode("dynamic", expected_ms=150), [130], frames=5)[1]
    assert [start for _, start, _ in stamps(told)][:2] == [0, 130]  # 30 + 50 < 100
    assert [start for _, start, _ in stamps(told)][2] == 300  # 60 + 50 >= 100


@given(st.floats(0.0, 0.999), st.floats(0.01, 5.0))
def test_both_published_forms_of_the_shrinking_tail_agree(s: float, r: float) -> None:
    """``wait if frac(s + r) < frac(s)`` is ``wait if floor(frac(s) + r) > r`` up to rounding."""
    frac = s + r - int(s + r)
    if min(abs(frac - s), abs(frac), abs(frac - 1), s, r - int(r), abs(s + r - int(s + r))) < 1e-9:
        return
    assert (frac < s) == (int(s + r) > r)


def test_chunk_async_asks_when_the_chunk_runs_low() -> None:
    """Chunk 600 ms, threshold 1/3: the next request starts once 400 ms of the chunk are driven, on the newest frame.

    ::

        ms    0      120        400      520        800      920
              000000P0 driven...44444444P4 driven...8888888P
    """
    mode = Mode("chunk_async", chunk_ms=600, threshold=1 / 3)
    scheduler, requests, drives = run(mode, [120], frames=10)
    assert stamps(requests)[:3] == [(0, 0, 120), (4, 400, 520), (8, 800, 920)]
    assert drives[:3] == [(0, "start"), (120, "plan 0"), (520, "plan 4")]
    assert scheduler.dropped_frames == 6  # frames 1-3 and 5-7; the last one still waits


def test_chunk_async_between_frames_takes_the_newest() -> None:
    mode = Mode("chunk_async", chunk_ms=500, threshold=0.5)
    assert stamps(run(mode, [120], frames=9)[1])[:3] == [(0, 0, 120), (2, 250, 370), (4, 450, 570)]


def test_a_frozen_prefix_holds_back_an_early_plan() -> None:
    """Frozen 200 ms: a plan of 120 ms waits until 200 ms after its observation; one of 260 ms is late by itself."""
    mode = Mode("chunk_async", chunk_ms=600, threshold=0.5, frozen_ms=200)
    requests = run(mode, [120, 260], frames=9)[1]
    assert stamps(requests)[:3] == [(0, 0, 200), (3, 300, 560), (6, 600, 800)]
    assert requests[0].t_finish_us == 120_000


def test_chunk_async_asks_again_at_once_after_a_failure() -> None:
    mode = Mode("chunk_async", chunk_ms=1000, threshold=0.2)
    assert stamps(run(mode, [FAIL, 120], frames=12)[1])[:2] == [(0, 0, 100), (1, 100, 220)]


def test_rtmdp_is_pipelined_and_knows_what_is_in_flight() -> None:
    scheduler = Scheduler(Mode("rtmdp"))
    for frame in range(3):
        scheduler.offer(frame, frame * FRAME)
        request = scheduler.poll(frame * FRAME)
        assert request is not None
        assert [r.frame for r in scheduler.in_flight()] == list(range(max(0, frame - 1), frame))
        assert (scheduler.current.frame if scheduler.current else None) == (0 if frame == 2 else None)
        scheduler.commit((0, 0, 0, 0, 150_000, 0))
        assert scheduler.poll(frame * FRAME) is None


# --- deadlines -----------------------------------------------------------------------------------------------------

LATE = [150, 250, 50]  # deadline 200 ms: in time; frame 1 starts at 150, done at 400 = 300 old, late; then in time


def test_use_late() -> None:
    """::

    ms     0         150              300D     400  450      deadline of frame 1 at 300
           0000000000P1111111111111111111111111P4444P
    """
    _, requests, drives = run("streaming", LATE, frames=5, deadline=Deadline(200))
    assert stamps(requests)[:3] == [(0, 0, 150), (1, 150, 400), (4, 400, 450)]
    assert [r.missed for r in requests[:3]] == [False, True, False]
    assert [r.branch for r in requests[:3]] == ["", "used_late", ""]
    assert [r.deadline_us for r in requests[:2]] == [200_000, 300_000]
    assert drives == [(0, "start"), (150, "plan 0"), (400, "plan 1"), (450, "plan 4")]


def test_discard_late() -> None:
    _, requests, drives = run("streaming", LATE, frames=5, deadline=Deadline(200, "discard_late"))
    assert requests[1].branch == "discarded"
    assert drives == [(0, "start"), (150, "plan 0"), (450, "plan 4")]


def test_skip_next_lets_the_server_catch_up() -> None:
    """The late answer of frame 1 at 410 is used; frame 4 (400 ms), next in line, is skipped; frame 5 starts at 500."""
    durations = [150, 260, 50, 50]
    scheduler, requests, drives = run("streaming", durations, frames=6, deadline=Deadline(200, "skip_next"))
    assert stamps(requests) == [(0, 0, 150), (1, 150, 410), (5, 500, 550)]
    assert requests[1].branch == "used_late_skips_next"
    assert drives == [(0, "start"), (150, "plan 0"), (410, "plan 1"), (550, "plan 5")]
    assert scheduler.dropped_frames == 3  # frames 2, 3 and the skipped 4
    queue = run(Mode("queue", depth=3), durations, frames=6, deadline=Deadline(200, "skip_next"))[1]
    assert [r.frame for r in queue if r.status is RequestStatus.DROPPED] == [2]


def test_fallback_begins_at_the_deadline_and_ends_with_any_plan() -> None:
    _, requests, drives = run("streaming", LATE, frames=5, deadline=Deadline(200, "fallback_plan"))
    assert drives == [(0, "start"), (150, "plan 0"), (300, "fallback"), (400, "plan 1"), (450, "plan 4")]
    assert requests[1].branch == "fallback"


def test_mrm_after_two_misses_in_a_row_until_a_plan_comes_in_time() -> None:
    """Deadline 200 ms, every answer 250 ms but the fourth.

    ::

        ms    0     200D  250     400D     500   750   800
              0000000!000P222222222!2222222P55555P77P       2nd miss at 400: brake; 500 and 750 are late too
    """
    deadline = Deadline(200, mrm_after=2)
    _, requests, drives = run("streaming", [250, 250, 250, 50], frames=8, deadline=deadline)
    assert stamps(requests)[:4] == [(0, 0, 250), (2, 250, 500), (5, 500, 750), (7, 750, 800)]
    assert [r.branch for r in requests[:4]] == ["used_late", "mrm", "mrm", ""]
    assert drives == [(0, "start"), (250, "plan 0"), (400, "mrm"), (800, "plan 7")]


def test_a_failed_answer_is_a_miss_when_it_fails() -> None:
    _, requests, drives = run("streaming", [50, FAIL, 50], frames=4, deadline=Deadline(300, "fallback_plan"))
    assert [r.missed for r in requests[:3]] == [False, True, False]
    assert drives == [(0, "start"), (50, "plan 0"), (200, "fallback"), (250, "plan 2"), (350, "plan 3")]


def test_exactly_at_the_deadline_is_in_time() -> None:
    requests = run("streaming", [200], frames=3, deadline=Deadline(200))[1]
    assert not requests[0].missed
    assert run("streaming", [201], frames=3, deadline=Deadline(200))[1][0].missed


def test_what_the_end_cuts_off_has_missed_what_had_passed() -> None:
    ends = {end: run("streaming", [900], 1, deadline=Deadline(200), end=end)[1][0] for end in (190_000, 200_000)}
    assert [ends[end].missed for end in ends] == [False, True]
    assert ends[200_000].t_publish_us == -1


def test_logical_execution_time_can_be_late_too() -> None:
    mode = Mode("periodic", period_ms=200, publish_ms=150)
    requests = run(mode, [30, 160], frames=5, deadline=Deadline(160))[1]
    assert [r.missed for r in requests[:2]] == [False, True]  # published at 150, and at 300 after its start


def test_a_start_after_the_deadline_is_a_miss_at_once() -> None:
    _, requests, drives = run(
        Mode("queue", depth=3), [350, 50], frames=2, deadline=Deadline(200, "fallback_plan", mrm_after=9)
    )
    assert stamps(requests) == [(0, 0, 350), (1, 350, 400)]
    assert [r.missed for r in requests] == [True, True]
    assert drives == [(0, "start"), (200, "fallback"), (350, "fallback"), (400, "plan 1")] or drives == [
        (0, "start"), (200, "fallback"), (400, "plan 1"),
    ]  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["streaming", "queue", "periodic", "dynamic", "chunk_async", "fixed_delay", "rtmdp"]),
    st.lists(st.integers(1, 600), min_size=1, max_size=8),
    st.sampled_from(["use_late", "discard_late", "fallback_plan"]),
    st.integers(0, 3),
)
def test_misses_are_what_the_time_stamps_say(mode: Any, durations: list[int], miss: Any, after: int) -> None:
    _, requests, drives = run(mode, durations, 12, deadline=Deadline(230, miss, mrm_after=after))
    for r in (r for r in requests if r.t_start_us >= 0):
        assert r.missed == (r.t_publish_us > r.t_obs_us + 230_000)
        assert bool(r.branch) <= r.missed
        assert r.t_publish_us >= r.t_finish_us >= r.t_obs_us
    if not after and miss != "fallback_plan":
        assert not any(what in ("fallback", "mrm") for _, what in drives)
    if mode != "chunk_async" or (miss == "use_late" and not after):  # which asks sooner for want of a plan
        assert stamps(requests) == stamps(run(mode, durations, 12)[1])


# --- a shared chip -------------------------------------------------------------------------------------------------


def test_a_request_waits_for_the_chip_and_its_stages_stay_the_work() -> None:
    device = DeviceSpec("nonpreemptive", (Job("logger", 400, 60, phase_ms=90),), priority=2)
    requests = run("streaming", [30], frames=3, device=device)[1]
    assert [(r.t_start_us, r.t_finish_us) for r in requests] == [(0, 30_000), (100_000, 180_000), (200_000, 230_000)]
    assert [sum(r.stages_us) for r in requests] == [30_000] * 3
    urgent = DeviceSpec("preemptive", device.jobs, priority=2)
    assert stamps(run("streaming", [30], frames=2, device=urgent)[1]) == [(0, 0, 30), (1, 100, 130)]


# --- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"mode": Mode("dual_rate"), "waiting": "hold_control"}, "dual_rate"),
        ({"mode": Mode("rtmdp"), "deadline": Deadline(200, "skip_next")}, "no next one"),
        ({"mode": Mode("fixed_delay"), "device": DeviceSpec("preemptive")}, "unlimited throughput"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(fields: dict[str, Any], word: str) -> None:
    with pytest.raises(ParameterError, match=word):
        LatencySetting(Constant(200), **fields)


@pytest.mark.parametrize(
    ("value", "error", "word"),
    [
        ({"miss": "use_late"}, ParameterError, "needs ms"),
        ({"ms": 0}, ParameterError, "above 0"),
        ({"ms": 300, "miss": "use_it"}, UnknownNameError, "use_late"),
        ({"ms": 300, "late": 1}, UnknownNameError, "mrm_after"),
        ({"ms": 300, "mrm_braking_mps2": 8}, ParameterError, "2.0 to 4.0"),
        ({"ms": 300, "mrm_after": -1}, ParameterError, "mrm_after"),
        ("soon", ParameterError, "time in ms"),
    ],
)
def test_wrong_deadlines_are_named(value: Any, error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        build_deadline(value)


def test_deadline_from_a_number_or_nothing() -> None:
    assert build_deadline(None) is None
    assert build_deadline(300) == Deadline(300.0)


@pytest.mark.parametrize(
    "fields", [{"chunk_ms": 50}, {"threshold": 1.5}, {"frozen_ms": -1}, {"frozen_ms": 1100}, {"expected_ms": -1}]
)
def test_wrong_chunks_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="mode"):
        Mode("chunk_async", **fields)


def test_old_identities_stay_and_new_fields_count() -> None:
    assert set(LatencySetting(Constant(200)).identity()["mode"]) == {
        "name", "depth", "overflow", "period_ms", "publish_ms",
    }  # fmt: skip
    identities = [
        LatencySetting(Constant(200), mode, deadline=deadline).identity()
        for mode in (Mode("chunk_async"), Mode("chunk_async", threshold=0.3), Mode("dual_rate"), Mode("zero"))
        for deadline in (None, Deadline(300))
    ]
    assert len({repr(identity) for identity in identities}) == 7  # mode zero is never late
    assert "_target_" in LatencySetting(Constant(200), Mode("dual_rate")).identity()["mode"]["fast"]
