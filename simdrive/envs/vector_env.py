"""Many worlds of a scenario as a ``gymnasium.vector.VectorEnv``; see ``Task`` for observation, action and
reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from simdrive.envs.fleet import Fleet
from simdrive.envs.pictures import RENDER_FPS, episode_picture
from simdrive.envs.task import Actions, Observation, Reward, Task
from simdrive.errors import ControlError, ParameterError, UnknownNameError
from simdrive.types import Bool, Bytes, CameraSpec, Float, Long

VectorResult = tuple[Observation, Float, Bool, Bool, dict[str, Any]]


class ScenarioVectorEnv(VectorEnv[Observation, npt.NDArray[np.float32], npt.NDArray[Any]]):
    """Slot i with seed s gives what ``ScenarioEnv`` with seed s gives, bit for bit, for any number of slots.

    ``reset(seed=s)`` seeds slot i with s + i. All three autoreset modes of Gymnasium are supported:
    ``NEXT_STEP`` (default), ``SAME_STEP`` (``final_obs`` and ``final_info`` in the infos) and ``DISABLED``
    (``reset(options={"reset_mask": mask})``).
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - gymnasium's own declaration
        "render_modes": ["rgb_array"],
        "render_fps": RENDER_FPS,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        *,
        scenario: str,
        hazard: bool = True,
        params: Mapping[str, Any] | None = None,
        cameras: Sequence[CameraSpec] = (),
        sub_steps: int = 5,
        frequency_hz: int = 50,
        actions: Actions = "normalised",
        reward: Reward = Reward(),  # noqa: B008 - frozen
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        copy: bool = True,
        render_mode: str | None = None,
    ) -> None:
        """Make ``num_envs`` slots of one scenario; further arguments as for ``ScenarioEnv``.

        Args:
            num_envs: number of slots.
            scenario, hazard, params, cameras, sub_steps, frequency_hz, actions, reward, render_mode: as
                there.
            autoreset_mode: what happens after the end of an episode.
            copy: False hands out the same observation arrays on every call, overwritten by the next one.

        Raises:
            UnknownNameError: if a name does not exist.
            ParameterError: if a value is out of range.
        """
        if int(num_envs) != num_envs or num_envs < 1:
            raise ParameterError(f"num_envs must be a whole number of at least 1, got {num_envs}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise UnknownNameError("render_mode", str(render_mode), self.metadata["render_modes"])
        self.task = Task(scenario, hazard, params, cameras, sub_steps, frequency_hz, actions, reward)
        self.num_envs, self.render_mode = int(num_envs), render_mode
        self._mode = _autoreset_mode(autoreset_mode)
        self.metadata = {
            **self.metadata,
            "autoreset_mode": self._mode,
            "render_fps": round(1.0 / self.task.step_s),
        }
        self.single_action_space = self.task.action_space
        self.single_observation_space = self.task.observation_space
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self._copy = copy
        self._seen: Observation = {
            name: np.zeros((self.num_envs, *space.shape), space.dtype)  # type: ignore[misc]
            for name, space in self.single_observation_space.spaces.items()
        }
        self._slots: Long = np.arange(self.num_envs)
        self._over = np.zeros(self.num_envs, np.bool_)
        self._fleet: Fleet | None = None

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observation, dict[str, Any]]:
        """Start the next episode of all slots, or of those in ``options["reset_mask"]``.

        Raises:
            ParameterError: if the seeds or the mask do not fit the number of slots.
        """
        seeds = self._seeds(seed)
        mask = self._mask(options)
        super().reset(seed=seed if isinstance(seed, int) else None)
        if self._fleet is None:
            self._fleet = Fleet(self.task, [seeding.np_random(value)[0] for value in seeds])
            mask[:] = True
        else:
            for slot in np.flatnonzero(mask).tolist():
                if seeds[slot] is not None:
                    self._fleet.reseed(slot, seeding.np_random(seeds[slot])[0])
        chosen = np.flatnonzero(mask)
        self._fleet.begin(chosen)
        self._over[chosen] = False
        self._fleet.observe(chosen, self._seen)
        return self._observation(), self._infos(chosen)

    def step(self, actions: npt.NDArray[np.float32]) -> VectorResult:
        """Drive on for one step; under ``NEXT_STEP`` slots whose episode is over start the next one instead.

        Raises:
            ControlError: if an action is not finite or outside the action space.
            gymnasium.error.ResetNeeded: before the first reset, or under ``DISABLED`` if a slot's episode is
            over.
        """
        if self._fleet is None or (self._mode is AutoresetMode.DISABLED and self._over.any()):
            over = np.flatnonzero(self._over).tolist()
            raise gymnasium.error.ResetNeeded(f"call reset() first; slots whose episode is over: {over}")
        values = np.asarray(actions, dtype=np.float64)
        if values.shape != (self.num_envs, 2):
            raise ControlError(f"actions have shape {values.shape}; needed: ({self.num_envs}, 2)")
        starting, moving = np.flatnonzero(self._over), np.flatnonzero(~self._over)
        outcome = self._fleet.step(moving, self.task.controls(values[moving]))
        reward = np.zeros(self.num_envs)
        terminated, truncated = np.zeros((2, self.num_envs), np.bool_)
        reward[moving], terminated[moving] = outcome.reward, outcome.terminated
        truncated[moving] = outcome.truncated
        if len(starting):
            self._fleet.begin(starting)
        self._fleet.observe(self._slots, self._seen)
        self._over = terminated | truncated
        if self._mode is AutoresetMode.SAME_STEP and self._over.any():
            infos = self._start_at_once(np.flatnonzero(self._over))
        else:
            infos = self._infos(self._slots)
        return self._observation(), reward, terminated, truncated, infos

    def render(self) -> tuple[Bytes, ...] | None:
        """Return one picture per slot; None without a render mode."""
        if self.render_mode is None or self._fleet is None:
            return None
        places = [self._fleet.place(slot) for slot in range(self.num_envs)]
        return tuple(episode_picture(field.worlds, row) for field, row in places)

    def _start_at_once(self, over: Long) -> dict[str, Any]:
        """Start the next episode of the slots ``over``; return infos that hold the end of the old ones."""
        if self._fleet is None:
            raise RuntimeError("no episode has begun")
        final_info, mask = self._infos(over), np.isin(self._slots, over)
        final_obs = np.full(self.num_envs, None, dtype=object)
        for slot in over.tolist():
            final_obs[slot] = {name: values[slot].copy() for name, values in self._seen.items()}
        self._fleet.begin(over)
        self._over[over] = False
        self._fleet.observe(over, self._seen)
        final = {"final_obs": final_obs, "final_info": final_info}
        return self._infos(self._slots) | final | {f"_{name}": mask.copy() for name in final}

    def _infos(self, slots: Long) -> dict[str, Any]:
        """Return the facts of some slots as arrays over all of them, with a mask beside each."""
        found: dict[str, Any] = {}
        if self._fleet is not None:
            self._fleet.info(slots, found)
        mask = np.isin(self._slots, slots)
        return found | {f"_{name}": mask.copy() for name in found}

    def _observation(self) -> Observation:
        return {name: values.copy() for name, values in self._seen.items()} if self._copy else self._seen

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, (int, np.integer)):
            return [int(seed) + slot for slot in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ParameterError(f"got {len(seed)} seeds for {self.num_envs} slots; give one, or one each")
        return list(seed)

    def _mask(self, options: dict[str, Any] | None) -> Bool:
        given = (options or {}).get("reset_mask")
        if given is None:
            return np.ones(self.num_envs, np.bool_)
        mask = np.array(given)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ParameterError(
                f"options['reset_mask'] must be a boolean array of {self.num_envs} with at least one True"
            )
        return mask


def _autoreset_mode(given: str | AutoresetMode) -> AutoresetMode:
    if isinstance(given, AutoresetMode):
        return given
    names = {mode.name.lower(): mode for mode in AutoresetMode}
    if given.lower() not in names:
        raise UnknownNameError("autoreset_mode", given, names)
    return names[given.lower()]
