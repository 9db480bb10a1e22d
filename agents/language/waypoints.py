"""Way-points in text, as released driving models answer: ``[(5.1, 0.0), (10.0, 0.1), ...]``, read strictly and written.

Points are metres in the frame of the ego (its centre, its heading) at the time of the observation, the first one
``interval_s`` after it. Published models do not agree on axes, so the convention is always said: the ego frame of
nuScenes (and ISO 8855) is ``forward_left``; the sensor frame that GPT-Driver (arXiv 2310.01415) and other nuScenes
planners answer in is ``right_forward``; simdrive's own is ``forward_right``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.types import Bool, Float, ObservationBatch

# What the two numbers of a point are, in words; and as the matrix from them to (forward, right).
AXES = {
    "forward_left": ("how far ahead", "how far to the left"),
    "forward_right": ("how far ahead", "how far to the right"),
    "left_forward": ("how far to the left", "how far ahead"),
    "right_forward": ("how far to the right", "how far ahead"),
}
_MATRIX = {
    "forward_left": ((1.0, 0.0), (0.0, -1.0)),
    "forward_right": ((1.0, 0.0), (0.0, 1.0)),
    "left_forward": ((0.0, 1.0), (-1.0, 0.0)),
    "right_forward": ((0.0, 1.0), (1.0, 0.0)),
}
MOST_SPEED_MPS = 60.0
BACKWARD_M = 0.3  # one step may lie this far behind the one before it: rounding, not reversing
MOST_TURN_RAD = 1.3  # between two steps; a car does not go sideways
SAME_M = 0.5  # a step shorter than this has no direction of its own

_NUMBER = r"\s*([+-]?(?:[0-9]{1,3}(?:\.[0-9]{0,6})?|\.[0-9]{1,6}))\s*"
_PAIR = {"(": re.compile(rf"\({_NUMBER},{_NUMBER}\)"), "[": re.compile(rf"\[{_NUMBER},{_NUMBER}\]")}
_OPEN = re.compile(r"\[\s*([(\[])")
_BETWEEN = re.compile(r"\s*,\s*")
_CLOSE = re.compile(r"\s*\]\s*$")


@dataclass(frozen=True)
class WaypointForm:
    """How a model's way-points are to be read: how many, how far apart in time, and along which axes."""

    interval_s: float = 0.5
    points: int = 6
    axes: str = "forward_left"

    def __post_init__(self) -> None:
        if self.axes not in AXES:
            raise UnknownNameError("axes of way-points", str(self.axes), AXES)
        if not 2 <= self.points <= 64:
            raise ParameterError(f"points of way-points must be a whole number from 2 to 64, got {self.points!r}")
        if not 0.1 <= self.interval_s <= 2.0:
            raise ParameterError(f"interval_s of way-points must be 0.1 to 2 s, got {self.interval_s!r}")
        if self.horizon_s < 1.0 - 1e-9:
            raise ParameterError(
                f"way-points must reach at least 1 s ahead, {self.points} x {self.interval_s} s do not"
            )

    @property
    def horizon_s(self) -> float:
        """Time of the last point."""
        return self.points * self.interval_s

    @property
    def times_s(self) -> Float:
        """Times ``[K]`` of the points after the observation."""
        times: Float = np.array([k * self.interval_s for k in range(1, self.points + 1)])
        return times

    @property
    def longest_tokens(self) -> int:
        """Tokens that leave room for the answer in any tokenizer that says a digit in one."""
        return 16 + 16 * self.points

    def briefing(self) -> str:
        """Return what to tell a model that was not trained on anything of simdrive, before its question."""
        first, second = AXES[self.axes]
        shown = _EXAMPLE_MPS[: min(3, self.points)] * self.interval_s
        example = ", ".join(_said(point) for point in _turned(shown, self.axes, back=True))
        dots = ", ..." if self.points > 3 else ""
        return (
            f"You drive a car. Answer with the places where the car should be after {self.interval_s:g}, "
            f"{2 * self.interval_s:g} and so on up to {self.horizon_s:g} seconds: a list of exactly {self.points} points "
            f"(x, y) and nothing else, in metres from where the car is now. x is {first} and y is {second}; a car that "
            f"stands repeats its place. The form of the list: [{example}{dots}]. The next line says: at (your speed in "
            "m/s) of (the wanted speed in m/s) side (metres you are right of your route, negative is left) and the way "
            "to go, then the question: "
        )


_EXAMPLE_MPS = np.array([[9.8, 0.0], [19.2, 0.3], [28.0, 0.8]])  # places per second of interval: a car that slows down


def waypoint_form(given: Mapping[str, Any] | None) -> WaypointForm:
    """Return the form behind a configuration; nothing given = six points over 3 s, x forward and y left.

    Raises:
        UnknownNameError: if a field or the axes do not exist.
        ParameterError: if a value is out of range.
    """
    allowed = [field.name for field in fields(WaypointForm)]
    for name in given or {}:
        if name not in allowed:
            raise UnknownNameError("field of waypoints", str(name), allowed)
    told = dict(given or {})
    for name, kinds in (("points", (int,)), ("interval_s", (int, float)), ("axes", (str,))):
        if name in told and (isinstance(told[name], bool) or not isinstance(told[name], kinds)):
            raise ParameterError(f"{name} of way-points must be a {kinds[-1].__name__}, got {told[name]!r}")
    return WaypointForm(**told)


def waypoints_from(texts: Sequence[str], form: WaypointForm) -> tuple[Float, Bool]:
    """Return the way-points ``[N, K, 2]`` (forward, right; m) at the end of N answers, and ``[N]`` which have them.

    Whatever is not a list of exactly ``form.points`` points at the end of the answer, or is no drive of a car (faster
    than ``MOST_SPEED_MPS``, backwards, sideways), is not one; its points are zero.
    """
    found: Float = np.zeros((len(texts), form.points, 2))
    good = np.zeros(len(texts), np.bool_)
    for row, text in enumerate(texts):
        pairs = _pairs(text)
        if len(pairs) != form.points:
            continue
        points = _turned(np.array(pairs), form.axes)
        if _plausible(points, form.interval_s):
            found[row], good[row] = points, True
    return found, good


def texts_of_waypoints(points: Float, form: WaypointForm) -> list[str]:
    """Return way-points ``[N, K, 2]`` (forward, right; m) as answers, to a centimetre."""
    return [f"[{', '.join(_said(point) for point in _turned(row, form.axes, back=True))}]" for row in points]


def waypoints_of(plans: Float, batch: ObservationBatch, form: WaypointForm) -> Float:
    """Return where plans ``[N, P, 5]`` are at the times of the form: ``[N, K, 2]`` (forward, right; m) of the ego.

    Between two rows of a plan the car is on the cubic that has their places and velocities.

    Raises:
        ParameterError: if the plans end before the form does.
    """
    if len(plans) and float(plans[:, -1, 0].min()) < form.horizon_s - 1e-6:
        raise ParameterError(
            f"plans of {plans[:, -1, 0].min():g} s cannot be told as way-points up to {form.horizon_s:g} s; take fewer points"
        )
    points: Float = np.empty((len(plans), form.points, 2))
    for row, plan in enumerate(plans):
        points[row] = _at_times(plan, form.times_s)
    return to_ego(points, batch.ego)


def to_ego(points: Float, ego: Float) -> Float:
    """Turn points ``[N, K, 2]`` of the world frame into (forward, right) of the egos ``[N, 7]``."""
    delta = points - ego[:, None, :2]
    cos, sin = np.cos(ego[:, None, 2]), np.sin(ego[:, None, 2])
    turned: Float = np.stack(
        [delta[..., 0] * cos + delta[..., 1] * sin, delta[..., 1] * cos - delta[..., 0] * sin], axis=2
    )
    return turned


def _at_times(plan: Float, times_s: Float) -> Float:
    last = np.clip(np.searchsorted(plan[:, 0], times_s, side="left"), 1, len(plan) - 1)
    first, second = plan[last - 1], plan[last]
    span = second[:, 0] - first[:, 0]
    u = np.clip((times_s - first[:, 0]) / span, 0.0, 1.0)[:, None]
    v0 = (first[:, 4] * span * np.array([np.cos(first[:, 3]), np.sin(first[:, 3])])).T
    v1 = (second[:, 4] * span * np.array([np.cos(second[:, 3]), np.sin(second[:, 3])])).T
    p0, p1 = first[:, 1:3], second[:, 1:3]
    # Hermite cubic.
    found: Float = p0 + u * (v0 + u * (3.0 * (p1 - p0) - 2.0 * v0 - v1 + u * (2.0 * (p0 - p1) + v0 + v1)))
    return found


def _said(point: Float) -> str:
    return f"({point[0] + 0.0:.2f}, {point[1] + 0.0:.2f})".replace("-0.00", "0.00")


def _turned(points: Float, axes: str, back: bool = False) -> Float:
    """Turn points ``[K, 2]`` from a convention into (forward, right), or back."""
    matrix = np.array(_MATRIX[axes])
    turned: Float = points @ (matrix if back else matrix.T)
    return turned


def _pairs(text: str) -> list[tuple[float, float]]:
    """Return the points of the list that ends a text; none where it does not end in one."""
    opening = None
    for opening in _OPEN.finditer(text):  # noqa: B007 - the last one counts
        pass
    if opening is None:
        return []
    pattern, place, pairs = _PAIR[opening[1]], opening.start(1), []
    while (pair := pattern.match(text, place)) is not None:
        pairs.append((float(pair[1]), float(pair[2])))
        place = pair.end()
        if (comma := _BETWEEN.match(text, place)) is None:
            return pairs if _CLOSE.match(text, place) else []
        place = comma.end()
    return []


def _plausible(points: Float, interval_s: float) -> bool:
    """Tell whether a car can go through points ``[K, 2]`` (forward, right; m), starting along the first axis."""
    along = np.array([1.0, 0.0])
    for step in np.diff(points, axis=0, prepend=0.0):
        length = float(np.hypot(*step))
        if length > MOST_SPEED_MPS * interval_s or float(step @ along) < -BACKWARD_M:
            return False
        if length < SAME_M:
            continue
        if float(step @ along) < length * np.cos(MOST_TURN_RAD):
            return False
        along = step / length
    return True
