"""The shared chip against hand-drawn timelines, and against a naive simulation tick by tick."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simdrive.errors import ParameterError
from simdrive.latency.device import Device, DeviceSpec, Job
from simdrive.latency.timeline import drawn, timeline

LOGGER = Job("logger", period_ms=200, cost_ms=60, priority=1, phase_ms=90)


def runs(spec: DeviceSpec, requests: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return (start, finish) in ms of requests given as (release, work) in ms."""
    device = Device(spec)
    return [(start, device.run(start * 1000, work * 1000)[1] // 1000) for start, work in requests]


def test_an_urgent_request_meets_its_deadline_only_where_it_may_interrupt() -> None:
    """Planner: 30 ms of work every 100 ms, due after 50 ms. Logger: 60 ms of work at 90, 290, ...

    ::

        ms              0        90  100        150       180
        nonpreemptive   PPP......LLLLLLLLLLLLLLLPPPPPPPPP       planner of 100 done at 180: due at 150, missed
        preemptive      PPP......LLPPPPPPLLLLLLLLLLLLLL         planner done at 130: met; logger done at 180
        partitioned     the planner alone on 3/5: 30 ms take 50: done at 150, met
    """
    requests = [(0, 30), (100, 30)]
    assert runs(DeviceSpec("nonpreemptive", (LOGGER,), priority=2), requests) == [(0, 30), (100, 180)]
    assert runs(DeviceSpec("preemptive", (LOGGER,), priority=2), requests) == [(0, 30), (100, 130)]
    assert runs(DeviceSpec("partitioned", (LOGGER,), planner_share=0.6), requests) == [(0, 50), (100, 150)]
    assert runs(DeviceSpec("preemptive", (LOGGER,), priority=0), requests) == [(0, 30), (100, 180)]


PLANNER = Job("planner", period_ms=100, cost_ms=30, priority=2)


def test_timelines_drawn_per_policy() -> None:
    letters = {"planner": "P", "logger": "L"}
    found = {
        policy: timeline(policy, PLANNER, [LOGGER], 50_000, 400_000, 0.6)
        for policy in ("nonpreemptive", "preemptive", "partitioned", "let")
    }
    lines = {policy: [drawn(work, 10_000, 200_000, letters) for work in one.work] for policy, one in found.items()}
    assert lines["nonpreemptive"] == ["PPP......LLLLLLPPP.."]
    assert lines["preemptive"] == lines["let"] == ["PPP......LPPPLLLLL.."]
    assert lines["partitioned"] == ["PPPPP.....PPPPP.....", ".........LLLLLLLLLLL"]  # the rest: 60 ms on 2/5 take 150
    misses = {policy: sum(run.missed for run in one.planner) for policy, one in found.items()}
    assert misses == {"nonpreemptive": 2, "preemptive": 0, "partitioned": 0, "let": 0}
    assert {run.publish_us - run.release_us for run in found["let"].planner} == {50_000}
    assert found["preemptive"].others_late == {"logger": (0, 2)}


def test_a_planner_that_overruns_makes_its_next_request_wait() -> None:
    slow = Job("planner", period_ms=100, cost_ms=120, priority=2)
    found = timeline("let", slow, [], 50_000, 300_000)
    assert [run.finish_us for run in found.planner] == [120_000, 240_000, 360_000]
    assert [run.publish_us for run in found.planner] == [150_000, 250_000, 400_000]
    assert all(run.missed for run in found.planner)


def test_the_first_token_counts_work_not_time() -> None:
    device = Device(DeviceSpec("preemptive", (Job("radar", 100, 20, priority=9, phase_ms=10),), priority=1))
    # 5 ms of prompt are done at 5 ms; the prompt of 15 ms at 10 + 20 + 5.
    assert device.run(0, 40_000, 5_000) == (5_000, 60_000)
    device = Device(DeviceSpec("preemptive", (Job("radar", 100, 20, priority=9, phase_ms=10),), priority=1))
    assert device.run(0, 40_000, 15_000) == (35_000, 60_000)


def test_ties_at_one_time_stamp() -> None:
    """Released together: the more urgent first, and among equals the planner, which was there first."""
    job = Job("other", 1000, 10, priority=1)
    assert runs(DeviceSpec("nonpreemptive", (job,), priority=1), [(0, 5)]) == [(0, 5)]
    assert runs(DeviceSpec("nonpreemptive", (job,), priority=0), [(0, 5)]) == [(0, 15)]
    assert runs(DeviceSpec("preemptive", (job,), priority=0), [(0, 5)]) == [(0, 15)]


def test_no_work_takes_no_time_and_time_only_goes_on() -> None:
    device = Device(DeviceSpec("nonpreemptive", (LOGGER,)))
    assert device.run(95_000, 0) == (95_000, 95_000)
    assert device.run(95_000, 1_000) == (150_000, 151_000)  # it waited until 150 ms
    with pytest.raises(ValueError, match="already"):
        device.run(100_000, 1_000)


@pytest.mark.parametrize(
    "fields",
    [
        {"policy": "preemptive", "jobs": (Job("a", 10, 6), Job("b", 10, 4))},
        {"policy": "partitioned", "planner_share": 1.0},
        {"policy": "partitioned", "planner_share": 0.5, "jobs": (Job("a", 10, 5),)},
        {"policy": "preemptive", "jobs": (Job("planner", 10, 5),)},
    ],
)
def test_impossible_devices_are_refused(fields: Any) -> None:
    with pytest.raises(ParameterError):
        DeviceSpec(**fields)


def naive(spec: DeviceSpec, requests: list[tuple[int, int]]) -> list[int]:
    """Simulate one microsecond at a time; requests are (release, work) in us, one after another."""
    finishes: list[int] = []
    ready: list[Any] = []
    running, order = None, 0  # ready: [-priority, release, order, left, is_planner]
    waiting = list(requests)
    now, planner_busy = 0, False
    while len(finishes) < len(requests):
        if waiting and not planner_busy and waiting[0][0] <= now:
            _, work = waiting.pop(0)
            ready.append([-spec.priority, now, order, work, True])
            order, planner_busy = order + 1, True
        for job in spec.jobs:
            if now >= job.phase_us and (now - job.phase_us) % job.period_us == 0:
                ready.append([-job.priority, now, order, job.cost_us, False])
                order += 1
        if ready and (running is None or (spec.policy == "preemptive" and min(ready)[0] < running[0])):
            best = min(ready)
            ready.remove(best)
            ready += [running] if running is not None else []
            running = best
        now += 1
        if running is not None:
            running[3] -= 1
            if running[3] == 0:
                if running[4]:
                    finishes.append(now)
                    planner_busy = False
                running = None
    return finishes


JOBS = st.lists(st.tuples(st.integers(20, 60), st.integers(1, 6), st.integers(0, 3), st.integers(0, 30)), max_size=3)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["preemptive", "nonpreemptive"]), JOBS, st.integers(0, 3),
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 40)), min_size=1, max_size=6),
)  # fmt: skip
def test_like_a_naive_simulation(
    policy: Any, jobs: list[tuple[int, int, int, int]], priority: int, gaps: list[tuple[int, int]]
) -> None:
    tasks = tuple(Job(f"j{i}", p / 1000, c / 1000, pr, ph / 1000) for i, (p, c, pr, ph) in enumerate(jobs))
    spec = DeviceSpec(policy, tasks, priority)
    device, fast, requests, free = Device(spec), [], [], 0
    for gap, work in gaps:
        start = free + gap
        free = device.run(start, work)[1]
        fast.append(free)
        requests.append((start, work))
    assert fast == naive(spec, requests)
