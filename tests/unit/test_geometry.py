"""Box geometry: hand-computed cases, and every closed form against a brute-force polygon of its own."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simdrive.geometry import (
    box_corners,
    box_distance,
    boxes_overlap,
    segment_hits_box,
    swept_overlap,
    wrap_angle,
)

Polygon = list[tuple[float, float]]
Box = tuple[float, float, float, float, float]

numbers = st.floats(-30.0, 30.0, allow_nan=False)
sizes = st.floats(0.3, 12.0)
boxes = st.tuples(numbers, numbers, st.floats(-7.0, 7.0), sizes, sizes)


def polygon(box: Box) -> Polygon:
    corners = box_corners(*(np.array([value]) for value in box))[0]
    return [(float(x), float(y)) for x, y in corners]


def clip(subject: Polygon, window: Polygon) -> Polygon:
    """Sutherland-Hodgman: the part of a convex polygon inside another one (corners in the same turning
    sense).
    """
    for (ax, ay), (bx, by) in zip(window, window[1:] + window[:1], strict=True):
        kept: Polygon = []
        for (px, py), (qx, qy) in zip(subject, subject[1:] + subject[:1], strict=True):
            side_p = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
            side_q = (bx - ax) * (qy - ay) - (by - ay) * (qx - ax)
            if side_p <= 0.0:
                kept.append((px, py))
            if side_p * side_q < 0.0:
                share = side_p / (side_p - side_q)
                kept.append((px + share * (qx - px), py + share * (qy - py)))
        subject = kept
    return subject


def area(shape: Polygon) -> float:
    return 0.5 * abs(sum(px * qy - qx * py for (px, py), (qx, qy) in zip(shape, shape[1:] + shape[:1], strict=True)))


def overlap_area(a: Box, b: Box) -> float:
    return area(clip(polygon(a), polygon(b)))


def test_clipping_reference_knows_two_unit_squares() -> None:
    assert overlap_area((0, 0, 0, 1, 1), (0.5, 0, 0, 1, 1)) == pytest.approx(0.5)
    assert overlap_area((0, 0, 0, 1, 1), (2, 0, 0, 1, 1)) == 0.0
    assert overlap_area((0, 0, 0.3, 1, 1), (0, 0, 0.3, 4, 4)) == pytest.approx(1.0)


def test_wrap_angle_folds_into_half_open_turn() -> None:
    folded = wrap_angle(np.array([0.0, math.pi, -math.pi, 3.5, 7.0]))
    np.testing.assert_allclose(folded, [0.0, -math.pi, -math.pi, 3.5 - 2 * math.pi, 7.0 - 2 * math.pi])


def test_corner_order_is_rear_left_rear_right_front_right_front_left() -> None:
    # Heading +y: ahead is +y, right is -x.
    corners = box_corners(*(np.array([value]) for value in (1.0, 2.0, math.pi / 2, 4.0, 2.0)))[0]
    np.testing.assert_allclose(corners, [[2, 0], [0, 0], [0, 4], [2, 4]], atol=1e-12)


@given(boxes, boxes)
@settings(max_examples=100, deadline=None)
def test_overlap_agrees_with_clipped_polygons(a: Box, b: Box) -> None:
    shared = overlap_area(a, b)
    assume(shared == 0.0 or shared > 1e-6)
    if shared > 0.0:
        assert boxes_overlap(*a, *b)
    elif boxes_overlap(*a, *b):  # touching within rounding
        grown = (a[0], a[1], a[2], a[3] + 1e-6, a[4] + 1e-6)
        assert overlap_area(grown, b) > 0.0


@given(boxes, boxes)
@settings(max_examples=100, deadline=None)
def test_box_distance_is_zero_exactly_where_boxes_overlap_and_symmetric(a: Box, b: Box) -> None:
    distance = box_distance(*a, *b)
    assert (distance == 0.0) == boxes_overlap(*a, *b) or distance < 1e-9
    assert distance == pytest.approx(box_distance(*b, *a), abs=1e-9)


@given(boxes, boxes)
@settings(max_examples=30, deadline=None)
def test_box_distance_agrees_with_dense_border_points(a: Box, b: Box) -> None:
    def border(box: Box) -> npt.NDArray[np.float64]:
        shape = np.array(polygon(box))
        share = np.linspace(0.0, 1.0, 80)[:, None]
        return np.concatenate([p + share * (q - p) for p, q in zip(shape, np.roll(shape, -1, axis=0), strict=True)])

    assume(not boxes_overlap(*a, *b))
    dense = np.sqrt(((border(a)[:, None] - border(b)[None]) ** 2).sum(axis=2)).min()
    spacing = max(a[3], a[4], b[3], b[4]) / 79
    assert dense - spacing - 1e-9 <= box_distance(*a, *b) <= dense + 1e-9


def test_box_distance_side_by_side_and_corner_to_corner() -> None:
    assert box_distance(0, 0, 0, 4, 2, 10, 0, 0, 4, 2) == pytest.approx(6.0)
    assert box_distance(0, 0, 0, 4, 2, 7, 6, 0, 4, 2) == pytest.approx(5.0)  # corners 3 m and 4 m apart


def test_swept_overlap_of_a_follower_is_gap_over_closing_speed() -> None:
    first, last = swept_overlap(0, 0, 0, 5, 2, 20, 0, 40, 0, 0, 5, 2, 10, 0)
    assert (first, last) == pytest.approx((3.5, 4.5))  # gap 35 m, then 10 m of shadow, at 10 m/s


def test_swept_overlap_without_relative_motion_is_always_or_never() -> None:
    assert swept_overlap(0, 0, 0, 5, 2, 7, 1, 3, 0, 0.2, 5, 2, 7, 1) == (-math.inf, math.inf)
    assert swept_overlap(0, 0, 0, 5, 2, 7, 1, 9, 0, 0.2, 5, 2, 7, 1) == (math.inf, -math.inf)


def test_swept_overlap_reports_past_meetings_as_negative_times() -> None:
    first, last = swept_overlap(0, 0, 0, 2, 2, 0, 0, 10, 0, 0, 2, 2, 4, 0)
    assert (first, last) == pytest.approx((-3.0, -2.0))


@given(boxes, boxes, st.tuples(*[st.floats(-25.0, 25.0)] * 4))
@settings(max_examples=100, deadline=None)
def test_swept_overlap_agrees_with_moved_boxes(a: Box, b: Box, v: tuple[float, float, float, float]) -> None:
    first, last = swept_overlap(*a, v[0], v[1], *b, v[2], v[3])

    def together(t: float, grown_m: float) -> bool:
        moved_a = (a[0] + v[0] * t, a[1] + v[1] * t, a[2], a[3] + grown_m, a[4] + grown_m)
        moved_b = (b[0] + v[2] * t, b[1] + v[3] * t, *b[2:])
        return boxes_overlap(*moved_a, *moved_b)

    for t in np.linspace(-3.0, 3.0, 25):
        grazing = together(float(t), 1e-6) != together(float(t), -1e-6)  # rounding decides: either answer is right
        if min(abs(t - first), abs(t - last)) > 1e-6 and not grazing:
            assert together(float(t), 0.0) == (first < t < last)


def test_segment_hits_box_inside_across_and_beside() -> None:
    box = (10.0, 0.0, 0.0, 4.0, 2.0)
    assert segment_hits_box(9, 0, 11, 0, *box)  # inside
    assert segment_hits_box(0, 0.9, 20, 0.9, *box)  # through
    assert segment_hits_box(8.0, -5, 8.0, 5, *box)  # along the rear edge
    assert not segment_hits_box(0, 1.1, 20, 1.1, *box)
    assert not segment_hits_box(0, 0, 7.9, 0, *box)  # ends short of it
    assert not segment_hits_box(7, -1, 13, -5, *box)  # leaves before it arrives
    assert segment_hits_box(10, 0, 10, 0, *box)  # a point


@given(boxes, st.tuples(numbers, numbers, numbers, numbers))
@settings(max_examples=100, deadline=None)
def test_segment_hits_box_agrees_with_dense_points(box: Box, ends: tuple[float, float, float, float]) -> None:
    share = np.linspace(0.0, 1.0, 400)
    x, y = ends[0] + share * (ends[2] - ends[0]), ends[1] + share * (ends[3] - ends[1])
    dx, dy = x - box[0], y - box[1]
    along, across = (
        dx * math.cos(box[2]) + dy * math.sin(box[2]),
        dy * math.cos(box[2]) - dx * math.sin(box[2]),
    )
    if ((np.abs(along) < box[3] / 2) & (np.abs(across) < box[4] / 2)).any():
        assert segment_hits_box(*ends, *box)
    outside = (np.abs(along) > box[3] / 2 + 0.2) | (np.abs(across) > box[4] / 2 + 0.2)
    if outside.all():  # the points are at most 0.22 m apart
        assert not segment_hits_box(*ends, *box)
