"""Worker processes for a run: in-process for one worker, else forked from a server that has imported everything."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
_METHOD = "spawn" if sys.platform == "win32" else "forkserver"
_IMPORTED = "simdrive.eval.work"  # what workers need, imported once by the server they are forked from


def start_early() -> None:
    """Let the server import while the caller still prepares; does nothing unless all kernels are compiled."""
    from simdrive.jit import warm_mark

    mark = warm_mark()
    if _METHOD == "forkserver" and mark is not None and mark.is_file():
        _start_server()


class Pool:
    """Applies functions to tasks; results come as they finish."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)

    def map(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """Yield the results of ``function`` over ``tasks`` in the order in which they finish."""
        if self.workers == 1:
            yield from map(function, tasks)
            return
        if self._executor is None:
            self._executor = _executor(self.workers)
        running: set[Future[R]] = set()
        for task in tasks:
            running.add(self._executor.submit(function, task))
            if len(running) >= 2 * self.workers:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)


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
