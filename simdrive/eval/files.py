"""Files that are either whole or absent: written under a temporary name, then put in place in one step."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from simdrive.errors import StorageError

_TEMPORARY = re.compile(r"^\..+\.(\d+)\.tmp$")


def write_atomically(path: Path, write: Callable[[Path], None], *, lasting: bool = False) -> None:
    """Call ``write`` with a temporary path beside ``path``, then move the result there, replacing what is
    there.

    A process that dies on the way leaves ``path`` as it was, and at most a temporary file behind.

    Args:
        path: the file.
        write: is given the temporary path.
        lasting: wait until the disk has it, so that it also survives the machine; for what replaces other files.

    Raises:
        StorageError: if it cannot be written; the temporary file is gone then, for the disk may be full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        if lasting:
            _to_disk(temporary)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StorageError(
            f"{path} cannot be written ({reason}); everything finished before is safe. "
            "Make room or mend the folder, then run the same command again"
        ) from error


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write text atomically."""

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_atomically(path, write, lasting=True)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a mapping as indented JSON with sorted keys, atomically. NaN is refused: use None."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def is_temporary(path: Path) -> bool:
    """Return whether a file carries the name of a half-written file of this module."""
    return _TEMPORARY.match(path.name) is not None


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def remove_orphans(folder: Path) -> None:
    """Delete the temporary files directly in ``folder`` whose writer is gone or is this very process."""
    for path in folder.glob(".*.tmp"):
        match = _TEMPORARY.match(path.name)
        if match and (int(match[1]) == os.getpid() or not _is_alive(int(match[1]))):
            path.unlink(missing_ok=True)
