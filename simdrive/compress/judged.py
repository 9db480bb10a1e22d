"""What a finished model is worth: its answers on validation frames, and its failures on validation cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simdrive.compress.samples import read_samples
from simdrive.compress.validate import ClosedLoop, answer_scores, balanced_rows, drive, validation_cases
from simdrive.models.local import LocalModel, open_model


def judged(
    folder: Path, data: Sequence[Path], rows: int, closed_loop: ClosedLoop, device: str = "auto"
) -> dict[str, Any]:
    """Return ``answers`` on ``rows`` validation frames and ``driving`` on cases, each only where it is asked for."""
    found: dict[str, Any] = {}
    if rows:
        unseen = read_samples(data, "validation")
        model = LocalModel(open_model(str(folder), device=device))
        found["answers"] = answer_scores(model, unseen, balanced_rows(unseen, rows))
    if closed_loop.cases:
        from simdrive.agents.vlm import Vlm

        agent = Vlm(str(folder), device=device, **closed_loop.driver)
        found["driving"] = drive(agent, validation_cases(closed_loop), closed_loop)
    return found
