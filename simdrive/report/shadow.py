"""A shadow run as text: which moments differ most, and whether difference foretells failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from simdrive.compress.shadow.foretelling import Foretold
from simdrive.compress.shadow.ranking import Slice
from simdrive.report.aligned import aligned

SHOWN = 12
SLICE_NOTE = (
    "excess: mean in the slice less the mean elsewhere, 95 % interval clustered by case; p Holm: over all slices.\n"
    "A slice of fewer than 5 cases has no verdict (-)."
)


def shadow_text(
    config: Mapping[str, Any], frames: pd.DataFrame, slices: Sequence[Slice], found: Foretold | None
) -> str:
    """Return the run as plain text."""
    by = config["by"]
    head = (
        f"{config['teacher']['name']} and {config['student']['name']} on {len(frames)} observations of "
        f"{frames['case_key'].nunique()} cases, {config['driver']['name']} driving\n"
        f"{by}: mean {frames[by].mean():.3f}, 95th percentile {frames[by].quantile(0.95):.3f}; no usable answer: teacher "
        f"{_unusable(frames, 'teacher')}, student {_unusable(frames, 'student')}"
    )
    parts = [head, slice_table(slices[:SHOWN], by), SLICE_NOTE]
    return "\n\n".join(
        [*parts, f"does difference foretell failure? {foretold_text(found)}"] if found is not None else parts
    )


def _unusable(frames: pd.DataFrame, role: str) -> int:
    column = f"{role}_status"
    return int((frames[column] != "ok").sum()) if column in frames.columns else 0


def slice_table(slices: Sequence[Slice], by: str) -> str:
    """Return slices as aligned text."""
    rows = [
        [
            each.slice,
            each.value,
            str(each.frames),
            str(each.cases),
            f"{each.mean:.3f}",
            _excess(each),
            _p(each.p),
            _p(each.p_holm),
        ]
        for each in slices
    ]
    return aligned(
        ("slice", "value", "frames", "cases", by, "excess [95 %]", "p", "p Holm"), rows, left=("slice", "value")
    )


def _excess(each: Slice) -> str:
    return f"{each.excess:+.3f}" + ("" if each.low != each.low else f" [{each.low:+.3f}, {each.high:+.3f}]")


def _p(value: float) -> str:
    return "-" if value != value else "<0.001" if value < 0.001 else f"{value:.3f}"


def foretold_text(found: Foretold) -> str:
    """Return whether difference foretells failure, as two lines."""
    if found.reason:
        return found.reason
    at = "; ".join(f"{100.0 * share:.0f} % of the {k} that differ most" for k, share in found.precision.items())
    each = found.correlation
    return (
        f"Spearman {each.estimate:+.2f} [{each.low:+.2f}, {each.high:+.2f}] between a case's "
        f"largest difference and its failing\n({found.failures} failures in {found.cases} scored cases); failing: {at}; "
        f"{100.0 * found.base_rate:.0f} % of all"
    )


def slice_records(slices: Sequence[Slice]) -> list[dict[str, Any]]:
    """Return a row per slice."""
    return [dict(vars(each)) for each in slices]
