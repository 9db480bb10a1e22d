"""Lanelets of a CommonRoad file with what belongs to them: neighbours, markings, speed limits, junctions."""

from __future__ import annotations

import math

import numpy as np

from simdrive.scenarios.commonroad.recording import Lanelet, Skipped
from simdrive.scenarios.commonroad.states import point
from simdrive.scenarios.commonroad.tree import Node
from simdrive.types import Float

_SAME_PLACE_M = 0.01
_FEW_M = 0.1  # shorter lanelets carry nobody
_WIDEST_M = 60.0
_FASTEST_LIMIT_MPS = 100.0
# Signs that set a speed limit, m/s in <additionalValue>: Vienna convention (Germany 274, ...), USA R2-1, China.
_LIMIT_SIGNS = ("274", "R2-1", "B14", "R301", "maxSpeed", "MAX_SPEED")


def read_lanelets(root: Node, skipped: Skipped) -> dict[int, Lanelet]:
    """Return the lanelets of a file by id.

    Raises:
        ParameterError: naming file, line and element, if one is malformed or there is none.
    """
    limits = _sign_limits(root, skipped)
    junction = _junction(root)
    found: dict[int, Lanelet] = {}
    for node in root.all("lanelet"):
        lanelet = _lanelet(node, limits, junction, skipped)
        if lanelet is not None:
            found[lanelet.id] = lanelet
    if not found:
        root.refuse("holds no usable <lanelet>; there is no road to drive on")
    return found


def _lanelet(node: Node, limits: dict[str, float], junction: set[str], skipped: Skipped) -> Lanelet | None:
    name = node.attribute("id")
    left, right = _bound(node.need("leftBound")), _bound(node.need("rightBound"))
    if len(left) != len(right):
        skipped.add("lanelet", "bounds of unequal numbers of points: laid out anew along their lengths")
        count = max(len(left), len(right))
        left, right = _spread(left, count), _spread(right, count)
    left, right = _distinct(left, right)
    centre = 0.5 * (left + right)
    length = float(np.hypot(*np.diff(centre, axis=0).T).sum()) if len(centre) > 1 else 0.0
    if length < _FEW_M:
        skipped.add("lanelet", f"shorter than {_FEW_M:g} m")
        return None
    width = np.hypot(*(left - right).T)
    if width.max() > _WIDEST_M or width.max() < _FEW_M:
        node.refuse(f"id {name} is {width.max():g} m wide at most; possible are {_FEW_M:g} to {_WIDEST_M:g} m")
    for tag in ("stopLine",):
        if node.find(tag) is not None:
            skipped.add(tag, "not drawn, and nobody is told to stop there")
    for tag in ("userOneWay", "userBidirectional"):
        if node.find(tag) is not None:
            skipped.add(tag, "who may use a lanelet is not enforced")
    return Lanelet(
        id=_whole(node, name),
        left=left,
        right=right,
        successors=tuple(_whole(child, child.attribute("ref")) for child in node.all("successor")),
        predecessors=tuple(_whole(child, child.attribute("ref")) for child in node.all("predecessor")),
        beside_left=_beside(node.find("adjacentLeft")),
        beside_right=_beside(node.find("adjacentRight")),
        marking_left=_marking(node.need("leftBound")),
        marking_right=_marking(node.need("rightBound")),
        speed_limit_mps=_limit(node, limits),
        inside_junction=name in junction,
        line=node.line,
    )


def _whole(node: Node, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        node.refuse(f"{text!r} is no number of an element")


def _bound(node: Node) -> Float:
    points = np.array([point(child) for child in node.all("point")]).reshape(-1, 2)
    if len(points) < 2:
        node.refuse(f"has {len(points)} points; a bound needs at least 2")
    return points


def _spread(points: Float, count: int) -> Float:
    """Return ``count`` points evenly along a line."""
    arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = np.linspace(0.0, arc[-1], count)
    return np.column_stack([np.interp(at, arc, points[:, 0]), np.interp(at, arc, points[:, 1])])


def _distinct(left: Float, right: Float) -> tuple[Float, Float]:
    """Drop pairs whose middle is where the middle before it is; the last pair always stays."""
    centre = 0.5 * (left + right)
    keep = [0]
    for row in range(1, len(centre)):
        if math.dist(centre[row], centre[keep[-1]]) > _SAME_PLACE_M:
            keep.append(row)
    if keep[-1] != len(centre) - 1 and len(keep) > 1:
        keep[-1] = len(centre) - 1
    return left[keep], right[keep]


def _beside(node: Node | None) -> int | None:
    if node is None or node.attributes.get("drivingDir", "same") != "same":
        return None
    return _whole(node, node.attribute("ref"))


def _marking(bound: Node) -> str | None:
    node = bound.find("lineMarking")
    return None if node is None else node.text.strip()


def _limit(node: Node, limits: dict[str, float]) -> float | None:
    """Return the lowest limit of a lanelet: its own element (2018b), or the signs that it refers to (2020a)."""
    own = node.find("speedLimit")
    found = [] if own is None or own.text.strip() in ("inf", "INF") else [own.positive(_FASTEST_LIMIT_MPS)]
    found += [limits[ref] for child in node.all("trafficSignRef") if (ref := child.attribute("ref")) in limits]
    return min(found, default=None)


def _sign_limits(root: Node, skipped: Skipped) -> dict[str, float]:
    limits: dict[str, float] = {}
    for sign in root.all("trafficSign"):
        for element in sign.all("trafficSignElement"):
            kind, value = element.find("trafficSignID"), element.find("additionalValue")
            code = "" if kind is None else kind.text.strip()
            if code in _LIMIT_SIGNS and value is not None:
                limit = value.positive(_FASTEST_LIMIT_MPS)
                key = sign.attribute("id")
                limits[key] = min(limit, limits.get(key, limit))
            else:
                skipped.add("trafficSign", f"{code or 'without id'}: only speed limits are used")
    return limits


def _junction(root: Node) -> set[str]:
    """Return the lanelets that lead through junctions."""
    inside: set[str] = set()
    for junction in root.all("intersection"):
        for incoming in junction.all("incoming"):
            found = incoming.all("successorsRight", "successorsStraight", "successorsLeft")
            inside |= {child.attributes.get("ref", "") for child in found}
        for crossing in junction.all("crossing"):
            inside |= {child.attributes.get("ref", "") for child in crossing.all("crossingLanelet")}
    return inside
