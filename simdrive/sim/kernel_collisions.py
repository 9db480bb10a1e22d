"""Collisions and their impacts: a circle test, then separating axes with the motion of one step.

``RoadObject.handle_collisions`` and ``utils.are_polygons_intersecting``. The circle test adds the *first* vehicle's
signed travel only; an impact replaces an earlier one of the same step.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit, jit_inline
from simdrive.sim.arithmetic import dot2, fused_multiply_add, norm2
from simdrive.sim.state import Actors, Behaviour, RoadTables, Scratch, Traits

_LANDMARK = int(Behaviour.LANDMARK)
_Box = tuple[float, float, float, float, float, float, float, float]


@jit_inline
def _corners(x: float, y: float, length: float, width: float, c: float, s: float) -> _Box:
    """Return four corners of a box as (x0, y0, x1, y1, ...); a matrix product in BLAS, hence fused."""
    half_l, half_w = length / 2, width / 2
    lx, ly = c * half_l, s * half_l
    return (
        fused_multiply_add(-s, -half_w, -lx) + x,
        fused_multiply_add(c, -half_w, -ly) + y,
        fused_multiply_add(-s, half_w, -lx) + x,
        fused_multiply_add(c, half_w, -ly) + y,
        fused_multiply_add(-s, half_w, lx) + x,
        fused_multiply_add(c, half_w, ly) + y,
        fused_multiply_add(-s, -half_w, lx) + x,
        fused_multiply_add(c, -half_w, ly) + y,
    )


@jit_inline
def _extent(fused: bool, box: _Box, nx: float, ny: float) -> tuple[float, float]:
    """Return the interval that a box covers on an axis."""
    a, b = dot2(fused, box[0], box[1], nx, ny), dot2(fused, box[2], box[3], nx, ny)
    c, d = dot2(fused, box[4], box[5], nx, ny), dot2(fused, box[6], box[7], nx, ny)
    return min(min(a, b), min(c, d)), max(max(a, b), max(c, d))


@jit_inline
def _interval_distance(min_a: float, max_a: float, min_b: float, max_b: float) -> float:
    return min_b - max_a if min_a < min_b else min_a - max_b


@jit_inline
def _edge(box: _Box, k: int) -> tuple[float, float]:
    """Return the unnormalised normal of edge ``k`` of a box."""
    if k == 0:
        x1, y1, x2, y2 = box[0], box[1], box[2], box[3]
    elif k == 1:
        x1, y1, x2, y2 = box[2], box[3], box[4], box[5]
    elif k == 2:
        x1, y1, x2, y2 = box[4], box[5], box[6], box[7]
    else:
        x1, y1, x2, y2 = box[6], box[7], box[0], box[1]
    return -y2 + y1, x2 - x1


@jit
def boxes_collide(
    fused: bool, box_a: _Box, box_b: _Box, travel_x: float, travel_y: float
) -> tuple[bool, bool, float, float]:
    """Return (overlapping, will overlap, translation x, y) of two boxes.

    Args:
        fused: rounding of dot products.
        box_a: four corners, m.
        box_b: four corners, m.
        travel_x: motion of A relative to B within the step, m.
        travel_y: the same along y.
    """
    intersecting, will_intersect = True, True
    least, axis_x, axis_y = math.inf, 0.0, 0.0
    centre_x = _mean(box_a[0], box_a[2], box_a[4], box_a[6]) - _mean(box_b[0], box_b[2], box_b[4], box_b[6])
    centre_y = _mean(box_a[1], box_a[3], box_a[5], box_a[7]) - _mean(box_b[1], box_b[3], box_b[5], box_b[7])
    for polygon in range(2):
        for k in range(4):
            nx, ny = _edge(box_a if polygon == 0 else box_b, k)
            size = norm2(fused, nx, ny)
            nx, ny = nx / size, ny / size
            min_a, max_a = _extent(fused, box_a, nx, ny)
            min_b, max_b = _extent(fused, box_b, nx, ny)
            if _interval_distance(min_a, max_a, min_b, max_b) > 0:
                intersecting = False
            projected = dot2(fused, nx, ny, travel_x, travel_y)
            if projected < 0:
                min_a += projected
            else:
                max_a += projected
            distance = _interval_distance(min_a, max_a, min_b, max_b)
            if distance > 0:
                will_intersect = False
            if not intersecting and not will_intersect:
                return False, False, 0.0, 0.0
            if abs(distance) < least:
                least = abs(distance)
                side = 1.0 if dot2(fused, centre_x, centre_y, nx, ny) > 0 else -1.0
                axis_x, axis_y = side * nx, side * ny
    return intersecting, will_intersect, least * axis_x, least * axis_y


@jit_inline
def _mean(a: float, b: float, c: float, d: float) -> float:
    return (a + b + c + d) / 4


@jit
def _collide_pair(
    b: int, i: int, j: int, dt: float, actors: Actors, traits: Traits, roads: RoadTables, scratch: Scratch
) -> None:
    """Test one pair exactly and write impacts and flags; ``i`` is a vehicle, ``j`` a vehicle or an object."""
    if not (traits.check_collisions[b, i] or traits.check_collisions[b, j]):
        return
    if not (traits.collidable[b, i] and traits.collidable[b, j]):
        return
    fused = roads.fused_dot[0]
    apart = norm2(fused, actors.x[b, j] - actors.x[b, i], actors.y[b, j] - actors.y[b, i])
    if apart > (traits.diagonal[b, i] + traits.diagonal[b, j]) / 2 + actors.speed[b, i] * dt:
        return
    cos_i, sin_i = scratch.cos_heading[b, i], scratch.sin_heading[b, i]
    cos_j, sin_j = scratch.cos_heading[b, j], scratch.sin_heading[b, j]
    box_i = _corners(actors.x[b, i], actors.y[b, i], traits.length[b, i], traits.width[b, i], cos_i, sin_i)
    box_j = _corners(actors.x[b, j], actors.y[b, j], traits.length[b, j], traits.width[b, j], cos_j, sin_j)
    speed_i, speed_j = actors.speed[b, i], actors.speed[b, j]
    travel_x = speed_i * cos_i * dt - speed_j * cos_j * dt
    travel_y = speed_i * sin_i * dt - speed_j * sin_j * dt
    now, soon, push_x, push_y = boxes_collide(fused, box_i, box_j, travel_x, travel_y)
    solid = traits.solid[b, i] and traits.solid[b, j]
    if soon and solid:
        # Against an obstacle the vehicle takes the whole translation, else each takes half.
        share = 1.0 if traits.is_object[b, j] and traits.behaviour[b, j] != _LANDMARK else 0.5
        actors.impact_x[b, i], actors.impact_y[b, i] = push_x * share, push_y * share
        actors.has_impact[b, i] = True
        if share == 0.5:
            actors.impact_x[b, j], actors.impact_y[b, j] = -push_x * share, -push_y * share
            actors.has_impact[b, j] = True
    if now and solid:
        actors.crashed[b, i] = True
        actors.crashed[b, j] = True
    if now and not traits.solid[b, i]:
        actors.hit[b, i] = True
    if now and not traits.solid[b, j]:
        actors.hit[b, j] = True


@jit_inline
def _far_apart(b: int, i: int, j: int, travel: float, actors: Actors, traits: Traits) -> bool:
    """Tell whether the exact circle test would certainly fail; the slack covers its rounding."""
    dx, dy = actors.x[b, j] - actors.x[b, i], actors.y[b, j] - actors.y[b, i]
    reach = max((traits.diagonal[b, i] + traits.diagonal[b, j]) / 2 + travel, 0.0) * (1 + 1e-9)
    return dx * dx + dy * dy > reach * reach


@jit_inline
def collide_world(
    b: int, dt: float, actors: Actors, traits: Traits, roads: RoadTables, scratch: Scratch
) -> None:
    """Test every pair of world ``b`` and write ``crashed``, ``hit`` and pending impacts.

    Pairs of two objects (``traits.is_object``) are not tested; absent actors touch nobody. ``scratch`` must be fresh
    (``locate_world``). SCRIPTED actors get flags and impacts too; whoever moves them decides what to do with those.
    """
    actor_count = actors.x.shape[1]
    for i in range(actor_count):
        if not actors.present[b, i]:
            continue
        travel = actors.speed[b, i] * dt
        for j in range(i + 1, actor_count):
            if not actors.present[b, j]:
                continue
            if traits.is_object[b, i]:
                if not traits.is_object[b, j] and not _far_apart(b, j, i, actors.speed[b, j] * dt, actors, traits):
                    _collide_pair(b, j, i, dt, actors, traits, roads, scratch)
            elif not _far_apart(b, i, j, travel, actors, traits):
                _collide_pair(b, i, j, dt, actors, traits, roads, scratch)
