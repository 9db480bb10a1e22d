"""Recorded conversations with a server: one JSON line per request, so that a run replays offline, byte for byte."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simdrive.agents.api_client import Reply
from simdrive.errors import ParameterError


class Recorder:
    """Appends replies to a file; several processes may append to the same one."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        """Open a file; ``header`` is what the server said of itself, written where the file is new."""
        self._path, self._lock = path, threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.stat().st_size == 0:
            self._write({"header": dict(header)})

    def keep(self, key: str, reply: Reply) -> None:
        """Add one reply; failures are left out, so that recording again fills the gap."""
        if not reply.error:
            self._write({"key": key, "text": reply.text, "tokens": reply.tokens, "error": reply.error})

    def _write(self, line: Mapping[str, Any]) -> None:
        data = (json.dumps(line, sort_keys=True) + "\n").encode()
        with self._lock:
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(handle, data)  # one write: lines of several processes do not mix
            finally:
                os.close(handle)


def read_trace(path: Path) -> tuple[dict[str, Any], dict[str, Reply]]:
    """Return the header and the replies of a recorded trace.

    Raises:
        ParameterError: if the file is missing or a line is no recorded reply.
    """
    if not path.is_file():
        raise ParameterError(f"trace {path} does not exist; record one with record=... in the agent's yaml first")
    header: dict[str, Any] = {}
    replies: dict[str, Reply] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except ValueError as error:
        raise ParameterError(f"trace {path} is no text ({error}); give the file that record=... wrote") from error
    for number, text in enumerate(lines, 1):
        try:
            line = json.loads(text)
            if "header" in line:
                header = dict(line["header"])
                continue
            prompt, image, output = (int(value) for value in line["tokens"])
            replies[str(line["key"])] = Reply(str(line["text"]), (prompt, image, output))
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise ParameterError(f"{path}, line {number}: no recorded reply ({error}); delete the line") from error
    return header, replies
