"""What every command shares: errors without tracebacks, results on stdout, the rest on stderr, one JSON last line."""

from __future__ import annotations

import functools
import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import typer
from rich.console import Console

from simdrive.errors import SimdriveError

P = ParamSpec("P")
R = TypeVar("R")

SYSTEM, USAGE, INTERRUPTED = 1, 2, 130
_GIVEN_WRONGLY = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)


def stdout() -> Console:
    """Console for results; plain where stdout is no terminal, and never narrower than a table needs there."""
    return Console(width=None if sys.stdout.isatty() else 160, highlight=False, soft_wrap=not sys.stdout.isatty())


def stderr() -> Console:
    """Console for progress and messages."""
    return Console(stderr=True, highlight=False)


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Print errors meant for the user without a traceback and exit with their code (2 = usage or configuration)."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except SimdriveError as error:
            stderr().print("error:", style="bold red", end=" ")
            stderr().print(str(error), markup=False, soft_wrap=True)
            raise typer.Exit(error.exit_code) from error
        except (MemoryError, OSError) as error:
            if isinstance(error, BrokenPipeError):  # the reader of our output is gone: `simdrive ls | head`
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(0) from error
            stderr().print("error:", style="bold red", end=" ")
            stderr().print(_system_message(error), markup=False, soft_wrap=True)
            raise typer.Exit(USAGE if isinstance(error, _GIVEN_WRONGLY) else SYSTEM) from error
        except KeyboardInterrupt as error:
            words = " ".join(_quoted(word) for word in sys.argv[1:])
            stderr().print(f"interrupted. The same command continues: simdrive {words}", markup=False)
            raise typer.Exit(INTERRUPTED) from error

    return run


def _system_message(error: MemoryError | OSError) -> str:
    if isinstance(error, MemoryError):
        return f"out of memory ({error or 'no details'}); use a smaller batch=... or fewer workers=..."
    where = f"{error.filename}: " if error.filename is not None else ""
    return f"{where}{error.strerror or error}; check the path, its permissions and the room on the disk"


def _quoted(word: str) -> str:
    return f"'{word}'" if any(sign in word for sign in "[]{}*? ") else word


def print_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print one JSON object on one line (NaN becomes null: JSON has none)."""
    typer.echo(json.dumps(_plain(value), sort_keys=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
