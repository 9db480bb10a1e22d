"""numba set-up shared by every compiled kernel: no fastmath, and a cache that notices edits in imported files.

numba's own cache looks only at the file that holds the function, so an edited helper in another file would go
unnoticed. The cache folder is therefore keyed by a hash of all kernel sources.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numba

P = ParamSpec("P")
R = TypeVar("R")


@functools.cache
def kernel_sources_hash() -> str:
    """Return a hash over every source file that imports this module (the compiled kernels), 16 hex digits."""
    root = Path(__file__).resolve().parent
    total = hashlib.sha256(numba.__version__.encode())
    for path in sorted(root.rglob("*.py")):
        text = path.read_bytes()
        if b"simdrive.jit" in text or path.name == "jit.py":
            total.update(path.relative_to(root).as_posix().encode() + b"\0" + text)
    # rglob does not follow the content links on every Python version: name them.
    for folder in ("agents", "metrics", "scenarios"):
        for path in sorted((root / folder).glob("*.py")):
            text = path.read_bytes()
            if b"simdrive.jit" in text:
                total.update(path.name.encode() + b"\0" + text)
    return total.hexdigest()[:16]


def _cache_root() -> Path:
    base = os.environ.get("SIMDRIVE_CACHE") or os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "simdrive"
    home = Path.home()
    return home / ".cache" / "simdrive" if os.access(home, os.W_OK) else Path(tempfile.gettempdir()) / "simdrive"


if "NUMBA_CACHE_DIR" not in os.environ:
    numba.config.CACHE_DIR = str(_cache_root() / f"kernels-{kernel_sources_hash()}")


def jit(function: Callable[P, R]) -> Callable[P, R]:
    """Compile ``function`` in nopython mode, cached on disk, IEEE arithmetic (fastmath off)."""
    compiled: Any = numba.njit(cache=True, fastmath=False, error_model="numpy")(function)
    return cast(Callable[P, R], compiled)


def jit_inline(function: Callable[P, R]) -> Callable[P, R]:
    """Compile like ``jit`` and paste the body into every caller: passing tuples of arrays is costly."""
    compiled: Any = numba.njit(cache=True, fastmath=False, error_model="numpy", forceinline=True)(function)
    return cast(Callable[P, R], compiled)
