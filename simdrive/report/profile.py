"""Performance profiles as text, CSV and picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simdrive.errors import ParameterError
from simdrive.eval.profiles import GroupProfile
from simdrive.eval.stats import Interval
from simdrive.report.aligned import aligned
from simdrive.report.svg import colour

NONE = "-"
_SHOWN = 7  # thresholds of a text table; files hold all


def _interval_text(value: Interval, decimals: int = 3) -> str:
    if math.isnan(value.estimate):
        return NONE
    if math.isnan(value.low):
        return f"{value.estimate:.{decimals}f} ({value.reason})"
    return f"{value.estimate:.{decimals}f} [{value.low:.{decimals}f}, {value.high:.{decimals}f}]"


def profile_text(groups: Sequence[GroupProfile], metric: str) -> str:
    """Return means and profiles as aligned text."""
    means = [
        [each.agent, each.latency, str(each.cases), _interval_text(each.mean), _interval_text(each.interquartile_mean)]
        for each in groups
    ]
    count = len(groups[0].profile.thresholds)
    places = sorted({round(k * (count - 1) / (min(_SHOWN, count) - 1 or 1)) for k in range(min(_SHOWN, count))})
    shares = [[each.agent, each.latency, *(_share_text(each, place) for place in places)] for each in groups]
    headings = [f"> {groups[0].profile.thresholds[place]:.3g}" for place in places]
    reasons = dict.fromkeys(each.profile.reason for each in groups if each.profile.reason)
    return "\n".join(
        [
            aligned(
                ("agent", "latency", "n", f"mean {metric}", "interquartile mean"), means, left=("agent", "latency")
            ),
            "",
            f"% of cases with {metric} above a threshold, 95 % bootstrap of cases within scenarios",
            aligned(("agent", "latency", *headings), shares, left=("agent", "latency")),
            *(f"no band: {reason}" for reason in reasons),
        ]
    )


def _share_text(each: GroupProfile, place: int) -> str:
    share, low, high = (100.0 * values[place] for values in (each.profile.share, each.profile.low, each.profile.high))
    return f"{share:.0f}" if math.isnan(low) else f"{share:.0f} [{low:.0f}, {high:.0f}]"


def profile_records(groups: Sequence[GroupProfile]) -> list[dict[str, Any]]:
    """Return one row per group and threshold as plain values."""
    return [
        {
            "agent": each.agent,
            "latency": each.latency,
            "cases": each.cases,
            "mean": each.mean.estimate,
            "interquartile_mean": each.interquartile_mean.estimate,
            "threshold": float(threshold),
            "share": float(each.profile.share[place]),
            "low": float(each.profile.low[place]),
            "high": float(each.profile.high[place]),
            "reason": each.profile.reason,
        }
        for each in groups
        for place, threshold in enumerate(each.profile.thresholds)
    ]


def write_profile(groups: Sequence[GroupProfile], metric: str, path: Path) -> None:
    """Write the profiles as CSV or as a picture, by the ending of the file.

    Raises:
        ParameterError: if the ending is neither .csv nor .png.
    """
    if path.suffix not in (".csv", ".png"):
        raise ParameterError(f"out={path} must end with .csv or .png")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        import pandas as pd

        pd.DataFrame(profile_records(groups)).to_csv(path, index=False, lineterminator="\n")
        return
    _draw(groups, metric, path)


def _draw(groups: Sequence[GroupProfile], metric: str, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    for number, each in enumerate(groups):
        thresholds, band = each.profile.thresholds, (100 * each.profile.low, 100 * each.profile.high)
        axes.plot(thresholds, 100 * each.profile.share, color=colour(number), label=f"{each.agent}, {each.latency}")
        axes.fill_between(thresholds, *band, color=colour(number), alpha=0.2, linewidth=0)
    axes.set(xlabel=f"threshold of {metric}", ylabel="% of cases above it", ylim=(0, 102))
    axes.legend(fontsize=8, frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120, metadata={"Software": ""})
