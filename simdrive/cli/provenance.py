"""What a run folder says about how it was made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import simdrive


def provenance() -> dict[str, Any]:
    """Return the arguments of the command and the commit that it ran from, for ``run.json``."""
    return {"arguments": sys.argv[1:], "commit": commit()}


def commit() -> str:
    """Return the commit of the checkout with a mark for local changes, empty outside one."""
    root = Path(simdrive.__file__).resolve().parent.parent
    git = ["git", "-C", str(root)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10)  # noqa: S603
        dirty = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return head.stdout.strip() + ("+changes" if dirty.stdout.strip() else "") if head.returncode == 0 else ""
