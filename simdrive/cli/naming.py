"""Names of output folders from what went into them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_KINDS = ("best", "model")  # folders that a training run writes its models to; the run says more


def label(given: str | Mapping[str, Any]) -> str:
    """Return a short name of an agent (a mapping, too), model, suite or folder: ``runs/student_kd/best`` is ``student_kd``."""
    if not isinstance(given, str):
        return str(given.get("name", given.get("agent", "")))
    path = Path(given)
    return path.parent.name if path.name in _KINDS and path.parent.name else path.stem
