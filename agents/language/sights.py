"""What can be seen from the ego, as words: the exact ground truth of every question. Nothing unseen is ever said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simdrive.jit import jit
from simdrive.sim.plans import route_segment
from simdrive.sim.state import Shape
from simdrive.types import Bool, CameraSpec, Float, Int, ObservationBatch, WorldView

NEAR_M = (5, 10, 15, 20, 30, 40, 60, 80, 120)  # distances are said as one of these
LANE_HALF_M, LANE_M = 1.9, 3.8
SMALLEST_PX = 2.0  # who is narrower in every picture is not asked about
MOST = 3  # actors named in an answer
KINDS = {
    Shape.CAR: "car", Shape.VAN: "van", Shape.TRUCK: "truck", Shape.BUS: "bus", Shape.MOTORCYCLE: "motorcycle",
    Shape.PEDESTRIAN: "pedestrian", Shape.CYCLIST: "cyclist", Shape.DEBRIS: "debris", Shape.CONE: "cone",
    Shape.BARRIER: "barrier", Shape.EMERGENCY: "ambulance",
}  # fmt: skip
PLACES = ("far-left", "left", "lane", "right", "far-right")
MOTIONS = ("stands", "brakes", "oncoming", "crosses", "enters", "leaves", "slower", "same", "faster")
_STANDS, _BRAKES, _ONCOMING, _CROSSES, _ENTERS, _LEAVES, _SLOWER, _SAME, _FASTER = range(9)
NOTHING = "nothing"


@dataclass(frozen=True)
class Sights:
    """Visible actors of N observations, ``[N, V]``; what is not seen is marked so."""

    seen: Bool
    shape: Int
    ahead_m: Float  # along the route, from the ego's front
    offset_m: Float  # to the right of the route
    place: Int  # index into PLACES
    motion: Int  # index into MOTIONS
    urgency: Float  # larger = heed first; 0 = does not matter


@jit
def _beside_route(route, s0, xs, ys, seen, out_s, out_r, out_heading):  # type: ignore[no-untyped-def]
    """Write place, offset and route heading of points ``[V]`` near one route."""
    first = max(route_segment(route, s0) - 12, 0)
    for v in range(xs.shape[0]):
        if not seen[v]:
            continue
        best = 1e18
        for i in range(first, route.shape[0] - 1):
            dx, dy = route[i + 1, 0] - route[i, 0], route[i + 1, 1] - route[i, 1]
            span = (dx * dx + dy * dy) ** 0.5
            if span < 1e-6:
                continue
            along = ((xs[v] - route[i, 0]) * dx + (ys[v] - route[i, 1]) * dy) / span
            across = ((ys[v] - route[i, 1]) * dx - (xs[v] - route[i, 0]) * dy) / span
            outside = max(-along if i > first else 0.0, along - span, 0.0)
            if abs(across) + outside < best:
                best = abs(across) + outside
                out_s[v], out_r[v] = route[i, 3] + min(max(along, -1e3), span), across
                out_heading[v] = route[i, 2]


@jit
def _locate(routes, s0, xs, ys, seen, out_s, out_r, out_heading):  # type: ignore[no-untyped-def]
    for n in range(routes.shape[0]):
        _beside_route(routes[n], s0[n], xs[n], ys[n], seen[n], out_s[n], out_r[n], out_heading[n])


def in_picture(view: WorldView, ego: Float, cameras: Sequence[CameraSpec]) -> Bool:
    """Return ``[N, V]`` who is in line of sight and wide enough in one of the pictures."""
    dx, dy = view.x - ego[:, None, 0], view.y - ego[:, None, 1]
    cos, sin = np.cos(ego[:, None, 2]), np.sin(ego[:, None, 2])
    forward, right = dx * cos + dy * sin, dy * cos - dx * sin
    found = np.zeros(view.x.shape, np.bool_)
    size = np.maximum(view.width, 0.5 * view.height)
    for camera in cameras:
        yaw, half = np.radians(camera.yaw_deg), np.radians(camera.horizontal_fov_deg) / 2.0
        deep = forward * np.cos(yaw) + right * np.sin(yaw) - camera.x_m
        side = right * np.cos(yaw) - forward * np.sin(yaw)
        focal = 0.5 * camera.width / np.tan(half)
        with np.errstate(invalid="ignore"):
            found |= (deep > 0.5) & (np.abs(side) < deep * np.tan(half)) & (focal * size / deep >= SMALLEST_PX)
    found[:, 0] = False
    allowed: Bool = found & view.present & view.visible & (view.shape != Shape.BUILDING)
    return allowed


def sights(batch: ObservationBatch, cameras: Sequence[CameraSpec]) -> Sights:
    """Return what N observations show; the batch must carry the visible world.

    Raises:
        ValueError: if it does not.
    """
    view = batch.world
    if view is None:
        raise ValueError("sights needs observations with world='visible'")
    seen = in_picture(view, batch.ego, cameras)
    s, r, along = (np.zeros(view.x.shape) for _ in range(3))
    x, y = np.where(seen, view.x, 0.0), np.where(seen, view.y, 0.0)
    _locate(np.ascontiguousarray(batch.route), batch.route_s, x, y, seen, s, r, along)
    ahead = s - batch.route_s[:, None] - 0.5 * (batch.ego_size[:, :1] + np.where(seen, view.length, 0.0))
    seen &= ahead > -4.0
    course = np.where(seen, view.heading, 0.0) - along
    speed, lateral = np.where(seen, view.speed, 0.0), np.where(seen, view.lateral_speed, 0.0)
    forward, across = (
        speed * np.cos(course) - lateral * np.sin(course), speed * np.sin(course) + lateral * np.cos(course),
    )  # fmt: skip
    own = np.maximum(batch.ego[:, 3:4], 0.0)
    braking = seen & (view.brake_light | (np.where(seen, view.acceleration, 0.0) < -1.5))
    motion = _motions(r, forward, across, own, braking)
    place = np.digitize(r, (-LANE_HALF_M - LANE_M, -LANE_HALF_M, LANE_HALF_M, LANE_HALF_M + LANE_M))
    urgency = np.where(seen, _urgency(ahead, r, forward, across, own, braking), 0.0)
    return Sights(seen, view.shape.astype(np.int32), ahead, r, place.astype(np.int32), motion, urgency)


def _motions(r: Float, forward: Float, across: Float, own: Float, braking: Bool) -> Int:
    """Return the one word for how each actor moves; the first that fits."""
    pace, towards = np.hypot(forward, across), -np.sign(r) * across
    inside = np.abs(r) < LANE_HALF_M
    choices = [
        pace < 0.5,
        (np.abs(across) > 0.7) & (np.abs(across) > 0.6 * np.abs(forward)),
        forward < -0.5,
        ~inside & (towards > 0.4) & (np.abs(r) < LANE_HALF_M + LANE_M),
        inside & (np.abs(across) > 0.6) & (np.sign(across) == np.sign(r)),
        braking,
        forward < own - 1.5,
        forward > own + 1.5,
    ]
    words = [_STANDS, _CROSSES, _ONCOMING, _ENTERS, _LEAVES, _BRAKES, _SLOWER, _FASTER]
    found: Int = np.select(choices, words, _SAME).astype(np.int32)
    return found


def _urgency(ahead: Float, r: Float, forward: Float, across: Float, own: Float, braking: Bool) -> Float:
    """Return how soon each actor matters, 1/s: in the lane by closing and headway, beside it by when it gets there."""
    gap = np.maximum(ahead, 0.5)
    pace = np.maximum(own, 2.0)
    closing = np.maximum(own - forward, 0.0) / gap
    headway = pace / (gap + 10.0) * 0.4 * np.where(braking, 1.6, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        until = np.where(-np.sign(r) * across > 0.3, (np.abs(r) - LANE_HALF_M) / np.abs(across), np.inf)
    inside = np.abs(r) < LANE_HALF_M
    beside = (until < 4.0) & (ahead < pace * 6.0)
    urgent = np.where(inside, np.maximum(closing, headway), np.where(beside, 0.8 * np.maximum(closing, headway), 0.0))
    found: Float = np.where(urgent > 0.05, urgent, 0.0)
    return found
