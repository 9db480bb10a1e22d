"""The primary endpoint: did the ego fail where a failure could have been avoided."""

from __future__ import annotations

import functools
import math

from simdrive.metrics.base import Scored
from simdrive.metrics.collision import touches
from simdrive.metrics.progress import ratio_value
from simdrive.metrics.road import left_road
from simdrive.types import EndReason, EpisodeLog


def _low_progress(log: EpisodeLog, least: float) -> float:
    ratio = ratio_value(log)
    return math.nan if math.isnan(ratio) else float(ratio < least)


def _failure(log: EpisodeLog, least_progress: float) -> float:
    if not log.avoidable or log.end == EndReason.BLOCKED:
        return math.nan
    if any(touch.at_fault for touch in touches(log)) or left_road(log):
        return 1.0
    return _low_progress(log, least_progress)


def failure(name: str = "failure", least_progress: float = 0.8) -> Scored:
    """At-fault contact, or leaving the road, or progress below ``least_progress`` of the expert's.

    Scored in avoidable cases only, and not where a crash among others blocked the ego. A contact that is
    not the ego's fault ends the episode too, so it counts where it leaves the progress short: standing
    still to be hit does not pay. Unscored where only the progress could tell and the expert's is unknown.
    """
    return Scored(name, "", "lower", functools.partial(_failure, least_progress=least_progress))


def low_progress(name: str = "low_progress", least_progress: float = 0.8) -> Scored:
    """Whether the progress is below ``least_progress`` of the expert's; unscored if the expert's is
    unknown.
    """
    return Scored(name, "", "lower", functools.partial(_low_progress, least=least_progress))
