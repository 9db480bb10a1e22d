"""Errors a user can act on: what was given, what is allowed, what to change."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SimdriveError(Exception):
    """Base of every error raised on purpose; the CLI prints it without a traceback and exits with ``exit_code``."""

    exit_code = 2


_MOST_NAMES = 100  # the configured names of anything are fewer; episodes of a run are not


class UnknownNameError(SimdriveError):
    """A name is not in a closed list; the message lists the allowed names and the nearest one."""

    def __init__(self, kind: str, given: str, allowed: Iterable[str]) -> None:
        names = sorted(allowed)
        near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        more = f", ... ({len(names)} in all)" if len(names) > _MOST_NAMES else ""
        shown = ", ".join(names[: 10 if more else None]) + more
        super().__init__(f"unknown {kind} {given!r}.{hint} Available: {shown or '(none)'}")
        self.nearest = near[0] if near else None
        self._given = (kind, given, tuple(names))

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[str, str, tuple[str, ...]]]:
        """Travel between processes: rebuilt from what it was made of, not from its message."""
        return type(self), self._given


class ParameterError(SimdriveError):
    """A parameter has a wrong name, type or value; the message names the field and its range."""


class ControlError(SimdriveError, ValueError):
    """A control handed to ``step`` is not finite or outside the action space."""


class RunFolderError(SimdriveError):
    """A run folder is foreign, broken, or belongs to another configuration; it was left untouched."""


class UnsupportedError(SimdriveError):
    """A construct of a foreign road, vehicle or file has no exact counterpart here."""


class IncompleteRunError(SimdriveError):
    """Planned episodes are missing from a run."""

    exit_code = 4


class AgentUnavailableError(SimdriveError):
    """What an agent needs is gone (its server), or it does not come back: nothing it drives now says how it drives.

    Unlike anything else an agent raises, this is no answer: the episodes stay pending for the next run.
    """

    exit_code = 4


class StorageError(SimdriveError, OSError):
    """A file of ours cannot be written (disk full, no permission): what was finished before is safe."""

    exit_code = 4

    def __str__(self) -> str:
        return str(self.args[0])
