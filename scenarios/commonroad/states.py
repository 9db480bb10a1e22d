"""Shapes, states and trajectories of a CommonRoad file; what is left out is derived from the motion."""

from __future__ import annotations

import math

import numpy as np

from simdrive.scenarios.commonroad.recording import Body, Moves
from simdrive.scenarios.commonroad.tree import Node
from simdrive.types import Float

LONGEST_M = 300.0  # trains
FASTEST_MPS = 120.0
_STANDING_M = 0.05  # shorter steps say nothing about a direction
_DEFAULT = Body(4.5, 1.8)
_USED = ("position", "orientation", "time", "velocity")


def interval(node: Node) -> tuple[float, float]:
    """Return (start, end) of an element with <exact> or <intervalStart> and <intervalEnd>.

    Raises:
        ParameterError: if it has neither, or the bounds are in the wrong order.
    """
    exact = node.find("exact")
    if exact is not None:
        value = exact.number()
        return value, value
    if not node.children and node.text.strip():
        value = node.number()
        return value, value
    start, end = node.need("intervalStart").number(), node.need("intervalEnd").number()
    if start > end:
        node.refuse(f"goes from {start:g} to {end:g}; its bounds are in the wrong order")
    return start, end


def middle(node: Node) -> float:
    """Return an exact value, or the middle of an interval."""
    start, end = interval(node)
    return 0.5 * (start + end)


def point(node: Node) -> tuple[float, float]:
    """Return x and y of an element that holds <x> and <y>."""
    return node.need("x").number(), node.need("y").number()


def polygon_points(node: Node) -> Float:
    """Return the corners ``[n, 2]`` of a polygon.

    Raises:
        ParameterError: if there are fewer than 3.
    """
    corners = np.array([point(child) for child in node.all("point")]).reshape(-1, 2)
    if len(corners) < 3:
        node.refuse(f"has {len(corners)} points; a polygon needs at least 3")
    return corners


def region_centre(node: Node) -> tuple[float, float]:
    """Return the centre of a <point>, <rectangle>, <circle> or <polygon>."""
    if node.tag == "point":
        return point(node)
    if node.tag == "polygon":
        corners = polygon_points(node)
        low, high = corners.min(axis=0), corners.max(axis=0)
        return float(0.5 * (low[0] + high[0])), float(0.5 * (low[1] + high[1]))
    centre = node.find("center")
    return point(centre) if centre is not None else (0.0, 0.0)


def body(node: Node | None) -> Body:
    """Return the box of a <shape>; one without gives that of an ordinary car.

    Raises:
        ParameterError: if a size is impossible.
    """
    parts = [] if node is None else [_part(child) for child in node.all("rectangle", "circle", "polygon")]
    if not parts:
        return _DEFAULT
    if len(parts) == 1:
        return parts[0]
    corners = np.concatenate([_corners(part) for part in parts])
    return _bounding(corners)


def _part(node: Node) -> Body:
    ahead, left = region_centre(node)
    if node.tag == "circle":
        size = 2.0 * node.need("radius").positive(LONGEST_M)
        return Body(size, size, ahead, left)
    if node.tag == "polygon":
        box = _bounding(polygon_points(node))
        if max(box.length_m, box.width_m) > LONGEST_M:
            node.refuse(f"is {box.length_m:g} by {box.width_m:g} m large; allowed: at most {LONGEST_M:g} m")
        return box
    turn = node.find("orientation")
    length, width = node.need("length").positive(LONGEST_M), node.need("width").positive(LONGEST_M)
    return Body(length, width, ahead, left, 0.0 if turn is None else middle(turn))


def _corners(part: Body) -> Float:
    cos, sin = math.cos(part.turn_rad), math.sin(part.turn_rad)
    along, across = 0.5 * part.length_m, 0.5 * part.width_m
    corners = [(a * along, b * across) for a in (-1, 1) for b in (-1, 1)]
    return np.array([(part.ahead_m + a * cos - b * sin, part.left_m + a * sin + b * cos) for a, b in corners])


def _bounding(corners: Float) -> Body:
    low, high = corners.min(axis=0), corners.max(axis=0)
    size, centre = np.maximum(high - low, 0.05), 0.5 * (low + high)
    return Body(float(size[0]), float(size[1]), float(centre[0]), float(centre[1]))


def moves(states: list[Node], step_s: float, shape: Body) -> tuple[Moves, bool]:
    """Return the motion of the centre of an object, and whether headings or speeds had to be derived from it.

    Raises:
        ParameterError: if times do not ascend or the object moves impossibly fast.
    """
    time = np.array([_time(state) for state in states]) * step_s
    for before, after, state in zip(time, time[1:], states[1:], strict=False):
        if after <= before:
            state.refuse(
                f"is at time {after / step_s:g}, the state before it at {before / step_s:g}; times must ascend"
            )
    places = np.array([_place(state) for state in states])
    for number in range(1, len(states)):
        gap = math.dist(places[number], places[number - 1])
        lasted = float(time[number] - time[number - 1])
        if gap > FASTEST_MPS * lasted:
            states[number].refuse(
                f"lies {gap:.1f} m from the state {lasted:g} s before it: {gap / lasted:.0f} m/s, which is impossible; "
                f"allowed: at most {FASTEST_MPS:g} m/s"
            )
    headings = [_value(state, "orientation") for state in states]
    speeds = [_value(state, "velocity") for state in states]
    across = [_value(state, "velocityY") for state in states]
    for state, told in zip(states, speeds, strict=True):
        if told is not None and abs(told) > FASTEST_MPS:
            state.refuse(f"drives {told:g} m/s, which is impossible; allowed: at most {FASTEST_MPS:g} m/s")
    heading = _headings(headings, places)
    speed = _speeds(speeds, across, time, places, heading)
    cos, sin = np.cos(heading), np.sin(heading)
    x = places[:, 0] + shape.ahead_m * cos - shape.left_m * sin
    y = places[:, 1] + shape.ahead_m * sin + shape.left_m * cos
    derived = None in headings or (None in speeds and len(states) > 1)
    return Moves(time, x, y, np.unwrap(heading + shape.turn_rad), speed), derived


def _time(state: Node) -> float:
    value = middle(state.need("time"))
    if value < 0.0:
        state.refuse(f"is at time {value:g}; allowed: at least 0")
    return value


def _place(state: Node) -> tuple[float, float]:
    position = state.need("position")
    for child in position.all("point", "rectangle", "circle", "polygon"):
        return region_centre(child)
    position.refuse("holds no <point>, <rectangle>, <circle> or <polygon>")


def _value(state: Node, tag: str) -> float | None:
    node = state.find(tag)
    return None if node is None else middle(node)


def _headings(given: list[float | None], places: Float) -> Float:
    """Fill missing headings with the direction of motion; who stands keeps the heading before, or takes the next."""
    found = np.array([math.nan if value is None else value for value in given])
    if np.isnan(found).any():
        for row in np.flatnonzero(np.isnan(found)):
            ahead, back = places[min(int(row) + 1, len(places) - 1)], places[max(int(row) - 1, 0)]
            if math.dist(ahead, back) > _STANDING_M:
                found[row] = math.atan2(ahead[1] - back[1], ahead[0] - back[0])
        known = np.flatnonzero(~np.isnan(found))
        if not len(known):
            return np.zeros(len(found))
        for row in np.flatnonzero(np.isnan(found)):
            before = known[known < row]
            found[row] = found[int(before[-1] if len(before) else known[0])]
    return np.unwrap(found)


def _speeds(given: list[float | None], across: list[float | None], time: Float, places: Float, heading: Float) -> Float:
    """Fill missing speeds with the motion along the heading; a lateral part counts into the magnitude."""
    if len(time) > 1:
        along = np.gradient(places[:, 0], time) * np.cos(heading) + np.gradient(places[:, 1], time) * np.sin(heading)
    else:
        along = np.zeros(1)
    found = [derived if value is None else value for value, derived in zip(given, along, strict=True)]
    lateral = [0.0 if value is None else value for value in across]
    return np.array([math.copysign(math.hypot(v, w), v) for v, w in zip(found, lateral, strict=True)])
