"""Where slick ground lies on the lanes of a map, for pictures. Runs once per world."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simdrive.sim.route import build_route
from simdrive.sim.scene_parts import border_points, stack_quads, strip, surface_quads, surfaces
from simdrive.sim.spec import Slick, WorldSpec
from simdrive.sim.state import Float, RoadTables

REACH_M = 12.0  # lanes whose centre is further to the side of the route are not painted
_STEP_M = 1.0
_MARGIN_M = 3.0  # of route beyond both ends, so that what lies beyond them projects there


class SlickGround(NamedTuple):
    """Quads of slick ground, cut from those of the asphalt, so that none of it shows beside them in a bend."""

    ground: Float  # [n, 4, 2] world frame, m
    lanes: tuple[Float, ...]  # [n, 4, 2] the part of it on each lane of the map


def slick_ground(spec: WorldSpec) -> SlickGround | None:
    """Return the slick ground of a world, None if there is none."""
    if not spec.slicks:
        return None
    roads = spec.road.tables
    route = build_route(spec.road, spec.ego_route, spec.ego.s_m)

    def pieces(first: int, last: int) -> Float:
        quads = surface_quads(roads, first, last, 0.0)
        found = [_piece(quads, *span) for slick in spec.slicks for span in _spans(roads, first, route, slick)]
        return stack_quads(found)

    ground = stack_quads([pieces(first, last) for first, last in surfaces(roads)])
    return SlickGround(ground, tuple(pieces(lane, lane) for lane in range(len(roads.lane_kind))))


def _piece(quads: Float, begin: float, end: float) -> Float:
    """Return the part of a strip of quads between two shares of its length."""
    corners = np.concatenate([quads[:, :2], quads[-1:, [3, 2]]]).reshape(-1, 4)  # left and right at every cut
    shares = np.linspace(0.0, 1.0, len(corners))
    at = np.concatenate([[begin], shares[(shares > begin) & (shares < end)], [end]])
    places = np.stack([np.interp(at, shares, column) for column in corners.T], axis=1)
    return strip(places[:, :2], places[:, 2:])


def _spans(roads: RoadTables, lane: int, route: Float, slick: Slick) -> list[tuple[float, float]]:
    """Return the parts of a lane that lie on a slick, from and to as shares of its length."""
    near = route[(route[:, 3] >= slick.start_m - _MARGIN_M) & (route[:, 3] <= slick.end_m + _MARGIN_M)]
    if len(near) < 2:
        return []
    length = float(roads.lane_length[lane])
    shares = np.linspace(0.0, 1.0, max(int(np.ceil(length / _STEP_M)), 1) + 1)
    along, across = _on_route(near, border_points(roads, lane, shares * length, 0.0, 0.0))
    inside = (along >= slick.start_m) & (along <= slick.end_m) & (np.abs(across) <= REACH_M)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(np.int8), [0]])))
    spans = [
        (_crossing(shares, along, first, first - 1, slick), _crossing(shares, along, after - 1, after, slick))
        for first, after in edges.reshape(-1, 2).tolist()
    ]
    return [(begin, end) for begin, end in spans if end > begin]


def _on_route(route: Float, points: Float) -> tuple[Float, Float]:
    """Return place along and offset to the right of a piece of route for points ``[n, 2]``."""
    away = points[:, None, :] - route[None, :, :2]
    nearest = route[np.argmin((away**2).sum(axis=2), axis=1)]
    dx, dy = (points - nearest[:, :2]).T
    cos, sin = np.cos(nearest[:, 2]), np.sin(nearest[:, 2])
    return nearest[:, 3] + dx * cos + dy * sin, dy * cos - dx * sin


def _crossing(shares: Float, along: Float, inside: int, outside: int, slick: Slick) -> float:
    """Return where on the lane it crosses the end of the slick between a sample inside and its neighbour outside."""
    if not 0 <= outside < len(shares):
        return float(shares[inside])
    bound = slick.end_m if along[outside] > along[inside] else slick.start_m
    step = along[outside] - along[inside]
    part = (bound - along[inside]) / step if step else 0.0
    return float(shares[inside] + min(max(part, 0.0), 1.0) * (shares[outside] - shares[inside]))
