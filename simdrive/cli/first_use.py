"""Compiles the kernels before anything else needs them, and says so: minutes of silence look like a hang."""

from __future__ import annotations

from simdrive.cli.console import stderr


def first_use() -> None:
    """Compile what is not compiled yet, with a line on stderr; returns at once otherwise."""
    from simdrive.jit import warm_mark

    mark = warm_mark()
    if mark is None or mark.is_file():
        return
    stderr().print("compiling the simulator for this machine (once, a few minutes) ...", markup=False)
    from simdrive.eval.warm import ensure_warm

    ensure_warm()
