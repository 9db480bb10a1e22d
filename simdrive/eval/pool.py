"""Worker processes for a run: in-process for one worker, else forked from a server that has imported everything."""

from __future__ import annotations

import itertools
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol, TypeVar

from simdrive.errors import IncompleteRunError

T = TypeVar("T")
R = TypeVar("R")
_METHOD = "spawn" if sys.platform == "win32" else "forkserver"
_DIED = "a worker process died (killed from outside, out of memory, or a fault in foreign code)"
_IMPORTED = "simdrive.eval.work"  # what workers need, imported once by the server they are forked from


def start_early() -> None:
    """Let the server import while the caller still prepares; does nothing unless all kernels are compiled."""
    from simdrive.jit import warm_mark

    mark = warm_mark()
    if _METHOD == "forkserver" and mark is not None and mark.is_file():
        _start_server()


class Crew(Protocol):
    """Whoever applies functions to tasks; see :class:`Pool`."""

    @property
    def workers(self) -> int:
        """How many tasks are done at the same time."""

    def map(
        self, function: Callable[[T], R], tasks: Iterable[T], lost: Callable[[T, str], R] | None = None
    ) -> Iterator[R]:
        """Yield the results of ``function`` over ``tasks`` in the order in which they finish."""


class Pool:
    """Applies functions to tasks; results come as they finish."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._executor is None:
            return
        if kind is not None and not issubclass(kind, Exception):  # Ctrl-C: do not wait for what may take minutes
            for process in list(getattr(self._executor, "_processes", {}).values()):
                process.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def map(
        self, function: Callable[[T], R], tasks: Iterable[T], lost: Callable[[T, str], R] | None = None
    ) -> Iterator[R]:
        """Yield the results of ``function`` over ``tasks`` in the order in which they finish.

        A worker that dies takes the others with it; what they had in hand is done again, one task at a time.

        Args:
            function: what to do with a task.
            tasks: any number of them.
            lost: what to make of a task of which a worker dies even so.

        Raises:
            IncompleteRunError: if there is such a task and no ``lost``.
        """
        if self.workers == 1:
            yield from map(function, tasks)
            return
        waiting = iter(tasks)
        running: dict[Future[R], T] = {}
        suspects: list[T] = []
        while True:
            for task in itertools.islice(waiting, 2 * self.workers - len(running)):
                try:
                    running[self._ready().submit(function, task)] = task
                except BrokenProcessPool:
                    suspects.append(task)
                    break
            if not running and not suspects:
                return
            done, _ = wait(running, return_when=ALL_COMPLETED if suspects else FIRST_COMPLETED)
            for future in done:
                task = running.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    suspects.append(task)
                else:
                    yield future.result()
            if suspects and not running:
                self._executor = None
                yield from (self._alone(function, task, lost) for task in suspects)
                suspects = []

    def _alone(self, function: Callable[[T], R], task: T, lost: Callable[[T, str], R] | None) -> R:
        try:
            return self._ready().submit(function, task).result()
        except BrokenProcessPool:
            self._executor = None
        if lost is None:
            raise IncompleteRunError(f"{_DIED}; a smaller batch=... needs less memory")
        return lost(task, _DIED)

    def _ready(self) -> ProcessPoolExecutor:
        if self._executor is None:
            self._executor = _executor(self.workers)
        return self._executor


def _executor(workers: int) -> ProcessPoolExecutor:
    from simdrive.eval.warm import ensure_warm

    ensure_warm()  # compile here once, so that workers load from the cache instead of compiling side by side
    if _METHOD == "forkserver":
        _start_server()
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context(_METHOD), initializer=_prepare)


def _start_server() -> None:
    from multiprocessing import forkserver

    forkserver.set_forkserver_preload([_IMPORTED])
    forkserver.ensure_running()


def _prepare() -> None:
    """Leave Ctrl-C to the parent (workers finish or are cancelled by it), end with it, and look for garbage seldom."""
    import gc
    import signal
    import threading

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.freeze()  # what was imported stays
    gc.set_threshold(50_000)  # little here is cyclic, and every look costs


def _end_with_parent() -> None:
    """End at once when the parent is gone: what is written is written whole, and the next run must not have a rival."""
    import os

    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
