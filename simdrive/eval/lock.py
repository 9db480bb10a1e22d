"""One writer per run folder: a second process on the same folder is refused instead of driving everything twice.

The system drops the lock with the process that holds it, however that ends; the file stays and means nothing by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from simdrive.errors import RunFolderError, StorageError

LOCK = ".lock"


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder, which is made if it is absent.

    Raises:
        RunFolderError: if another process is writing to it.
        StorageError: if the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / LOCK).open("ab")
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written to ({error.strerror}); give another folder with out=..."
        ) from error
    with stream:
        if not _taken(stream):
            raise RunFolderError(
                f"another process is writing to {folder}; wait for it or stop it, or give another folder with out=..."
            )
        yield


def is_busy(folder: Path) -> bool:
    """Return whether another process is writing to a run folder."""
    if not (folder / LOCK).is_file():
        return False
    with (folder / LOCK).open("ab") as stream:
        return not _taken(stream)


def _taken(stream: IO[bytes]) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows: parts are still written whole, only work may be done twice
        return True
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
