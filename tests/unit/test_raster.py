"""The rasteriser against a plain point-in-polygon test, and its trap cases."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simdrive.sim.raster import (
    CODE,
    OBJECT_ID,
    SHADOW_BIT,
    SIZE,
    TABLE_SIZE,
    TINT_SHADOW,
    draw_list,
    fill_background,
    fill_polygons,
    resolve_average,
    resolve_packed,
)

HEIGHT, WIDTH = 24, 32


def fill(*polygons: tuple[list[tuple[float, float]], int]) -> tuple[np.ndarray, np.ndarray]:
    draw = draw_list(len(polygons))
    for row, (corners, code) in enumerate(polygons):
        draw[row, : 2 * len(corners)] = np.array(corners).reshape(-1)
        draw[row, SIZE], draw[row, CODE] = len(corners), code
    ids = np.zeros((HEIGHT, WIDTH), np.uint16)
    touched = np.zeros((HEIGHT, 2), np.int32)
    fill_background(ids, HEIGHT // 2, 0, 1, touched)
    fill_polygons(draw, 0, len(polygons), ids, np.zeros((2, HEIGHT), np.int32), touched)
    return ids, touched


def test_a_rectangle_covers_the_centres_inside_it() -> None:
    ids, _ = fill(([(3.5, 2.5), (6.5, 2.5), (6.5, 4.5), (3.5, 4.5)], OBJECT_ID))
    rows, columns = np.nonzero(ids == OBJECT_ID)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 3, 3, 5)
    assert len(rows) == 6


def test_ground_carries_its_row_and_tints_add_a_bit() -> None:
    whole = [(0.0, 0.0), (WIDTH, 0.0), (WIDTH, HEIGHT), (0.0, HEIGHT)]
    left = [(0.0, 0.0), (8.0, 0.0), (8.0, HEIGHT), (0.0, HEIGHT)]
    ids, _ = fill((whole, 4), (left, int(TINT_SHADOW)), (left, int(TINT_SHADOW)))
    for row in range(HEIGHT):
        assert ids[row, 20] == (4 << 9) | row
        assert ids[row, 2] == ((4 << 9) | row | SHADOW_BIT)


def test_polygons_off_the_picture_leave_it_alone() -> None:
    blank, _ = fill()
    for dx, dy in ((-500.0, 0.0), (500.0, 0.0), (0.0, -500.0), (0.0, 500.0), (-1e9, 3.0), (1e9, 1e9)):
        ids, touched = fill(([(dx, dy), (dx + 9, dy), (dx + 9, dy + 9), (dx, dy + 9)], OBJECT_ID))
        assert (ids == blank).all()
        assert (touched[:, 1] <= touched[:, 0]).all()


CORNER = st.tuples(st.floats(-30, 60), st.floats(-30, 50))


@settings(max_examples=200, deadline=None)
@given(st.lists(CORNER, min_size=3, max_size=3), st.booleans())
def test_triangles_match_a_plain_inside_test(corners: list[tuple[float, float]], turned: bool) -> None:
    ordered = corners[::-1] if turned else corners
    ids, touched = fill((ordered, OBJECT_ID))
    ys, xs = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    crosses = [
        (bx - ax) * (ys - ay) - (by - ay) * (xs - ax)
        for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True)
    ]
    inside = np.all(np.stack(crosses) > 1e-6, axis=0) | np.all(np.stack(crosses) < -1e-6, axis=0)
    outside = np.any(np.stack(crosses) < -1e-6, axis=0) & np.any(np.stack(crosses) > 1e-6, axis=0)
    drawn = ids == OBJECT_ID
    assert not (inside & ~drawn).any()
    assert not (outside & drawn).any()
    columns = np.arange(WIDTH)
    assert not (drawn & ~((columns >= touched[:, :1]) & (columns < touched[:, 1:]))).any()


@settings(max_examples=100, deadline=None)
@given(st.lists(CORNER, min_size=4, max_size=4))
def test_neighbours_share_an_edge_without_gap_or_overlap(corners: list[tuple[float, float]]) -> None:
    a, b, c, d = corners
    sides = [(b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) for p in (c, d)]
    if min(sides) >= -1.0 or max(sides) <= 1.0:
        return  # c and d must lie on either side of the common edge a-b
    both, _ = fill(([a, b, c], OBJECT_ID), ([b, a, d], OBJECT_ID + 1))
    first, _ = fill(([a, b, c], OBJECT_ID))
    second, _ = fill(([b, a, d], OBJECT_ID + 1))
    assert not ((first == OBJECT_ID) & (second == OBJECT_ID + 1)).any()
    assert (both[first == OBJECT_ID] == OBJECT_ID).all()


def test_packed_and_averaging_look_up_agree() -> None:
    rng = np.random.default_rng(0)
    polygons = [
        ([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], OBJECT_ID + number)
        for number, (x, y, w, h) in enumerate(rng.uniform(1, 12, (40, 4)))
    ]
    ids, touched = fill(*polygons)
    table = rng.integers(0, 2**63, TABLE_SIZE).astype(np.uint64)
    rgb, labels = np.zeros((HEIGHT, WIDTH, 3), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint16)
    resolve_packed(ids, table, touched, rgb.reshape(-1).view(np.uint32), labels.reshape(-1).view(np.uint64))
    slow, slow_labels = np.zeros_like(rgb), np.zeros_like(labels)
    resolve_average(ids, table, 1, slow, slow_labels, np.zeros(1, np.uint16))
    assert (rgb == slow).all()
    assert (labels == slow_labels).all()
    words = table[ids]
    assert (rgb[..., 0] == (words & 255)).all()
    assert (rgb[..., 2] == (words >> 16 & 255)).all()
    assert (labels == words >> 48).all()


def test_averaging_takes_means_and_the_most_frequent_label() -> None:
    ids = np.array([[0, 1], [1, 1]], np.uint16)
    table = np.zeros(TABLE_SIZE, np.uint64)
    table[0], table[1] = 100 | 7 << 48, 200 | 9 << 48
    rgb, labels = np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint16)
    resolve_average(ids, table, 2, rgb, labels, np.zeros(4, np.uint16))
    assert rgb[0, 0].tolist() == [175, 0, 0]
    assert labels[0, 0] == 9
