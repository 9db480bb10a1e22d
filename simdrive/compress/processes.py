"""Several processes that train one model: started here, or by torchrun."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, start_processes

from simdrive.errors import SimdriveError

_PATIENCE = timedelta(days=1)


@dataclass(frozen=True)
class Processes:
    """Where this process stands among those that train together."""

    rank: int = 0
    count: int = 1


def started_together() -> bool:
    """Tell whether this process was started as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def join(device: str) -> tuple[Processes, str]:
    """Join the processes that were started together, if there are any; return this one's place and device."""
    if not started_together():
        return Processes(), device
    if not torch.distributed.is_initialized():
        # The others wait while the first one drives a validation, however slow the machine.
        torch.distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=_PATIENCE)
    local = int(os.environ.get("LOCAL_RANK", "0"))
    place = Processes(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    return place, f"cuda:{local}" if device == "cuda" else device


def together(count: int, work: Callable[..., Any], *arguments: Any) -> None:
    """Run ``work(say, *arguments)`` in ``count`` new processes that know of each other; ``say`` prints to stderr.

    Raises:
        SimdriveError: if one of them fails; the others are stopped.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    try:
        start_processes(  # type: ignore[no-untyped-call]
            _one_of, (count, port, work, arguments), nprocs=count, start_method="spawn"
        )
    except ProcessRaisedException as error:
        last = str(error).strip().splitlines()[-1]
        raise SimdriveError(f"one of {count} training processes failed: {last}") from error
    except ProcessExitedException as error:
        raise SimdriveError(f"one of {count} training processes died: {error}; run the same command again") from error


def _one_of(rank: int, count: int, port: int, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()})
    work(_print, *arguments)
    torch.distributed.destroy_process_group()


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
