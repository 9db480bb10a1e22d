"""Takes the step of an environment apart, so that an action can take effect in the middle of it.

``gymnasium.Env.step`` applies an action at its start only; answers that take time would snap to whole steps
(1 s in stock highway-env). What is taken apart here runs its physics sub-steps one by one and leaves
everything else that a step does (observation, reward, termination, spawning) to the environment, at the times
where it always did it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium import spaces

from simdrive.errors import ParameterError, UnsupportedError

StepResult = tuple[Any, Any, Any, Any, dict[str, Any]]


class SubSteps(Protocol):
    """One environment step as ``sub_steps`` calls of ``advance`` and one of ``finish``."""

    @property
    def sub_steps(self) -> int:
        """Sub-steps per environment step; may change at a reset."""

    def time_us(self, sub_step: int) -> int:
        """Return the simulated time at which sub-step number ``sub_step`` since the reset begins."""

    def neutral(self) -> Any:
        """Return the action that stands for doing nothing in particular.

        Raises:
            ParameterError: if the environment has none.
        """

    def advance(self, action: Any, fresh: bool) -> None:
        """Run one sub-step under ``action``; ``fresh`` tells that it takes effect just now."""

    def finish(self, action: Any) -> StepResult:
        """Return what the environment's step returns after its last sub-step."""


def neutral_of(space: spaces.Space[Any]) -> Any:
    """Return the zero action of a Box space (or of a Tuple of them).

    Raises:
        ParameterError: for any other space.
    """
    if isinstance(space, spaces.Box):
        return np.clip(np.zeros(space.shape, dtype=space.dtype), space.low, space.high)
    if isinstance(space, spaces.Tuple):
        return tuple(neutral_of(part) for part in space.spaces)
    raise ParameterError(
        f"no neutral action is known for {space}; pass neutral=<the action applied before the first answer>"
    )


class WholeSteps:
    """Any environment, by whole steps: an answer takes effect at the first step that begins after it."""

    sub_steps = 1

    def __init__(self, env: gymnasium.Env[Any, Any], step_us: int) -> None:
        """Declare that one step of ``env`` takes ``step_us`` of simulated time.

        Raises:
            ParameterError: if that is no whole number above 0.
        """
        if int(step_us) != step_us or step_us < 1:
            raise ParameterError(f"step_us must be a whole number of microseconds above 0, got {step_us}")
        self._env, self._step_us = env, int(step_us)

    def time_us(self, sub_step: int) -> int:
        """Return the time of a step."""
        return sub_step * self._step_us

    def neutral(self) -> Any:
        """Return the zero action of a Box."""
        return neutral_of(self._env.action_space)

    def advance(self, action: Any, fresh: bool) -> None:
        """Leave all to ``finish``."""

    def finish(self, action: Any) -> StepResult:
        """Step the environment."""
        return self._env.step(action)


class HighwaySteps:
    """Stock highway-env environments: their policy step (an action and its frames), taken apart.

    The action reaches the vehicle once, at the sub-step where it takes effect, as in highway-env: a
    continuous one stays in force, a meta-action (lane change, faster, slower) starts its manoeuvre and is
    followed by IDLE.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        """Take over the sub-steps of ``env`` (wrappers included, which see whole steps only)."""
        self._env, self._base = env, _highway_base(env)
        self._began: Any = None  # meta-action that began in this step
        _ = self.sub_steps  # refuses frequencies that do not divide before anything runs

    @property
    def sub_steps(self) -> int:
        """Frames per policy step.

        Raises:
            ParameterError: if the frequencies do not divide; highway-env would truncate silently.
        """
        simulation, policy = self._frequencies()
        if policy <= 0 or simulation % policy:
            raise ParameterError(
                f"simulation_frequency {simulation} Hz is no multiple of policy_frequency {policy} Hz: "
                "highway-env would drop the remainder silently; change one of them in the config"
            )
        return int(simulation // policy)

    def time_us(self, sub_step: int) -> int:
        """Return the time of a frame."""
        return round(sub_step * 1e6 / self._frequencies()[0])

    def neutral(self) -> Any:
        """Return IDLE where the environment has it, else the zero action."""
        return _highway_neutral(self._base.action_type)

    def advance(self, action: Any, fresh: bool) -> None:
        """Run one frame of ``AbstractEnv._simulate``."""
        base = self._base
        if fresh and not base.config["manual_control"]:
            base.action_type.act(action)
            self._began = action
        base.road.act()
        base.road.step(1 / self._frequencies()[0])
        base.steps += 1
        if base.steps % self.sub_steps:
            base._automatic_rendering()

    def finish(self, action: Any) -> StepResult:
        """Let the environment close its step, its own simulation left out."""
        if _is_meta(self._base.action_type):
            action = self.neutral() if self._began is None else self._began
        self._began = None
        self._base.enable_auto_render = False
        self._base._simulate = self._already_simulated
        try:
            return self._env.step(action)
        finally:
            del self._base._simulate

    def _frequencies(self) -> tuple[float, float]:
        return self._base.config["simulation_frequency"], self._base.config["policy_frequency"]

    def _already_simulated(self, action: Any = None) -> None:
        if action is None:
            raise UnsupportedError(
                f"{type(self._base).__name__} applies its action outside its simulation loop, so its step "
                "cannot be taken apart; pass step_us=<duration of its step> to inject latency by whole steps"
            )


def _highway_base(env: gymnasium.Env[Any, Any]) -> Any:
    return env.unwrapped


def _is_meta(action_type: Any) -> bool:
    parts = getattr(action_type, "agents_action_types", None)
    return hasattr(action_type, "actions_indexes") if parts is None else any(map(_is_meta, parts))


def _highway_neutral(action_type: Any) -> Any:
    parts = getattr(action_type, "agents_action_types", None)
    if parts is not None:
        return tuple(_highway_neutral(part) for part in parts)
    meta_actions = getattr(action_type, "actions_indexes", {})
    return meta_actions["IDLE"] if "IDLE" in meta_actions else neutral_of(action_type.space())


def is_highway_env(env: gymnasium.Env[Any, Any]) -> bool:
    """Tell whether ``env`` is a highway-env environment, without importing highway-env."""
    base = env.unwrapped
    config = getattr(base, "config", None)
    return isinstance(config, dict) and "simulation_frequency" in config and hasattr(base, "_simulate")


def take_apart(env: gymnasium.Env[Any, Any], step_us: int | None) -> SubSteps:
    """Return the sub-steps of ``env``: its own, highway-env's, or whole steps of declared duration.

    Raises:
        ParameterError: if ``step_us`` is needed and missing, or the frequencies of highway-env do not divide.
    """
    if step_us is not None:
        return WholeSteps(env, step_us)
    own: Callable[[gymnasium.Env[Any, Any]], SubSteps] | None = getattr(env.unwrapped, "sub_stepped", None)
    if own is not None:
        return own(env)
    if is_highway_env(env):
        return HighwaySteps(env)
    raise ParameterError(f"{env} does not say how long its step takes; pass step_us=<microseconds of one step>")
