"""Does what a pool of processes does with tasks of Ray.

Ray must try nothing again by itself: without a limit it would give a task whose worker runs out of memory to one worker
after the other. Here a task that loses its worker is done once more; after that its maker decides, as with a pool.
"""

from __future__ import annotations

import functools
import itertools
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from simdrive.errors import IncompleteRunError
from simdrive.eval.backends.model_actors import ModelActors
from simdrive.eval.extras import need_extra
from simdrive.eval.watched import EXPENDABLE

T = TypeVar("T")
R = TypeVar("R")
_DEATHS = ("WorkerCrashedError", "OutOfMemoryError", "NodeDiedError", "ObjectLostError")  # of a worker or its machine
_DIED = "a Ray worker died (killed from outside, out of memory, a fault in foreign code, or its machine is gone)"


@dataclass(frozen=True)
class Raised:
    """An exception on its way back: as itself, not dressed in one of Ray's, which other texts would come from."""

    error: Exception


def attempt(folder: str, function: Callable[[T], R], task: T) -> R | Raised:
    """Do a task in a worker of Ray, from the folder in which the run was started."""
    _settle(folder)
    try:
        return function(task)
    except Exception as error:  # raised again where the results are collected
        return Raised(error)


@functools.cache
def _settle(folder: str) -> None:
    os.chdir(folder)  # names of runs and models may be relative
    os.environ[EXPENDABLE] = "1"


class RayTasks:
    """Applies functions to tasks, ``workers`` at a time; Ray is started by the first of them."""

    def __init__(self, workers: int, address: str = "local", models_on_gpus: bool = True) -> None:
        self.workers = workers
        self._address, self._models_on_gpus = address, models_on_gpus
        self._ray: Any = None
        self._own = False
        self._models: ModelActors | None = None
        self._attempt: Any = None

    def __enter__(self) -> RayTasks:
        return self

    def __exit__(self, *_: object) -> None:
        if self._own:
            self._ray.shutdown()

    def map(
        self, function: Callable[[T], R], tasks: Iterable[T], lost: Callable[[T, str], R] | None = None
    ) -> Iterator[R]:
        """Yield the results of ``function`` over ``tasks`` in the order in which they finish.

        Args:
            function: what to do with a task.
            tasks: any number of them.
            lost: what to make of a task that lost two workers.

        Raises:
            IncompleteRunError: if there is such a task and no ``lost``, or Ray fails in another way.
        """
        waiting = iter(tasks)
        running: dict[Any, tuple[T, int]] = {}  # with the number of tries
        while True:
            for task in itertools.islice(waiting, self.workers - len(running)):
                running[self._started(function, task)] = (task, 1)
            if not running:
                return
            (done, *_), _ = self._ray.wait(list(running), num_returns=1)
            task, tries = running.pop(done)
            outcome = self._outcome(done)
            if outcome is not None:
                yield outcome[0]
            elif tries == 1:
                running[self._started(function, task)] = (task, 2)
            elif lost is not None:
                yield lost(task, _DIED)
            else:
                raise IncompleteRunError(f"{_DIED}; a smaller batch=... needs less memory")

    def _outcome(self, reference: Any) -> tuple[Any] | None:
        """Return the result of a finished task, None if its worker died."""
        errors = self._ray.exceptions
        try:
            outcome = self._ray.get(reference)
        except tuple(getattr(errors, name) for name in _DEATHS):
            return None
        except errors.RayTaskError:  # a worker that cannot import simdrive, for example
            raise
        except errors.RayError as error:
            raise IncompleteRunError(f"Ray: {str(error).strip().splitlines()[0]}; the same command goes on") from error
        if isinstance(outcome, Raised):
            raise outcome.error
        return (outcome,)

    def _started(self, function: Callable[[T], R], task: T) -> Any:
        if self._ray is None:
            self._start()
        served = task if self._models is None else self._models.served(task)
        return self._attempt.remote(os.getcwd(), function, served)

    def _start(self) -> None:
        from simdrive.eval.warm import ensure_warm

        ensure_warm()  # compile here once, so that workers load from the cache instead of compiling side by side
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
        ray = need_extra("ray")
        if not ray.is_initialized():
            _join(ray, self._address, self.workers)
            self._own = True
        self._ray, self._attempt = ray, ray.remote(num_cpus=1, max_retries=0)(attempt)
        if self._models_on_gpus:
            self._models = ModelActors(ray)


def _join(ray: Any, address: str, workers: int) -> None:
    own = {"num_cpus": workers, "include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise IncompleteRunError(
            f"no Ray at backend.address={address} ({str(error).strip().splitlines()[0]}); start one with "
            "`ray start --head`, or use backend.address=local"
        ) from error
