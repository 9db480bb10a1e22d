"""THE loop: episodes of one agent under one latency setting, while the world keeps moving as the agent
thinks.

Host time never enters. An agent's answer is computed at once on the host, and counts when its latency source
says; so requests of many worlds are asked together, and the result does not depend on how worlds are grouped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simdrive.corrupt.corruption import Corruption
from simdrive.errors import ParameterError
from simdrive.eval.asking import ask
from simdrive.eval.driving import Driving, Together
from simdrive.eval.ending import Ending
from simdrive.eval.episode import EpisodeInput, episode_log
from simdrive.eval.fast import FastPlanner
from simdrive.eval.immediate import Immediate
from simdrive.eval.observe import observe
from simdrive.eval.pictures import Pictures
from simdrive.eval.recorder import Recorder
from simdrive.eval.requests import Requests
from simdrive.latency.modes import LatencySetting
from simdrive.sim.scene_cache import light_of
from simdrive.sim.tracker import TrackerLimits
from simdrive.sim.worlds import Worlds
from simdrive.streams import stream
from simdrive.types import FRAME_PERIOD_US, Agent, Case, EndReason, EpisodeLog


def request_phase_us(case: Case, frequency_hz: int = 50) -> int:
    """Return when the first frame of a case arrives: a whole number of ticks below 100 ms, the same for all
    agents.

    Raises:
        ParameterError: if frames do not fall on ticks.
    """
    ticks, rest = divmod(frequency_hz * FRAME_PERIOD_US, 1_000_000)
    if rest or not ticks:
        raise ParameterError(f"frequency_hz must be a multiple of 10 (frames fall on ticks), not {frequency_hz}")
    return int(stream(case.key, "phase").integers(ticks)) * 1_000_000 // frequency_hz


def rollout(
    episodes: Sequence[EpisodeInput],
    agent: Agent,
    latency: LatencySetting,
    *,
    frequency_hz: int = 50,
    limits: TrackerLimits = TrackerLimits(),  # noqa: B008 - frozen
    worlds: Worlds | None = None,
    corruption: Corruption | None = None,
) -> list[EpisodeLog]:
    """Drive every episode to its end and return the logs in the given order.

    Args:
        episodes: cases with their worlds and references.
        agent: who drives; whatever it does wrong is recorded and never ends the run.
        latency: when its answers count, and what drives the car until then.
        frequency_hz: physics ticks per second, a multiple of 10.
        limits: what the car can do.
        worlds: the worlds of the episodes at time zero if they are built already; they are used up.
        corruption: what is wrong with the agent's pictures; None = nothing.

    Raises:
        ParameterError: if the frequency or a world is not allowed.
    """
    if not episodes:
        return []
    phase_us = np.array([request_phase_us(e.case, frequency_hz) for e in episodes], dtype=np.int64)
    worlds = worlds or Worlds([episode.spec for episode in episodes], frequency_hz)
    light = np.stack([light_of(spec) for spec in worlds.specs])
    keys = [episode.case.key for episode in episodes]
    pictures = Pictures(worlds, agent.wants, light, corruption, keys) if agent.wants.cameras else None
    book, ending = Recorder(worlds, phase_us, light), Ending(worlds)
    driving = Driving(worlds, latency, limits)
    fast = FastPlanner(latency.mode.fast, worlds) if latency.mode.name == "dual_rate" else None
    requests = Immediate(len(keys), agent) if latency.immediate else Requests(keys, phase_us, agent, latency)
    agent.reset(np.arange(worlds.size))
    logs: dict[int, EpisodeLog] = {}
    active, tick, now_us = np.ones(worlds.size, np.bool_), 0, 0

    while active.any():
        seen = np.flatnonzero(active & (book.next_us == now_us))
        frames = book.record(seen, now_us, ending.driven_m)
        requests.offer(seen, frames, now_us)
        while starts := requests.starting(now_us):  # till nothing is left to finish, publish or start
            ages = driving.age_us(starts.slots, now_us)
            batch = observe(worlds, book.rows, agent.wants, pictures, starts.slots, starts.frames, ages)
            batch = requests.told(batch, starts, driving)
            requests.answer(starts, ask(agent, batch))
        taken, emergencies = requests.settled(now_us, ending.driven_m, book.rows)
        if fast is None or isinstance(taken, Together):
            driving.take(now_us, taken, emergencies)
        else:
            fast.drive(now_us, seen, frames, book.rows, taken, emergencies, driving)
        driving.watch(seen, book.in_sight(seen, frames))
        book.record_drive(seen, frames, driving.age_us(seen, now_us), requests.in_use, driving.aeb_active)
        worlds.step(driving.controls(now_us, active), active, look_up_lanes=False)  # the recorder does
        tick += 1
        now_us = round(tick * 1e6 / frequency_hz)
        over = ending.look(tick, active)
        if len(over):
            last = book.record(over, now_us, ending.driven_m)
            book.record_drive(over, last, driving.age_us(over, now_us), requests.in_use, driving.aeb_active)
        for world in over.tolist():
            log, places = requests.close(world, now_us)
            end, saturated = EndReason(ending.reason[world]), bool(driving.saturated[world])
            logs[world] = episode_log(episodes[world], worlds, world, book, end, saturated, log, places)
        active[over] = False
    return [logs[world] for world in range(worlds.size)]
