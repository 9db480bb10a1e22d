"""Names of output folders from what went into them."""

from __future__ import annotations

from pathlib import Path

_KINDS = ("best", "model")  # folders that a training run writes its models to; the run says more


def label(given: str) -> str:
    """Return a short name of an agent, model, suite or folder: ``runs/student_kd/best`` is ``student_kd``."""
    path = Path(given)
    return path.parent.name if path.name in _KINDS and path.parent.name else path.stem
