"""One world of a scenario as a ``gymnasium.Env``; see ``Task`` for observation, action and reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from simdrive.envs.pictures import RENDER_FPS, episode_picture
from simdrive.envs.substeps import StepResult
from simdrive.envs.task import Actions, Observation, Reward, Task
from simdrive.errors import ControlError, ParameterError, UnknownNameError
from simdrive.types import Bytes, CameraSpec, Case

_ROW = np.zeros(1, dtype=np.int64)


class ScenarioEnv(gymnasium.Env[Observation, npt.NDArray[np.float32]]):
    """Drive one case of a scenario after another.

    The seed of a reset decides the case. An episode terminates on the ego's first contact, on leaving the
    road (a corner 0.3 m outside) and at the goal; it is truncated at the scenario's time limit. ``info``
    holds ``t_us``, ``case`` (its key), ``route_s``, ``off_road_m``, ``contact``, ``contact_actor``,
    ``impact_speed_mps``, ``goal``.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - gymnasium's own declaration
        "render_modes": ["rgb_array"],
        "render_fps": RENDER_FPS,
    }

    def __init__(
        self,
        scenario: str,
        hazard: bool = True,
        params: Mapping[str, Any] | None = None,
        cameras: Sequence[CameraSpec] = (),
        sub_steps: int = 5,
        frequency_hz: int = 50,
        actions: Actions = "normalised",
        reward: Reward = Reward(),  # noqa: B008 - frozen
        render_mode: str | None = None,
    ) -> None:
        """Make an environment of one scenario.

        Args:
            scenario: name under ``configs/scenario``.
            hazard: False = the same situations without their danger.
            params: narrower parameter ranges: a value, [low, high], or a list of choices, by name.
            cameras: adds pictures of these cameras (one size) to the observation.
            sub_steps: physics ticks per step; 5 at 50 Hz = 0.1 s.
            frequency_hz: physics ticks per second.
            actions: ``normalised`` or ``physical``.
            reward: weights.
            render_mode: ``rgb_array``: front camera beside a view from above.

        Raises:
            UnknownNameError: if a name does not exist.
            ParameterError: if a value is out of range.
        """
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise UnknownNameError("render_mode", str(render_mode), self.metadata["render_modes"])
        self.task = Task(scenario, hazard, params, cameras, sub_steps, frequency_hz, actions, reward)
        self.action_space = self.task.action_space
        self.observation_space = self.task.observation_space  # type: ignore[assignment]
        self.metadata = {**self.metadata, "render_fps": round(1.0 / self.task.step_s)}
        self.render_mode = render_mode
        self._ahead = 0  # ticks of the present step that were already run

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start the next case; ``options={"case": Case}`` starts that very case.

        Raises:
            ParameterError: if the option is no case of this scenario.
        """
        super().reset(seed=seed)
        case = (options or {}).get("case")
        if case is None:
            case = self.task.draw(self.np_random)
        elif not (isinstance(case, Case) and case.scenario == self.task.scenario):
            raise ParameterError(f"options['case'] must be a Case of {self.task.scenario!r}, got {case!r}")
        self._field = self.task.open([case])
        self._ahead = 0
        self._before = self._measure()
        return self._observation(), self._info()

    def step(self, action: npt.NDArray[np.float32]) -> StepResult:
        """Drive on for one step.

        Raises:
            ControlError: if the action is not finite or outside the action space.
        """
        controls = self._controls(action)
        rest = self.task.sub_steps - self._ahead
        if rest:
            self._field.worlds.step(controls, ticks=rest)
        outcome = self.task.judge(self._field, _ROW, *self._before)
        self._ahead, self._before = 0, self._measure()
        flags = bool(outcome.terminated[0]), bool(outcome.truncated[0])
        return self._observation(), float(outcome.reward[0]), *flags, self._info()

    def render(self) -> Bytes | None:
        """Return the front camera beside the view from above ``[H, W, 3]``; None without a render mode."""
        if self.render_mode is None:
            return None
        return episode_picture(self._field.worlds, 0)

    def sub_stepped(self, env: gymnasium.Env[Any, Any]) -> ScenarioSteps:
        """Return the step of this environment taken apart; ``env`` is this environment with its wrappers."""
        return ScenarioSteps(env, self)

    def advance(self, action: npt.NDArray[np.float32]) -> None:
        """Run one tick of the next step ahead of it; the step then runs the ticks that are left.

        Raises:
            ControlError: if the action is not finite or outside the action space.
        """
        self._field.worlds.step(self._controls(action))
        self._ahead += 1

    def _controls(self, action: npt.ArrayLike) -> npt.NDArray[np.float64]:
        values = np.asarray(action, dtype=np.float64)
        if values.shape != (2,):
            raise ControlError(f"an action is [acceleration, steering], got shape {values.shape}")
        return self.task.controls(values[None])

    def _measure(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        worlds = self._field.worlds
        return worlds.route_s.copy(), worlds.ego_control[:, 0].copy()

    def _observation(self) -> Observation:
        return {name: values[0] for name, values in self.task.observe(self._field, _ROW).items()}

    def _info(self) -> dict[str, Any]:
        return {name: values[0] for name, values in self.task.info(self._field, _ROW).items()}


class ScenarioSteps:
    """The step of a ``ScenarioEnv`` as ticks; see ``simdrive.envs.substeps.SubSteps``."""

    def __init__(self, env: gymnasium.Env[Any, Any], base: ScenarioEnv) -> None:
        """Take over the ticks of ``base``; ``env`` is what its steps are closed through."""
        self._env, self._base = env, base

    @property
    def sub_steps(self) -> int:
        """Ticks per step."""
        return self._base.task.sub_steps

    def time_us(self, sub_step: int) -> int:
        """Return the time of a tick."""
        return round(sub_step * 1e6 / self._base.task.frequency_hz)

    def neutral(self) -> npt.NDArray[np.float32]:
        """Return: no acceleration, wheel straight."""
        return np.zeros(2, np.float32)

    def advance(self, action: Any, fresh: bool) -> None:
        """Run one tick."""
        self._base.advance(action)

    def finish(self, action: Any) -> StepResult:
        """Return what the step returns after its last tick."""
        return self._env.step(action)
