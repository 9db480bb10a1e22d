"""Reads a CommonRoad file of version 2018b or 2020a; whatever is not used is counted by element and reason.

Format: https://gitlab.lrz.de/tum-cps/commonroad-scenarios, documentation/XML_commonRoad_2018b.pdf and _2020a.pdf.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from simdrive.scenarios.commonroad.lanelets import read_lanelets
from simdrive.scenarios.commonroad.recording import Goal, Obstacle, Problem, Recording, Skipped
from simdrive.scenarios.commonroad.states import (
    FASTEST_MPS,
    body,
    interval,
    middle,
    moves,
    point,
    polygon_points,
    region_centre,
)
from simdrive.scenarios.commonroad.tree import Node, parse_xml, read_xml

VERSIONS = ("2018b", "2020a")
_LONGEST_STEP_S = 10.0
_HANDLED = (
    "lanelet",
    "obstacle",
    "staticObstacle",
    "dynamicObstacle",
    "planningProblem",
    "trafficSign",
    "intersection",
)
_FACTS = ("location", "scenarioTags", "tags")  # about the file, not part of the world
_REASONS = {
    "trafficLight": "signals are not replayed; recorded traffic shows what they said",
    "environmentObstacle": "scenery beside the road",
    "phantomObstacle": "not an object that was there",
}


def read_recording(path: Path) -> Recording:
    """Return what a file holds; it is read once as long as it does not change.

    Raises:
        ParameterError: naming file, line and element, if it is malformed or holds something impossible.
    """
    try:
        stamp = path.stat()
    except OSError:
        return _recording(read_xml(path), path.stem)  # says what is wrong
    return _known(path.resolve(), str(path), stamp.st_mtime_ns, stamp.st_size)


@functools.lru_cache(maxsize=64)
def _known(path: Path, shown: str, changed_ns: int, size: int) -> Recording:
    try:
        data = path.read_bytes()
    except OSError:
        return _recording(read_xml(path), path.stem)
    return _recording(parse_xml(data, shown), path.stem)


def recording_of(data: bytes, file: str = "text") -> Recording:
    """Return what an XML text holds; errors as ``read_recording``."""
    return _recording(parse_xml(data, file), Path(file).stem)


def _recording(root: Node, stem: str) -> Recording:
    if root.tag != "commonRoad":
        root.refuse("is not <commonRoad>; this is no CommonRoad scenario")
    version = root.attribute("commonRoadVersion")
    if version not in VERSIONS:
        root.refuse(f"commonRoadVersion is {version!r}; supported are {' and '.join(VERSIONS)}")
    step_s = root.attribute_number("timeStepSize")
    if not 0.0 < step_s <= _LONGEST_STEP_S:
        root.refuse(f"timeStepSize is {step_s:g} s; allowed: above 0, at most {_LONGEST_STEP_S:g}")
    skipped = Skipped()
    lanelets = read_lanelets(root, skipped)
    obstacles = _obstacles(root, step_s, skipped)
    problems = tuple(_problem(node, step_s, skipped) for node in root.all("planningProblem"))
    _unique(root)
    for node in root.children:
        if node.tag not in _HANDLED and node.tag not in _FACTS:
            skipped.add(node.tag, _REASONS.get(node.tag, "unknown element"))
    name = root.attributes.get("benchmarkID", "").strip() or stem
    return Recording(name, root.file, version, step_s, lanelets, obstacles, problems, skipped)


def _unique(root: Node) -> None:
    for tags in (("lanelet",), ("obstacle", "staticObstacle", "dynamicObstacle"), ("planningProblem",)):
        seen: dict[str, Node] = {}
        for node in root.all(*tags):
            key = node.attribute("id")
            if key in seen:
                node.refuse(f"id {key} was given before, to <{seen[key].tag}> on line {seen[key].line}")
            seen[key] = node


def number_of(node: Node, name: str = "id") -> int:
    """Return an attribute that names another element.

    Raises:
        ParameterError: if it is no whole number.
    """
    value = node.attribute_number(name)
    if value != int(value):
        node.refuse(f"{name} is {value:g}; a whole number is needed")
    return int(value)


def _obstacles(root: Node, step_s: float, skipped: Skipped) -> tuple[Obstacle, ...]:
    found = []
    for node in root.all("obstacle", "staticObstacle", "dynamicObstacle"):
        obstacle = _obstacle(node, step_s, skipped)
        if obstacle is not None:
            found.append(obstacle)
    return tuple(found)


def _obstacle(node: Node, step_s: float, skipped: Skipped) -> Obstacle | None:
    role = node.find("role")
    static = node.tag == "staticObstacle" or (role is not None and role.text.strip() == "static")
    kind = node.find("type")
    name = "unknown" if kind is None else kind.text.strip()
    shape = node.find("shape")
    if shape is None or not shape.children:
        skipped.add("shape", "missing: the box of an ordinary car is taken")
    elif len(shape.children) > 1 or shape.children[0].tag != "rectangle":
        skipped.add("shape", "not one rectangle: its bounding box is taken")
    box = body(shape)
    start = node.need("initialState")
    path = node.find("trajectory")
    states = [] if path is None else list(path.all("state"))
    _count_intervals([start, *states], skipped)
    if static:
        if "time" not in {child.tag for child in start.children}:
            start.children.append(Node("time", {}, start.line, start.file, text="0"))
        one, _ = moves([start], step_s, box)
        return Obstacle(number_of(node), name, box, one, True, node.line)
    if not states:
        reason = "predicted by occupied areas" if node.find("occupancySet") is not None else "without a trajectory"
        skipped.add(node.tag, f"{reason}: nothing to replay")
        return None
    motion, derived = moves(_ordered(start, states), step_s, box)
    if derived:
        skipped.add("state", "without heading or speed: derived from the motion")
    for other in ("signalSeries", "initialSignalState"):
        if node.find(other) is not None:
            skipped.add(other, "lights of recorded vehicles are not replayed")
    return Obstacle(number_of(node), name, box, motion, False, node.line)


def _ordered(start: Node, states: list[Node]) -> list[Node]:
    """Return all states; a trajectory that repeats the initial state at its time is taken without it."""
    first, second = middle(start.need("time")), middle(states[0].need("time"))
    return states if first == second else [start, *states]


def _count_intervals(states: list[Node], skipped: Skipped) -> None:
    ranges = areas = 0
    for state in states:
        for child in state.children:
            if child.tag == "position":
                areas += child.find("point") is None
            elif child.tag in ("orientation", "velocity", "time") and child.find("intervalStart") is not None:
                ranges += 1
    for count, reason in ((ranges, "interval: its middle is taken"), (areas, "area: its centre is taken")):
        if count:
            skipped.counts["state", reason] += count


def _problem(node: Node, step_s: float, skipped: Skipped) -> Problem:
    start = node.need("initialState")
    _count_intervals([start], skipped)
    heading, speed, at = start.find("orientation"), start.find("velocity"), start.find("time")
    place = start.need("position")
    region = next(place.all("point", "rectangle", "circle", "polygon"), None)
    if region is None:
        place.refuse("holds no <point>, <rectangle>, <circle> or <polygon>")
    x, y = region_centre(region)
    if heading is None:
        start.refuse("has no <orientation>; the ego needs one to start")
    if speed is None:
        start.refuse("has no <velocity>; the ego needs one to start")
    speed_mps, time = middle(speed), 0.0 if at is None else middle(at)
    if not 0.0 <= speed_mps <= FASTEST_MPS:
        speed.refuse(f"is {speed_mps:g} m/s; the ego starts with 0 to {FASTEST_MPS:g}")
    if time < 0.0:
        start.refuse(f"is at time {time:g}; allowed: at least 0")
    goals = list(node.all("goalState"))
    for _ in goals[1:]:
        skipped.add("goalState", "alternative goal: the first one counts")
    goal = _goal(goals[0], step_s, skipped) if goals else None
    return Problem(number_of(node), x, y, middle(heading), speed_mps, time * step_s, goal, node.line)


def _goal(node: Node, step_s: float, skipped: Skipped) -> Goal:
    place, time = node.find("position"), node.find("time")
    points: list[tuple[float, float]] = []
    lanelets: list[int] = []
    for child in () if place is None else place.children:
        if child.tag == "lanelet":
            lanelets.append(number_of(child, "ref"))
        elif child.tag in ("point", "rectangle", "circle", "polygon"):
            points.append(_GOAL_PLACES.get(child.tag, region_centre)(child))
    for tag in ("orientation", "velocity"):
        if node.find(tag) is not None:
            skipped.add(f"goalState/{tag}", "arriving counts, however fast and at any angle")
    end = None if time is None else interval(time)[1] * step_s
    return Goal(tuple(points), tuple(lanelets), end)


def _polygon_middle(node: Node) -> tuple[float, float]:
    x, y = np.mean(polygon_points(node), axis=0)
    return float(x), float(y)


_GOAL_PLACES: dict[str, Callable[[Node], Any]] = {"point": point, "polygon": _polygon_middle}
