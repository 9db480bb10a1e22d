"""Latency for any Gymnasium environment: the world keeps moving while the policy thinks.

The wrapper turns ``step`` around. An observation that it returns is the one that a request is made of; the
action given to the next ``step`` is the answer to that request, and takes effect when the latency source
says. Meanwhile the environment runs under the answer before. ``step`` returns as soon as the schedule wants
the next observation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import gymnasium
import numpy as np

from simdrive.envs.substeps import StepResult, take_apart
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.latency.deadline import Deadline, build_deadline
from simdrive.latency.modes import PIPELINED, Mode, build_mode
from simdrive.latency.scheduler import Request, Scheduler
from simdrive.latency.source import LatencySource, RequestBatch
from simdrive.streams import digest
from simdrive.types import Charge, TokenUsage

ActionWaiting = Literal["hold_control", "neutral"]
_STAMPS = ("t_obs_us", "t_start_us", "t_first_token_us", "t_finish_us", "t_publish_us", "t_actuate_us", "deadline_us")
# What needs a plan, which an action is not; the evaluation loop has them all.
_NEEDS_PLANS = {
    "chunk_async": "an action holds for one step and is no chunk of a plan",
    "dual_rate": "the environment has no fast planner that actions could guide",
}
_MISSES = ("use_late", "discard_late", "skip_next")


class LatencyInjection(gymnasium.Wrapper[Any, Any, Any, Any], gymnasium.utils.RecordConstructorArgs):
    """Delays the actions of an environment by a latency source under an injection mode.

    Rewards of all environment steps between two returned observations are summed. ``info["latency"]`` holds
    ``now_us``, the time stamps of the ``answer`` that was in force until now (-1 = none) and its ``age_us``,
    the ``t_obs_us`` and ``t_start_us`` of the request that the returned observation belongs to, ``dropped_frames``
    and ``misses`` (answers so far that came after their deadline). Under mode ``rtmdp`` it also holds ``pending``: the
    action in force and those in flight, oldest first, that act until the answer to this observation does.

    With mode ``zero``, or a source that takes no time, observations, rewards and flags are those of the
    environment without the wrapper. Frames of the schedule are the environment's own steps; time within them
    is resolved to the sub-steps of ``simdrive`` and highway-env environments (raise ``simulation_frequency``
    for finer ones), other environments are driven by whole steps.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        source: LatencySource,
        mode: str | Mapping[str, Any] | Mode = "streaming",
        waiting: ActionWaiting = "hold_control",
        *,
        step_us: int | None = None,
        neutral: Any = None,
        charge: Charge = Charge(),  # noqa: B008 - frozen
        deadline: float | Mapping[str, Any] | Deadline | None = None,
    ) -> None:
        """Wrap ``env``.

        Args:
            env: a simdrive or highway-env environment, or any other with ``step_us``.
            source: what a request takes.
            mode: how requests are scheduled.
            waiting: ``hold_control`` keeps the last answer in force; ``neutral`` lets it go after one frame.
            step_us: simulated duration of one environment step; drives the environment by whole steps.
            neutral: action in force before the first answer; default IDLE or zero, where that exists.
            charge: what the requests are priced as.
            deadline: time in ms from an observation to its answer, or a mapping with ``ms`` and ``miss``: ``use_late``,
                ``discard_late`` or ``skip_next``.

        Raises:
            UnknownNameError: for an unknown mode or waiting policy.
            ParameterError: if the duration or the neutral action is needed and missing, or a mode or deadline policy
                makes sense for plans only (``chunk_async``, ``dual_rate``, ``early_exit``, ``fallback_plan``, braking).
        """
        gymnasium.utils.RecordConstructorArgs.__init__(
            self, source=source, mode=mode, waiting=waiting, step_us=step_us, neutral=neutral, charge=charge,
            deadline=deadline,
        )  # fmt: skip
        gymnasium.Wrapper.__init__(self, env)
        if waiting not in get_args(ActionWaiting):
            raise UnknownNameError("waiting policy", waiting, get_args(ActionWaiting))
        self._source, self._mode, self._waiting, self._charge = source, build_mode(mode), waiting, charge
        self._deadline = build_deadline(deadline)
        _check_setting(self._mode, self._deadline)
        self._plant = take_apart(env, step_us)
        needs_neutral = self._mode.name != "zero" and neutral is None
        self._neutral = self._plant.neutral() if needs_neutral else neutral
        self._seed: int | None = None
        self._episode = 0
        self._request: Request | None = None
        self.charge_next()

    def charge_next(
        self, *, prompt: int = 0, image: int = 0, output: int = 0, images: int = 0, pixels: int = 0
    ) -> None:
        """Tell what the next answer cost (tokens and pictures), for sources that price by it."""
        self._cost = (prompt, image, output, images, pixels)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environment and the clock; return the observation of the first request.

        Latencies are drawn from the environment id, the last seed and the number of episodes since it.
        """
        observation, info = self.env.reset(seed=seed, options=options)
        self._seed, self._episode = (seed, 0) if seed is not None else (self._seed, self._episode + 1)
        name = self.env.spec.id if self.env.spec is not None else type(self.env.unwrapped).__name__
        self._case_key = digest({"env": name, "seed": self._seed, "episode": self._episode})
        self._sub_steps = self._plant.sub_steps
        self._sub_step = self._now_us = 0
        frame_us = self._plant.time_us(self._sub_steps)
        self._scheduler = Scheduler(self._mode, frame_us=frame_us, deadline=self._deadline)
        self._answers: dict[int, Any] = {}  # by request index
        self._in_force: int | None = None  # request index; -1 = the neutral action
        self._driving: Request | None = None  # the answer that was in force last
        self._frames = {0: (observation, info)}
        self._scheduler.offer(0, 0)
        return self._show(self._scheduler.poll(0))

    def step(self, action: Any) -> StepResult:
        """Answer the last returned observation with ``action``; run on until the next one is wanted.

        Raises:
            gymnasium.error.ResetNeeded: if the episode is over or has not begun.
        """
        if self._request is None:
            raise gymnasium.error.ResetNeeded("the episode is over or has not begun: call reset() before step()")
        self._answers[self._request.index] = action
        self._scheduler.commit(self._price(self._request))
        total: Any = 0.0
        while (wanted := self._scheduler.poll(self._now_us)) is None:
            result = self._advance()
            if result is None:
                continue
            observation, reward, terminated, truncated, info = result
            total = _add(total, reward)
            if np.all(terminated) or np.all(truncated):
                self._request = None
                return observation, total, terminated, truncated, {**info, "latency": self._report(None)}
            frame = self._sub_step // self._sub_steps
            self._frames[frame] = (observation, info)
            self._scheduler.offer(frame, self._now_us)
        observation, info = self._show(wanted)
        return observation, total, False, False, info

    def _price(self, request: Request) -> tuple[int, ...]:
        if self._mode.name == "zero":
            return (0,) * 6
        *tokens, images, pixels = (np.array([value], dtype=np.int64) for value in self._cost)
        batch = RequestBatch(
            (self._case_key,), np.array([request.index]), TokenUsage(*tokens), images, pixels, self._charge,
            np.array([request.t_start_us]),
        )  # fmt: skip
        self.charge_next()
        return tuple(map(int, self._source.price(batch)[0]))

    def _advance(self) -> StepResult | None:
        """Run one sub-step under the answer in force; return the result of a step where one is complete."""
        answer, chosen = self._scheduler.current, -1
        if answer is not None:
            if answer.t_actuate_us < 0:
                answer.t_actuate_us = self._now_us
            frame_us = self._plant.time_us(self._sub_steps)
            lapsed = self._waiting == "neutral" and self._now_us >= answer.t_actuate_us + frame_us
            chosen = -1 if lapsed else answer.index
        action = self._neutral if chosen < 0 else self._answers[chosen]
        self._plant.advance(action, fresh=chosen != self._in_force)
        self._in_force, self._driving = chosen, answer
        self._sub_step += 1
        self._now_us = self._plant.time_us(self._sub_step)
        return None if self._sub_step % self._sub_steps else self._plant.finish(action)

    def _show(self, request: Request | None) -> tuple[Any, dict[str, Any]]:
        """Return the observation that ``request`` is made of; forget it and those before it."""
        if request is None:
            raise RuntimeError("the schedule wants no observation")
        self._request = request
        observation, info = self._frames[request.frame]
        self._frames = {frame: seen for frame, seen in self._frames.items() if frame > request.frame}
        current = self._scheduler.current
        oldest = 0 if current is None else current.index
        self._answers = {index: answer for index, answer in self._answers.items() if index >= oldest}
        return observation, {**info, "latency": self._report(request)}

    def _pending(self) -> list[Any]:
        """Return the action in force (the neutral one before the first answer), then those in flight."""
        current = self._scheduler.current
        in_force = self._neutral if current is None else self._answers[current.index]
        return [in_force, *(self._answers[flying.index] for flying in self._scheduler.in_flight())]

    def _report(self, request: Request | None) -> dict[str, Any]:
        answer = self._driving
        stamps = {stamp: getattr(answer, stamp) if answer is not None else -1 for stamp in _STAMPS}
        pending = {"pending": self._pending()} if self._mode.name == "rtmdp" else {}
        return {
            **pending,
            "now_us": self._now_us,
            "t_obs_us": request.t_obs_us if request is not None else -1,
            "t_start_us": request.t_start_us if request is not None else -1,
            "age_us": self._now_us - answer.t_obs_us if answer is not None else -1,
            "dropped_frames": self._scheduler.dropped_frames,
            "misses": sum(request.missed for request in self._scheduler.requests),
            "answer": stamps,
        }


def _check_setting(mode: Mode, deadline: Deadline | None) -> None:
    if mode.name in _NEEDS_PLANS:
        raise ParameterError(
            f"LatencyInjection has no mode {mode.name}: {_NEEDS_PLANS[mode.name]}; use another mode, or `simdrive eval` with an "
            "agent that answers plans"
        )
    if deadline is None:
        return
    if deadline.miss not in _MISSES or deadline.mrm_after:
        given = "mrm_after" if deadline.miss in _MISSES else deadline.miss
        raise ParameterError(
            f"LatencyInjection cannot answer a missed deadline by {given}: actions carry no tokens and no lane to brake in; "
            f"use one of {', '.join(_MISSES)}"
        )
    if deadline.miss == "skip_next" and mode.name in PIPELINED:
        raise ParameterError(f"mode {mode.name} starts a request at every frame, so there is no next one to skip")


def _add(total: Any, reward: Any) -> Any:
    """Return the sum of rewards; several agents have a tuple of them."""
    if isinstance(reward, tuple):
        return tuple(a + b for a, b in zip(total or (0.0,) * len(reward), reward, strict=True))
    return total + reward
