"""numba set-up shared by every compiled kernel: no fastmath, and a cache that notices edits in imported files.

numba's own cache looks only at the file that holds the function, so an edited helper in another file would go
unnoticed. Every module therefore caches in a folder keyed by a hash of its own source and of all simdrive modules that
it imports, directly or not.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numba

P = ParamSpec("P")
R = TypeVar("R")

_PACKAGE = Path(__file__).resolve().parent
_CACHED_ELSEWHERE = "NUMBA_CACHE_DIR" in os.environ  # the user's own choice wins


def _cache_root() -> Path:
    base = os.environ.get("SIMDRIVE_CACHE") or os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "simdrive"
    home = Path.home()
    return home / ".cache" / "simdrive" if os.access(home, os.W_OK) else Path(tempfile.gettempdir()) / "simdrive"


def _source(module: str) -> Path | None:
    """Return the file of a simdrive module, None if there is no such module."""
    parts = module.split(".")[1:]
    for root in (_PACKAGE, _PACKAGE.parent):  # the parent serves a checkout without symbolic links
        path = root.joinpath(*parts)
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if parts and candidate.is_file():
                return candidate
    return None


@functools.cache
def _imports(path: Path) -> tuple[str, ...]:
    """Return the simdrive modules that a file imports at its head, by name; kernels are imported nowhere else."""

    def names() -> Iterator[str]:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    return tuple(sorted({name for name in names() if name.startswith("simdrive.")}))


@functools.cache
def sources_hash(module: str) -> str:
    """Return a hash over the source of ``module`` and of all simdrive modules it imports, 16 hex digits."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _source(name)
        if path is not None and name not in found:
            found[name] = path
            waiting.extend(_imports(path))
    total = hashlib.sha256(numba.__version__.encode())
    for name in sorted(found):
        total.update(name.encode() + b"\0" + found[name].read_bytes() + b"\0")
    return total.hexdigest()[:16]


def warm_mark() -> Path | None:
    """Return the file that says that every kernel of this source tree is compiled; None where the user's cache is used."""
    if _CACHED_ELSEWHERE:
        return None
    # numba keeps the kernels of each folder by themselves: a second checkout of the same sources finds none of the first.
    total = hashlib.sha256(f"{numba.__version__} {_PACKAGE}".encode())
    for folder in (_PACKAGE, *(_PACKAGE.parent / name for name in ("agents", "metrics"))):
        for path in sorted(folder.rglob("*.py")):
            total.update(path.read_bytes())
    return _cache_root() / f"warm-{total.hexdigest()[:16]}"


def _compiled(function: Callable[P, R], **options: Any) -> Callable[P, R]:
    if not _CACHED_ELSEWHERE:
        # numba reads the folder when a function is decorated.
        setattr(numba.config, "CACHE_DIR", str(_cache_root() / "kernels" / sources_hash(function.__module__)))  # noqa: B010
    # Nobody passes kernels to C as callbacks: without that entry there is less to compile.
    options["no_cfunc_wrapper"] = True
    compiled: Any = numba.njit(cache=True, fastmath=False, error_model="numpy", **options)(function)
    return cast(Callable[P, R], compiled)


def jit(function: Callable[P, R]) -> Callable[P, R]:
    """Compile ``function`` in nopython mode, cached on disk, IEEE arithmetic (fastmath off), without reference counts.

    It may neither create nor return arrays (``jit_allocating`` may). Counting references is an atomic operation per
    array, call and slice; it took half the time of a physics tick.
    """
    return _compiled(function, _nrt=False)


def jit_inline(function: Callable[P, R]) -> Callable[P, R]:
    """Compile like ``jit``, and paste the body into every caller: passing a tuple of arrays costs more than a lane."""
    return _compiled(function, _nrt=False, forceinline=True)


def jit_allocating(function: Callable[P, R]) -> Callable[P, R]:
    """Compile like ``jit``, for functions that create or return arrays: entry points, not their inner loops."""
    return _compiled(function, _nrt=True)  # said aloud: callees inherit what their caller says
